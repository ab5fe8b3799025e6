"""Measure how long an exported policy takes to answer, for one arm, on the machine this runs on."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from soarm.policy import Observation
from soarm.runtime.bundle import RESIDUAL, Bundle
from soarm.runtime.eye import load_eye
from soarm.runtime.onnx_policy import OnnxBase, OnnxResidual, load_policy
from soarm.spec import IMAGES
from soarm.tasks.registry import find

N_WARM_UP = 20
"""Calls before the clock starts: the first ones allocate."""


class Latency(NamedTuple):
    """Wall time of one call [ms]."""

    median_ms: float
    p99_ms: float


def measure(bundle: Bundle, n_calls: int) -> dict[str, Latency]:
    """Time the networks of a bundle and the whole control step.

    Returns:
        "act": one chunk predicted; "residual": one residual predicted (where there is one); "eye": objects estimated from a
        picture of each of its cameras (where there is one); "tick": one control step of the
        bundle's best policy, forward kinematics and queue included, of which every `n_action_steps`-th asks ACT.
    """
    observation = _observation(bundle)
    act = OnnxBase(bundle)
    found = {"act": time_calls(lambda: act.predict_chunks(observation), n_calls)}
    has_residual = RESIDUAL in bundle.sessions
    if has_residual:
        residual = OnnxResidual(bundle)
        seen = np.zeros((1, find(bundle.spec.task).residual_observation.dim), np.float32)
        found["residual"] = time_calls(lambda: residual.predict_residual(seen), n_calls)
    if bundle.eye_cameras:
        eye, cameras = load_eye(bundle), bundle.eye_cameras.items()
        pictures = {f"{IMAGES}.{name}": np.zeros((1, *feature.shape), np.uint8) for name, feature in cameras}
        looked: Observation = {**observation, **pictures}
        found["eye"] = time_calls(lambda: eye.estimate(looked), n_calls)
    policy = load_policy(bundle, n_rows=1, which="residual" if has_residual else "base")
    row = np.zeros(1, np.intp)
    policy.reset(row, [0])
    found["tick"] = time_calls(lambda: policy.act(observation, row), n_calls)
    return found


def time_calls(call: Callable[[], object], n_calls: int) -> Latency:
    """Call `n_calls` times after a warm-up and return median and 99th percentile."""
    for _ in range(N_WARM_UP):
        call()
    taken_ms = np.empty(n_calls)
    for i in range(n_calls):
        start = time.perf_counter()
        call()
        taken_ms[i] = 1e3 * (time.perf_counter() - start)
    return Latency(float(np.median(taken_ms)), float(np.percentile(taken_ms, 99)))


def _observation(bundle: Bundle) -> Observation:
    """Return one observation of zeros: the time of a dense network does not depend on the values."""
    features = bundle.spec.features.items()
    return {key: np.zeros((1, *feature.shape), feature.dtype) for key, feature in features if key.startswith("observation.")}
