"""Bound search: success of an oracle residual under several bounds, and the bound that follows from it.

The oracle residual knows what the demonstrator knows: it executes base + clip(demonstrator - base, -bound, bound). Its success
says what a bound allows, in seconds, before anything is learnt. It is no strict upper limit: reinforcement may find a way that
this demonstrator does not take.

Knows policies and environments by their protocols; knows no simulator, no demonstrator and no network.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import math
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import scipy.optimize
from numpy.typing import NDArray

from soarm import arm
from soarm.errors import SmallFileError, StageError
from soarm.policy import Array, BatchPolicy, Observation, Rows, add_residual
from soarm.quantities import RISING, SOME, Count, Positive, ShareBelowOne, Threads, within
from soarm.rollout import BatchEnv, rollout
from soarm.seeds import Scenes
from soarm.smallfile import load_json, shown

logger = logging.getLogger(__name__)
Bound = tuple[float, ...]
"""Of the residual per joint, shape (6,) [deg x 5, percent]."""

BOUND_FILE = "bound.json"
QUANTILES = (0.5, 0.9, 0.99)


_Reach = Annotated[float, within(above=0, most=360)]
_Target = Annotated[float, within(above=0, below=1)]
_Margin = Annotated[float, within(least=1, most=100, why="the bound must not be below the reach that was measured")]


@dataclasses.dataclass(frozen=True)
class ReachParams:
    """The stage `reach`.

    Attributes:
        shape: Bound per joint at factor 1, shape (6,) [deg x 5, percent].
        factors: Of the shape, each tried; the chosen one lies between the smallest and the largest.
        target: Success that the chosen bound must allow, above 0 and below 1.
        margin: The residual's bound is the chosen one times this, at least 1. A residual that needs all of its bound has to
            sit at its edge where scenes are hard, and learns slowly: the variant `no_margin` in docs/results.md.
        n_scenes: Validation scenes per rollout.
        n_rows: Episodes simulated at once.
        n_threads: Threads that step physics.
        joint_factors: Factors on one joint's bound, to measure what its reach is worth; none takes no time.
    """

    shape: tuple[_Reach, _Reach, _Reach, _Reach, _Reach, _Reach]
    factors: Annotated[tuple[Positive, ...], SOME, RISING]
    target: _Target
    margin: _Margin
    n_scenes: Scenes
    n_rows: Count
    n_threads: Threads
    joint_factors: tuple[ShareBelowOne, ...]


@dataclasses.dataclass(frozen=True)
class OracleResult:
    """Success of the oracle residual under one bound.

    Attributes:
        factor: Of the shape, or of one joint's bound; 0 of the shape is the base alone.
        bound: Bound per joint, shape (6,) [deg x 5, percent].
        solved: Scenes solved.
        n_scenes: Scenes tried.
        steps_mean: Mean length of the solved episodes [control steps]; NaN without one.
        wanted: |demonstrator - base| per joint, `QUANTILES` of it, shape (3, 6) [deg x 5, percent]; NaN for the base alone.
        saturated: Share of steps in which the bound cuts the correction off, per joint, shape (6,); NaN for the base alone.
        joint: The one joint whose bound was changed, None when it is all of them.
    """

    factor: float
    bound: Bound
    solved: int
    n_scenes: int
    steps_mean: float
    wanted: NDArray[np.float64]
    saturated: NDArray[np.float64]
    joint: str | None = None

    @property
    def success_rate(self) -> float:
        """Share of scenes solved."""
        return self.solved / self.n_scenes


class ReachPolicy:
    """The oracle residual, a `BatchPolicy`: the base, corrected towards a demonstrator as far as a bound allows.

    Args:
        base: The base.
        demonstrator: The oracle.
        bound: Bound per joint, shape (6,), at least 0 [deg x 5, percent].
    """

    def __init__(self, base: BatchPolicy, demonstrator: BatchPolicy, bound: Sequence[float]) -> None:
        self._base = base
        self._demonstrator = demonstrator
        self._bound = np.asarray(bound, np.float32)
        self.wanted: list[Array] = []
        """|demonstrator - base| of every step so far, each (B, 6)."""

    def reset(self, rows: Rows, seeds: Sequence[int]) -> None:
        """Reset both."""
        self._base.reset(rows, seeds)
        self._demonstrator.reset(rows, seeds)

    def act(self, observation: Observation, rows: Rows) -> Array:
        """Return clip(base + clip(demonstrator - base, -bound, bound))."""
        base = self._base.act(observation, rows)
        wanted = self._demonstrator.act(observation, rows) - base
        self.wanted.append(np.abs(wanted))
        residual = np.zeros_like(wanted)  # stays zero where the bound is
        np.divide(wanted, self._bound, out=residual, where=np.broadcast_to(self._bound > 0, wanted.shape))
        return add_residual(base, np.clip(residual, -1.0, 1.0), self._bound)


def measure(
    env: BatchEnv, base: BatchPolicy, demonstrator: BatchPolicy, seeds: Iterable[int], bound: Sequence[float], factor: float
) -> OracleResult:
    """Run one episode per seed with the oracle residual.

    Args:
        env: The environment; both policies have its number of rows.
        base: The base.
        demonstrator: The oracle.
        seeds: Of the scenes.
        bound: Bound per joint, shape (6,) [deg x 5, percent].
        factor: Of the bound, for the result.
    """
    policy = ReachPolicy(base, demonstrator, bound)
    solved, n_scenes, steps_mean = _run(env, policy, seeds)
    wanted = np.concatenate(policy.wanted).astype(np.float64)  # (steps of all episodes, 6)
    return OracleResult(
        factor=factor,
        bound=tuple(float(one) for one in bound),
        solved=solved,
        n_scenes=n_scenes,
        steps_mean=steps_mean,
        wanted=np.quantile(wanted, QUANTILES, axis=0),
        saturated=(wanted > np.asarray(bound)).mean(axis=0),
    )


def measure_base(env: BatchEnv, base: BatchPolicy, seeds: Iterable[int]) -> OracleResult:
    """Run one episode per seed with the base alone, without asking the demonstrator."""
    nothing = np.full((len(QUANTILES), arm.N_JOINTS), math.nan)
    return OracleResult(0.0, (0.0,) * arm.N_JOINTS, *_run(env, base, seeds), nothing, nothing[0])


def _run(env: BatchEnv, policy: BatchPolicy, seeds: Iterable[int]) -> tuple[int, int, float]:
    """Return scenes solved, scenes tried and the mean length of the solved episodes."""
    episodes = [(episode.success, len(episode)) for episode in rollout(env, policy, seeds)]
    lengths = [length for success, length in episodes if success]
    return len(lengths), len(episodes), float(np.mean(lengths)) if lengths else math.nan


Measure = Callable[[Bound, float], OracleResult]
"""`measure` with everything but bound and factor."""


def sweep(at: Measure, params: ReachParams) -> list[OracleResult]:
    """Return the result at each factor."""
    return [at_factor(at, params, factor) for factor in params.factors]


def at_factor(at: Measure, params: ReachParams, factor: float) -> OracleResult:
    """Return the result at one factor of the shape."""
    found = at(tuple(factor * bound for bound in params.shape), factor)
    logger.info("reach at factor %g: %d of %d scenes", factor, found.solved, found.n_scenes)
    return found


def fitted_factor(results: Sequence[OracleResult], target: float) -> float:
    """Return the factor at which a logistic regression of success on the factor meets the target.

    One curve through every rollout, so that no single scene decides: logit(success) = a + b * factor, by maximum likelihood
    (McCullagh and Nelder 1989, chapter 4). Half a scene is added to the solved and to the unsolved ones of
    each rollout, so that rollouts which solve all or nothing keep the curve finite (Haldane 1956).

    Args:
        results: That of the base alone (factor 0) and those of the sweep.
        target: Success, above 0 and below 1.

    Returns:
        The factor, no smaller than the smallest of the sweep and no larger than the largest; where the largest allows too
        little, with a warning.
    """
    factors = np.array([one.factor for one in results])
    solved = np.array([one.solved + 0.5 for one in results])
    tried = np.array([one.n_scenes + 1.0 for one in results])

    def loss(coefficients: NDArray[np.float64]) -> float:
        """Negative log-likelihood per scene."""
        logit = coefficients[0] + coefficients[1] * factors
        return float(np.sum(tried * np.logaddexp(0.0, logit) - solved * logit) / np.sum(tried))

    a, b = scipy.optimize.minimize(loss, (0.0, 0.0)).x
    wanted = math.log(target / (1.0 - target))
    swept = sorted((one for one in results if one.factor > 0), key=lambda one: one.factor)
    smallest, largest = swept[0], swept[-1]
    if a + b * smallest.factor >= wanted:
        return smallest.factor
    if a + b * largest.factor >= wanted:
        return float((wanted - a) / b)
    logger.warning(
        "no reach that was tried allows %.1f %%: the largest, factor %g, allows %.1f %%; raise reach.factors, or reach.shape "
        "where corrections are cut off",
        100 * target,
        largest.factor,
        100 * largest.success_rate,
    )
    return largest.factor


def per_joint(at: Measure, bound: Bound, factors: Sequence[float]) -> list[OracleResult]:
    """Return the results with one joint's bound multiplied by each of `factors`, joint by joint."""
    found = []
    for i, joint in enumerate(arm.JOINT_NAMES):
        for factor in factors:
            less = tuple(one * factor if i == j else one for j, one in enumerate(bound))
            found.append(dataclasses.replace(at(less, factor), joint=joint))
            logger.info("with %g of %s: %d of %d scenes", factor, joint, found[-1].solved, found[-1].n_scenes)
    return found


def with_margin(chosen: OracleResult, margin: float) -> Bound:
    """Return the residual's bound per joint: that of the chosen reach times the margin."""
    return tuple(margin * one for one in chosen.bound)


def save_bound(bound: Bound, chosen: OracleResult, folder: Path) -> None:
    """Write the residual's bound, the reach it follows from and the success under that reach to `folder`."""
    about = {
        "reach": list(chosen.bound),
        "factor": chosen.factor,
        "ceiling": chosen.success_rate,
        "n_scenes": chosen.n_scenes,
    }
    text = json.dumps({"bound": list(bound), **about}, indent=2)
    (folder / BOUND_FILE).write_text(text + "\n", encoding="utf-8")


def load_bound(folder: Path) -> Bound:
    """Return the residual's bound per joint, shape (6,) [deg x 5, percent].

    Args:
        folder: What the stage `reach` wrote.

    Raises:
        StageError: There is none, or it is not six numbers above 0.
    """
    path = folder / BOUND_FILE
    remedy = "Make it anew: `dvc repro -f reach`"
    if not path.exists():
        raise StageError(f"{path} does not exist, so the bound of the residual is unknown. {remedy}")
    try:
        bound = load_json(path, finite=False).get("bound")
    except SmallFileError as error:
        raise StageError(f"{path} holds no bound of the residual: it {error}. {remedy}") from None
    numbers = isinstance(bound, list) and all(isinstance(one, int | float) and 0 < one < math.inf for one in bound)
    if not numbers or len(bound) != arm.N_JOINTS:
        raise StageError(f"{path}: bound is {shown(bound)}; it must be {arm.N_JOINTS} finite numbers above 0. {remedy}")
    return tuple(float(one) for one in bound)
