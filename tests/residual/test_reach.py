from __future__ import annotations

import dataclasses
import functools
import json
import logging
import math
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from numpy.typing import ArrayLike

from soarm import arm
from soarm.errors import ParamsError, StageError
from soarm.params import build
from soarm.policies import ChunkedPolicy
from soarm.policy import Array, Observation, Rows, add_residual
from soarm.residual import reach
from soarm.residual.reach import OracleResult, ReachParams, ReachPolicy
from soarm.spec import ENVIRONMENT_STATE, STATE

PARAMS = ReachParams(
    shape=(2.0, 1.0, 1.0, 1.0, 1.0, 4.0),
    factors=(0.25, 0.5, 1.0, 2.0),
    target=0.9,
    margin=2.0,
    n_scenes=20,
    n_rows=4,
    n_threads=1,
    joint_factors=(0.0,),
)
NO_REACH = (0.0,) * 6


class Fixed:
    """Always the same action, and a note of what it was asked."""

    def __init__(self, action: ArrayLike) -> None:
        self.action = np.array(action, np.float32)
        self.started: list[int] = []

    def reset(self, rows: Rows, seeds: Sequence[int]) -> None:
        self.started += list(seeds)

    def act(self, observation: Observation, rows: Rows) -> Array:
        return np.repeat(self.action[None], len(rows), axis=0)


class Knowing(Fixed):
    """Sends the first joint where `AimEnv` wants it."""

    def __init__(self) -> None:
        super().__init__(NO_REACH)

    def act(self, observation: Observation, rows: Rows) -> Array:
        action = super().act(observation, rows)
        action[:, 0] = 100 * observation[ENVIRONMENT_STATE][:, 0]
        return action


def seen(n_rows: int) -> Observation:
    return {STATE: np.zeros((n_rows, 6), np.float32)}


def ceiling(factor: float, solved: int) -> OracleResult:
    nothing = np.zeros((3, 6))
    return OracleResult(factor, tuple(factor * bound for bound in PARAMS.shape), solved, 20, 10.0, nothing, nothing[0])


def at(solved: dict[float, int], bound: reach.Bound, factor: float) -> OracleResult:
    return dataclasses.replace(ceiling(factor, solved[factor]), bound=bound)


def test_correction_ends_at_the_bound_of_each_joint() -> None:
    bound = (1.0, 2.0, 3.0, 0.0, 5.0, 6.0)
    policy = ReachPolicy(Fixed([10.0] * 6), Fixed([0.0, 9.0, 13.0, 99.0, 14.0, 30.0]), bound)

    np.testing.assert_allclose(policy.act(seen(2), np.arange(2)), [[9.0, 9.0, 13.0, 10.0, 14.0, 16.0]] * 2, rtol=1e-6)
    np.testing.assert_allclose(np.concatenate(policy.wanted), [[10.0, 1.0, 3.0, 89.0, 4.0, 20.0]] * 2)


def test_what_is_executed_is_what_a_residual_network_with_that_answer_would_execute() -> None:
    base, wanted, bound = arm.UPPER - 1.0, np.add(arm.UPPER, [9, -9, 0, -1.5, 9, -9]), np.full(6, 2.0)
    answer = np.clip((wanted.astype(np.float32) - base.astype(np.float32)) / bound.astype(np.float32), -1.0, 1.0)
    action = ReachPolicy(Fixed(base), Fixed(wanted), bound.tolist()).act(seen(1), np.arange(1))

    np.testing.assert_array_equal(action[0], add_residual(base, answer, bound))
    assert (action[0] <= arm.UPPER.astype(np.float32)).all()
    assert (base + answer * bound > arm.UPPER).any()  # or the limits would not be tried


def test_no_reach_is_the_base_to_the_bit(task: ModuleType) -> None:
    env, spec = task.AimEnv(4), task.SPEC
    seeds = range(20)
    alone = reach.measure_base(env, ChunkedPolicy(task.Aimer(spec, task.MISS_DEG), spec, 4), seeds)
    still = reach.measure(env, ChunkedPolicy(task.Aimer(spec, task.MISS_DEG), spec, 4), Knowing(), seeds, NO_REACH, 0.0)

    assert (alone.factor, alone.bound, alone.n_scenes) == (0.0, NO_REACH, 20)
    assert (still.solved, still.n_scenes) == (alone.solved, alone.n_scenes)
    assert np.isnan(alone.wanted).all()


def test_ceiling_rises_where_the_bound_reaches_over_what_the_base_misses(task: ModuleType) -> None:
    """The base is 1.5 degrees off and 1.2 are allowed: a reach of 0.2 is too little, 0.4 is enough."""
    measured = []
    for bound in (0.2, 0.4):
        base, knowing = ChunkedPolicy(task.Aimer(task.SPEC, 1.5), task.SPEC, 4), Knowing()
        measured.append(reach.measure(task.AimEnv(4), base, knowing, range(20), (bound, *NO_REACH[1:]), bound))

    assert [one.solved for one in measured] == [0, 20]
    assert math.isnan(measured[0].steps_mean)
    assert measured[1].steps_mean == 3.0
    np.testing.assert_allclose(measured[1].wanted[:, 0], 1.5, atol=1e-4)  # the same at every step
    assert measured[1].saturated[0] == 1.0
    assert knowing.started == list(range(20))


def test_sweep_measures_every_factor() -> None:
    found = reach.sweep(functools.partial(at, {0.25: 12, 0.5: 18, 1.0: 19, 2.0: 20}), PARAMS)

    assert [(one.factor, one.solved) for one in found] == [(0.25, 12), (0.5, 18), (1.0, 19), (2.0, 20)]
    assert found[0].bound == (0.5, 0.25, 0.25, 0.25, 0.25, 1.0)


def of_200(*solved: int) -> list[OracleResult]:
    """Results of the base and of the default's factors."""
    factors = (0.0, 0.5, 0.75, 1.0, 1.5)
    return [dataclasses.replace(ceiling(f, n), n_scenes=200) for f, n in zip(factors, solved, strict=True)]


def test_the_fitted_factor_is_where_a_logistic_curve_meets_the_target(caplog: pytest.LogCaptureFixture) -> None:
    curve = [
        dataclasses.replace(ceiling(f, round(1e6 / (1 + math.exp(-(0.2 + 3.5 * f))))), n_scenes=10**6) for f in (0, 0.5, 1, 2)
    ]

    assert reach.fitted_factor(curve, 0.97) == pytest.approx((math.log(0.97 / 0.03) - 0.2) / 3.5, abs=1e-3)
    assert reach.fitted_factor(curve, 0.8) == 0.5, "no smaller than what was tried"
    assert caplog.records == []


@pytest.mark.parametrize("solved", [(111, 178, 194, 199, 200), (110, 177, 189, 195, 200)])
def test_no_single_scene_changes_the_fitted_factor_by_more_than_4_percent(solved: tuple[int, ...]) -> None:
    """What two machines measured; a threshold at 97 % took 0.75 for one and 1.0 for the other."""
    chosen = reach.fitted_factor(of_200(*solved), 0.97)
    others = [
        reach.fitted_factor(of_200(*(n + change if i == j else n for j, n in enumerate(solved))), 0.97)
        for i in range(len(solved))
        for change in (-1, 1)
        if solved[i] + change <= 200
    ]

    assert 0.75 < chosen < 1.0
    assert max(abs(one / chosen - 1) for one in others) < 0.04


def test_a_curve_of_all_or_nothing_stays_finite() -> None:
    assert 0.5 <= reach.fitted_factor(of_200(0, 200, 200, 200, 200), 0.97) <= 0.75
    assert reach.fitted_factor(of_200(200, 200, 200, 200, 200), 0.97) == 0.5


def test_where_no_reach_is_enough_the_largest_is_taken_and_its_ceiling_said(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert reach.fitted_factor(of_200(100, 110, 120, 130, 140), 0.9) == 1.5
        assert reach.fitted_factor(of_200(140, 130, 120, 110, 100), 0.9) == 1.5

    assert caplog.text.count("no reach that was tried allows 90.0 %: the largest, factor 1.5, allows 70.0 %; raise") == 1


def test_joints_are_cut_one_by_one() -> None:
    found = reach.per_joint(functools.partial(at, {0.0: 5, 0.5: 9}), PARAMS.shape, (0.5, 0.0))

    assert [(one.joint, one.solved) for one in found[:2]] == [("shoulder_pan", 9), ("shoulder_pan", 5)]
    assert found[0].bound == (1.0, 1.0, 1.0, 1.0, 1.0, 4.0)
    assert found[-1].bound == (2.0, 1.0, 1.0, 1.0, 1.0, 0.0)
    assert len(found) == 12


def test_bound_comes_back_from_its_folder(tmp_path: Path) -> None:
    chosen = ceiling(0.5, 19)
    reach.save_bound(reach.with_margin(chosen, 3.0), chosen, tmp_path)
    about = json.loads((tmp_path / reach.BOUND_FILE).read_text())

    assert reach.load_bound(tmp_path) == (3.0, 1.5, 1.5, 1.5, 1.5, 6.0)
    assert (about["reach"], about["ceiling"]) == ([1.0, 0.5, 0.5, 0.5, 0.5, 2.0], 0.95)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, r"bound\.json does not exist.*dvc repro -f reach"),
        ("{", r"bound\.json holds no bound of the residual: it is not JSON"),
        ("[1]", r"holds no bound of the residual: it holds a list"),
        ('{"factor": 1}', r"bound is None; it must be 6 finite numbers above 0"),
        ('{"bound": [1, 2]}', r"bound is \[1, 2\]; it must be 6 finite numbers above 0"),
        ('{"bound": [1, 2, 3, 4, 5, 0]}', r"it must be 6 finite numbers above 0"),
        ('{"bound": [1, 2, 3, 4, 5, NaN]}', r"it must be 6 finite numbers above 0"),
        ('{"bound": [1, 2, 3, 4, 5, "6"]}', r"it must be 6 finite numbers above 0"),
        ('{"bound": 7}', r"bound is 7; it must be 6 finite numbers above 0"),
    ],
)
def test_bound_that_cannot_be_used_is_named(tmp_path: Path, text: str | None, message: str) -> None:
    if text is not None:
        (tmp_path / reach.BOUND_FILE).write_text(text)

    with pytest.raises(StageError, match=message):
        reach.load_bound(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"shape": [1.0] * 5}, "shape has 5 entries; it takes 6"),
        ({"shape": [0.0] * 6}, r"(?s)shape\[0\] is 0.0; it must be above 0.*shape\[5\] is 0.0"),
        ({"factors": []}, r"factors is \[\]; it must be one entry or more"),
        ({"factors": [1.0, 0.5]}, r"factors is \[1.0, 0.5\]; it must be numbers that rise"),
        ({"target": 98.0}, "target is 98.0; it must be above 0 and below 1"),
        ({"margin": 0.9}, "margin is 0.9; it must be at least 1 .* the bound must not be below the reach"),
        ({"joint_factors": [1.0]}, r"joint_factors\[0\] is 1.0; it must be at least 0 and below 1"),
    ],
)
def test_parameters_that_make_no_sense_are_refused(change: dict[str, object], message: str) -> None:
    section = {key: list(value) if isinstance(value, tuple) else value for key, value in dataclasses.asdict(PARAMS).items()}

    with pytest.raises(ParamsError, match=message):
        build(ReachParams, {**section, **change}, where="params.yaml: reach")
