"""One run of the study: a method is trained to the budget, then base and final policy meet on the test scenes."""

from __future__ import annotations

import dataclasses
import itertools
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from soarm.errors import ParamsError
from soarm.evaluation.evaluator import ScenesParams, evaluate
from soarm.evaluation.results import Results
from soarm.policies import ChunkedPolicy
from soarm.policy import BatchPolicy
from soarm.residual.training import Track
from soarm.rollout import BatchEnv
from soarm.seeds import scene_seeds
from soarm.study import measures
from soarm.study.method import Method, MethodInput, MethodResult
from soarm.study.variants import Variant

logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class StudyRun:
    """What a run leaves.

    Attributes:
        result: Of the method.
        base: Rows of the base, chunking as the variant wants, on the test scenes.
        policy: Rows of the final policy on the same scenes.
        metrics: Of both.
    """

    result: MethodResult
    base: Results
    policy: Results
    metrics: dict[str, Any]

    def save(self, folder: Path) -> None:
        """Write `curve.csv`, `base.parquet` and `policy.parquet` (and both as CSV) into `folder`."""
        measures.write_curve(self.result.curve, folder / "curve.csv")
        self.base.save(folder, "base")
        self.policy.save(folder, "policy")


def find_method(variant: Variant, name: str, methods: dict[str, Method]) -> Method:
    """Return the method of a variant.

    Raises:
        ParamsError: There is none of that name.
    """
    if variant.method not in methods:
        raise ParamsError(
            f"params.yaml: study.variants.{name}: method is {variant.method!r}; there are {sorted(methods)} "
            "(soarm/study/methods.py)"
        )
    return methods[variant.method]


def run(
    method: Method,
    inputs: MethodInput,
    make_env: Callable[[int], BatchEnv],
    test: ScenesParams,
    track: Track = lambda seeds, total, description: seeds,
) -> StudyRun:
    """Train with a method and evaluate what it gives.

    Args:
        method: The method.
        inputs: What it works with.
        make_env: Makes test environments with as many rows as asked for.
        test: How to evaluate.
        track: Wraps test scenes to show progress.
    """
    start_s = time.monotonic()
    result = method(inputs)
    wall_s = time.monotonic() - start_s
    _require_curve(result, inputs)
    env, seeds = make_env(test.n_rows), scene_seeds("test")[: test.n_scenes]

    def rows(policy: BatchPolicy, name: str) -> Results:
        scenes = track(seeds, len(seeds), f"evaluating {name}")
        return evaluate(env, policy, scenes, knocked_away_m=test.knocked_away_m)

    base = rows(ChunkedPolicy(inputs.base, inputs.base.spec, test.n_rows), "the base")
    policy = rows(result.policy(test.n_rows), "the final policy")
    budget, to_target = inputs.params.env_steps, measures.steps_to_target(result.curve)
    metrics = {
        **result.metrics,
        **measures.compared(base, policy, env.control_hz),
        "budget": budget,
        "auc": float(np.mean(measures.area(result.curve, budget))),
        "n_validation_scenes": len(result.curve[0].solved),
        "validation_success_first": result.curve[0].success_rate,
        "validation_success_last": result.curve[-1].success_rate,
        "steps_to_90": to_target,  # infinity is written as null
        "seconds_to_90": to_target / result.metrics["env_steps_per_s"],
        "training_s": wall_s,
    }
    return StudyRun(result, base, policy, metrics)


def _require_curve(result: MethodResult, inputs: MethodInput) -> None:
    steps = [point.step for point in result.curve]
    assert steps[:1] == [0], "a method's curve starts before it learns"
    assert all(a < b for a, b in itertools.pairwise(steps)), f"a method's curve goes forward: {steps}"
    assert {"env_steps", "env_steps_per_s"} <= set(result.metrics), "a method says how many steps it took, and how fast"
    if steps[-1] < 0.9 * inputs.params.env_steps:
        logger.warning("the curve ends at step %d of a budget of %d", steps[-1], inputs.params.env_steps)
