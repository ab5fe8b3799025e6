"""A simulator with long physics steps, and pieces of runs that it would have logged: identification is quick on both."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest

from soarm import arm
from soarm.policy import clip_to_limits
from soarm.runtime.excitation import motion
from soarm.runtime.log import Run, record_type
from soarm.runtime.safety import Limits
from soarm.sim.env import SimEnv
from soarm.sim.params import SimParams
from soarm.spec import STATE
from soarm.tasks.pick_place import TASK


@pytest.fixture(scope="session")
def coarse(sim: SimParams) -> SimParams:
    """The simulator at 90 Hz."""
    return dataclasses.replace(sim, n_substeps=3)


@pytest.fixture(scope="session")
def swing() -> Callable[..., np.ndarray]:
    """The exciting motion at 30 Hz: seconds -> targets."""
    limits = Limits.usual(arm.LOWER, arm.UPPER)
    return lambda seconds=10.0: motion(seconds, 30, limits)


@pytest.fixture(scope="session")
def run_of() -> Callable[..., Run]:
    """What a simulated arm logs that is sent targets: simulator, targets -> log."""

    def make(sim: SimParams, targets: np.ndarray) -> Run:
        env = SimEnv(
            dataclasses.replace(sim, task=dataclasses.replace(sim.task, home=tuple(targets[0]), home_jitter=(0.0,) * 6))
        )
        records = np.zeros(len(targets), record_type(*TASK.objects.shape))
        observation, _ = env.reset(seed=0)
        for i, target in enumerate(targets):
            before = records["q_present"][i - 1] if i else observation[STATE]
            records["q_present"][i] = observation[STATE]
            records["velocity"][i] = (observation[STATE] - before) * sim.control_hz
            records["t_s"][i], records["q_sent"][i], records["sent"][i] = i / sim.control_hz, clip_to_limits(target), 1
            observation = env.step(target)[0]
        records["voltage_v"] = 7.4
        return Run(TASK, {"gains": {"p": [32] * 6}}, records, 0)

    return make
