from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from soarm import policy
from soarm.errors import CheckpointError
from soarm.residual import actor
from soarm.residual.actor import ResidualActor
from soarm.spec import PolicySpec
from soarm.tasks.pick_place import TASK

LAYOUT = TASK.residual_observation


@pytest.fixture
def spec(task: ModuleType) -> PolicySpec:
    return dataclasses.replace(task.SPEC, residual_scale=task.SCALE)


def trained() -> ResidualActor:
    torch.manual_seed(3)
    network = ResidualActor((16, 16), layer_norm=True)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    network.sight.set_statistics(np.full(LAYOUT.dim, 2.0), np.full(LAYOUT.dim, 3.0))
    return network.eval()


def observations(n: int) -> np.ndarray:
    return np.random.default_rng(0).normal(0, 50, (n, LAYOUT.dim)).astype(np.float32)


@given(st.integers(0, 2**32 - 1))
def test_torch_and_numpy_add_residuals_alike_to_the_bit(seed: int) -> None:
    rng = np.random.default_rng(seed)
    base = rng.uniform(-250, 250, (20, 6)).astype(np.float32)  # well beyond the joint limits
    residual = rng.uniform(-1, 1, (20, 6)).astype(np.float32)
    scale = rng.uniform(0, 30, 6).astype(np.float32)
    twin = actor.add_residual(*(torch.from_numpy(array) for array in (base, residual, scale))).numpy()

    np.testing.assert_array_equal(twin, policy.add_residual(base, residual, scale))


def test_untrained_actor_is_exactly_zero() -> None:
    residual = ResidualActor((16,), layer_norm=False).predict_residual(observations(9))

    assert residual.dtype == np.float32
    np.testing.assert_array_equal(residual, np.zeros((9, 6), np.float32))


def test_residual_stays_inside_its_bound_for_absurd_observations() -> None:
    residual = trained().predict_residual(1e6 * observations(50))

    assert np.abs(residual).max() <= 1.0


def test_what_never_moved_in_the_prefill_stays_finite() -> None:
    network = trained()
    network.sight.set_statistics(np.zeros(LAYOUT.dim), np.zeros(LAYOUT.dim))

    assert np.isfinite(network.predict_residual(observations(5))).all()


def test_saved_actor_computes_the_same_and_equal_actors_give_equal_bytes(spec: PolicySpec, tmp_path: Path) -> None:
    for name in ("one", "two"):
        actor.save(trained(), spec, tmp_path / name)
    loaded, found = actor.load(tmp_path / "one")

    np.testing.assert_array_equal(loaded.predict_residual(observations(7)), trained().predict_residual(observations(7)))
    assert found == spec
    for name in (actor.WEIGHTS, actor.CONFIG):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


@pytest.mark.parametrize("name", [actor.WEIGHTS, actor.CONFIG])
def test_missing_file_is_named(spec: PolicySpec, tmp_path: Path, name: str) -> None:
    actor.save(trained(), spec, tmp_path)
    (tmp_path / name).unlink()

    with pytest.raises(CheckpointError, match=rf"{name} does not exist.*dvc repro train_residual"):
        actor.load(tmp_path)


def test_broken_configuration_is_named(spec: PolicySpec, tmp_path: Path) -> None:
    actor.save(trained(), spec, tmp_path)
    (tmp_path / actor.CONFIG).write_text("{")

    with pytest.raises(CheckpointError, match=r"config\.json is not a residual's configuration"):
        actor.load(tmp_path)


def test_weights_of_another_shape_are_refused(spec: PolicySpec, tmp_path: Path) -> None:
    actor.save(trained(), spec, tmp_path)
    config = json.loads((tmp_path / actor.CONFIG).read_text())
    (tmp_path / actor.CONFIG).write_text(json.dumps({**config, "hidden": [8, 16]}))

    with pytest.raises(CheckpointError, match=r"actor\.safetensors does not hold the weights config\.json describes"):
        actor.load(tmp_path)


def test_truncated_weights_are_refused(spec: PolicySpec, tmp_path: Path) -> None:
    actor.save(trained(), spec, tmp_path)
    whole = (tmp_path / actor.WEIGHTS).read_bytes()
    (tmp_path / actor.WEIGHTS).write_bytes(whole[:-100])

    with pytest.raises(CheckpointError, match="does not hold the weights"):
        actor.load(tmp_path)


def test_configuration_without_a_bound_is_refused(spec: PolicySpec, tmp_path: Path) -> None:
    actor.save(trained(), spec, tmp_path)
    config = json.loads((tmp_path / actor.CONFIG).read_text())
    config["spec"]["residual_scale"] = None
    (tmp_path / actor.CONFIG).write_text(json.dumps(config))

    with pytest.raises(CheckpointError, match="holds no residual_scale"):
        actor.load(tmp_path)
