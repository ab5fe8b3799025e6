from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from soarm import kinematics
from soarm.chunking import Step
from soarm.errors import ParamsError
from soarm.params import build
from soarm.policy import Array
from soarm.residual import actor, sight
from soarm.residual.actor import ResidualActor
from soarm.residual.encoder import FINE_DEG, NOTHING_MASKED, ObservationEncoder, ObservationParams, TanhFeatures
from soarm.residual.td3bc import ResidualTD3BC
from soarm.spec import ENVIRONMENT_STATE, STATE
from soarm.tasks.pick_place import TASK
from soarm.tasks.residual_observation import N_LOOKAHEAD, Context, ResidualObservation, Term
from soarm.tasks.tabletop import COARSE_M, FINE_M

LAYOUT = TASK.residual_observation
tanh_features_of = TanhFeatures(LAYOUT)
N_TANH = sum(n for n, _ in tanh_features_of.parts)


def test_a_millimetre_beside_the_cube_is_encoded() -> None:
    change = (tanh_features_of(Observed(cube_x_m=0.201).tensor()) - tanh_features_of(Observed().tensor())).abs().max()

    assert change > 0.04  # standardised by the 0.15 m the arm sweeps it would be 0.007


@dataclasses.dataclass(frozen=True)
class Observed:
    """A residual observation made where every policy gets it from, so that the slices of `TanhFeatures` fit its layout."""

    cube_x_m: float = 0.2

    def tensor(self) -> torch.Tensor:
        state = np.zeros((1, 6), np.float32)
        tcp = kinematics.forward(state)[0][0]
        objects = np.array([[self.cube_x_m - 0.2 + tcp[0], tcp[1], tcp[2], 1.0, 0.0, 0.3, 0.0]], np.float32)
        step = Step(state + 1.0, np.zeros(1, np.float32), np.full((1, N_LOOKAHEAD, 6), 2.0, np.float32))
        return torch.from_numpy(LAYOUT.compute({STATE: state, ENVIRONMENT_STATE: objects}, step))


def test_tanh_features_hold_the_vectors_to_cube_and_bin_at_two_scales_and_the_coming_movement() -> None:
    seen = Observed(cube_x_m=0.21).tensor()
    features = tanh_features_of(seen)[0]
    vectors = seen[0, LAYOUT.blocks["cube_in_plane"].start : LAYOUT.blocks["bin_in_plane"].stop]

    assert features.shape == (N_TANH,)
    assert features[:8].tolist() == pytest.approx(torch.tanh(vectors / FINE_M).tolist())
    assert features[8:16].tolist() == pytest.approx(torch.tanh(vectors / COARSE_M).tolist())
    assert features[16:22].tolist() == pytest.approx([np.tanh(1.0 / FINE_DEG)] * 6)
    assert features[22:].tolist() == pytest.approx([np.tanh(2.0 / FINE_DEG)] * 6)


def observations(n: int = 3) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).normal(0, 5, (n, LAYOUT.dim)).astype(np.float32))


def test_blocks_are_those_of_the_observation() -> None:
    at = [(block.start, block.stop) for block in LAYOUT.blocks.values()]
    seen = Observed(cube_x_m=0.21).tensor()[0]

    assert [start for start, _ in at] == [0, *(stop for _, stop in at[:-1])]
    assert at[-1][1] == LAYOUT.dim
    assert seen[LAYOUT.blocks["cube_offset"]].tolist() == pytest.approx([0.01, 0.0, 0.0], abs=1e-5)
    assert seen[LAYOUT.blocks["base_action"]].tolist() == [1.0] * 6
    assert seen[LAYOUT.blocks["phase"]].tolist() == [0.0, 1.0]
    assert seen[LAYOUT.blocks["lookahead"]].tolist() == [2.0] * 18


@pytest.mark.parametrize("name", list(LAYOUT.blocks))
def test_hidden_block_changes_nothing_that_is_seen(name: str) -> None:
    whole, blind = ObservationEncoder(NOTHING_MASKED), ObservationEncoder(ObservationParams((name,), tanh_features=True))
    moved = observations()
    moved[:, LAYOUT.blocks[name]] += 3.0

    assert not torch.equal(whole(moved), whole(observations()))
    assert torch.equal(blind(moved), blind(observations()))
    assert int(blind.mask.sum()) < len(blind.mask)


def test_what_is_not_hidden_is_seen_as_before() -> None:
    whole, blind = (
        ObservationEncoder(NOTHING_MASKED)(observations()),
        ObservationEncoder(ObservationParams(("phase",), tanh_features=True))(observations()),
    )
    phase = LAYOUT.blocks["phase"]

    assert torch.equal(blind[:, : phase.start], whole[:, : phase.start])
    assert torch.equal(blind[:, phase.stop :], whole[:, phase.stop :])


def test_without_tanh_features_only_the_standardised_observation_is_encoded() -> None:
    plain = ObservationEncoder(ObservationParams((), tanh_features=False))(observations())

    assert torch.equal(plain[:, :-N_TANH], ObservationEncoder(NOTHING_MASKED)(observations())[:, :-N_TANH])
    assert (plain[:, -N_TANH:] == 0).all()
    assert tanh_features_of(observations()).shape[1] == N_TANH


def test_unknown_block_is_refused_with_the_names_there_are() -> None:
    with pytest.raises(
        ParamsError, match=r"masked_blocks\[0\] is 'clock'; it must be a block of the observation, one of \['state'"
    ):
        build(ObservationParams, {"masked_blocks": ["clock"], "tanh_features": True}, "actor")


def test_a_block_of_another_task_is_refused_with_those_of_this_one() -> None:
    with pytest.raises(ParamsError, match=r"masked_blocks names \['clock'\]; the terms of this task are \['state', 'objects'"):
        ObservationEncoder(ObservationParams(("clock",), tanh_features=True))


def test_terms_of_other_scales_come_in_their_own_order() -> None:
    def zeros(dim: int) -> Callable[[Context], Array]:
        return lambda at: np.zeros((len(at.state), dim), np.float32)

    twice = (0.2, 0.4)
    own = (
        Term("a", 2, zeros(2), (0.1,)),
        Term("b", 1, zeros(1), twice),
        Term("c", 3, zeros(3)),
        Term("d", 1, zeros(1), twice),
    )
    layout = ResidualObservation.of(4, own)
    seen = torch.arange(layout.dim, dtype=torch.float32)[None] / 100
    a, b, d = (seen[0, layout.blocks[name]] for name in "abd")

    assert [n for n, _ in TanhFeatures(layout).parts] == [2, 1, 1, 1, 1, 6, 6]
    expected = torch.tanh(torch.cat([a / 0.1, b / 0.2, d / 0.2, b / 0.4, d / 0.4]))
    torch.testing.assert_close(TanhFeatures(layout)(seen)[0, :6], expected)


def test_saved_actor_is_as_blind_as_it_was(task: ModuleType, tmp_path: Path) -> None:
    network = ResidualActor((8,), layer_norm=True, observation=ObservationParams(("phase", "lookahead"), tanh_features=False))
    torch.nn.init.normal_(network.net[-2].weight)
    actor.save(network, dataclasses.replace(task.SPEC, residual_scale=task.SCALE), tmp_path)
    loaded, _ = actor.load(tmp_path)

    assert loaded.sight.params == network.sight.params
    assert torch.equal(loaded(observations()), network(observations()))


def test_critics_can_see_what_the_actor_cannot(task: ModuleType, tmp_path: Path) -> None:
    hidden = ObservationParams(("objects", "cube_offset"), tanh_features=True)
    model = task.make_model(policy_kwargs={"actor_observation": hidden})
    torch.nn.init.normal_(model.actor.mu.net[-2].weight)
    model.save(tmp_path / "residual.zip")
    policy = ResidualTD3BC.load(tmp_path / "residual.zip").policy
    moved, still = observations(), torch.zeros(3, 6)
    moved[:, LAYOUT.blocks["objects"]] += 1.0

    assert torch.equal(policy.actor(moved), policy.actor(observations()))
    assert not torch.equal(policy.critic(moved, still)[0], policy.critic(observations(), still)[0])
    assert policy.actor.mu.sight.params == hidden


def test_files_of_earlier_versions_are_read_under_their_own_names(
    task: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hidden = ObservationParams(("objects",), tanh_features=False)
    earlier = sight.SightParams(*dataclasses.astuple(hidden))
    monkeypatch.setattr(sight.SightParams, "__reduce__", lambda _: (_unpickled, (("objects",), False)))
    model = task.make_model(policy_kwargs={"actor_observation": earlier})
    model.policy_kwargs["actor_sight"] = model.policy_kwargs.pop("actor_observation")
    model.save(tmp_path / "residual.zip")
    actor.save(model.actor.mu, dataclasses.replace(task.SPEC, residual_scale=task.SCALE), tmp_path)
    config = json.loads((tmp_path / actor.CONFIG).read_text())
    del config["observation"]
    config["sight"] = {"unseen": ["objects"], "magnified": False}
    (tmp_path / actor.CONFIG).write_text(json.dumps(config))
    monkeypatch.undo()
    again = ResidualTD3BC.load(tmp_path / "residual.zip")

    assert dataclasses.astuple(again.actor.mu.sight.params) == dataclasses.astuple(hidden)
    assert actor.load(tmp_path)[0].sight.params == hidden
    again.save(tmp_path / "saved_again.zip")
    assert ResidualTD3BC.load(tmp_path / "saved_again.zip").actor.mu.sight.params == hidden


def _unpickled(unseen: tuple[str, ...], magnified: bool) -> sight.SightParams:
    made = sight.SightParams.__new__(sight.SightParams)
    made.__setstate__({"unseen": unseen, "magnified": magnified})
    return made
