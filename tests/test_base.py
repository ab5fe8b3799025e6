"""A policy beside ACT: its own few lines and one line of the table, and everything after its training takes it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from soarm import base as bases
from soarm.base import BASES, CONFIG_FILE, WEIGHTS_FILE, load_base, save_base
from soarm.errors import CheckpointError
from soarm.policies import ChunkedPolicy
from soarm.policy import Array, Observation
from soarm.quantities import Count
from soarm.residual.actor import ResidualActor
from soarm.residual.controller import ResidualController
from soarm.sim.batch_env import BatchSim
from soarm.sim.params import SimParams
from soarm.spec import STATE, PolicySpec
from soarm.tasks.pick_place import TASK


@dataclasses.dataclass(frozen=True)
class DriftConfig:
    """Sizes of the network: how many actions it predicts."""

    chunk_size: Count


@dataclasses.dataclass(frozen=True)
class Blueprint:
    config: DriftConfig
    spec: PolicySpec

    def build(self) -> Drift:
        return Drift(self)


class Drift(nn.Module):
    """A base that moves every joint on from where it is, at a learnt speed per control step [deg x 5, percent]."""

    inputs = (STATE,)

    def __init__(self, blueprint: Blueprint) -> None:
        super().__init__()
        self.blueprint, self.spec = blueprint, blueprint.spec
        self.speed = nn.Parameter(torch.zeros(6))

    def forward(self, observation: Mapping[str, torch.Tensor]) -> torch.Tensor:
        steps = torch.arange(1, self.blueprint.config.chunk_size + 1)
        return observation[STATE][:, None] + steps[:, None] * self.speed

    @torch.no_grad()
    def predict_chunks(self, observation: Observation) -> Array:
        return self({STATE: torch.as_tensor(observation[STATE])}).numpy()


@pytest.fixture
def drift(monkeypatch: pytest.MonkeyPatch, sim: SimParams) -> Drift:
    """A trained base of a kind that is in the table for this test."""
    monkeypatch.setitem(BASES, "tests.drift", __name__)
    base = Blueprint(DriftConfig(4), PolicySpec(TASK.features, sim.control_hz, 4, 3)).build()
    nn.init.uniform_(base.speed, 0.5, 1.0)
    return base


def test_a_base_of_another_kind_is_loaded_frozen_corrected_and_played(drift: Drift, tmp_path: Path, sim: SimParams) -> None:
    save_base(drift, tmp_path)
    loaded = load_base(tmp_path)
    assert isinstance(loaded, Drift)
    loaded.requires_grad_(False)
    spec = dataclasses.replace(loaded.spec, residual_scale=(5.0,) * 6)
    rows, seeds, played = np.arange(2), [7, 8], []
    controller = ResidualController(loaded, ResidualActor((8,), layer_norm=True).eval(), spec, 2)
    alone = ChunkedPolicy(drift, drift.spec, 2)

    for act in (lambda seen: controller.predict(seen)[0], lambda seen: alone.act(seen, rows)):
        env = BatchSim(sim, 2)
        observation = env.reset(rows, seeds)
        for _ in range(5):
            observation = env.step(act(observation), rows).observation
        played.append(observation[STATE])

    np.testing.assert_array_equal(*played)  # an untrained residual is the base, to the bit
    assert np.abs(played[0] - env.reset(rows, seeds)[STATE]).max() > 0.5


def test_the_same_base_gives_the_same_bytes(drift: Drift, tmp_path: Path) -> None:
    save_base(drift, tmp_path / "a")
    save_base(load_base(tmp_path / "a"), tmp_path / "b")

    for name in (CONFIG_FILE, WEIGHTS_FILE):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


@pytest.mark.parametrize("kind", ["soarm.diffusion", None, ["soarm.act"]])
def test_an_unknown_type_is_refused_with_the_legal_ones(drift: Drift, tmp_path: Path, kind: object) -> None:
    save_base(drift, tmp_path)
    config = json.loads((tmp_path / CONFIG_FILE).read_text())
    (tmp_path / CONFIG_FILE).write_text(json.dumps({**config, "type": kind}))

    with pytest.raises(CheckpointError, match=r"its type is .*, legal are \['soarm.act', 'tests.drift'\]"):
        load_base(tmp_path)


def test_a_base_without_a_line_in_the_table_is_not_saved(
    drift: Drift, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(bases.BASES, "tests.drift")

    with pytest.raises(CheckpointError, match=r"add it to soarm.base.BASES"):
        save_base(drift, tmp_path)
    assert not list(tmp_path.iterdir())
