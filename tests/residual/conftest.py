"""A task in memory that a residual can learn: the base misses a target by a constant."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterable
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from soarm.policy import Array, Observation, Rows
from soarm.residual.exploration import ExplorationParams
from soarm.residual.learner import LearnerParams
from soarm.residual.objective import Ramp
from soarm.residual.td3bc import ResidualTD3BC
from soarm.residual.vec_env import BatchVecEnv
from soarm.rollout import StepResult
from soarm.spec import ACTION, ENVIRONMENT_STATE, JOINT_FEATURE, STATE, PolicySpec
from soarm.tasks.pick_place import TASK

SPEC = PolicySpec(
    features={STATE: JOINT_FEATURE, ENVIRONMENT_STATE: TASK.objects, ACTION: JOINT_FEATURE},
    control_hz=30,
    chunk_size=6,
    n_action_steps=4,
)
SCALE = (3.0,) * 6
MISS_DEG, TOLERANCE_DEG = 1.5, 1.2
LIMIT = 12


class AimEnv:
    """Hold the first joint within 1.2 degrees of 100 x cube.x degrees for 3 steps; 12 steps are the limit."""

    control_hz = 30

    def __init__(self, n_rows: int) -> None:
        self.n_rows, self.task = n_rows, TASK
        self.joints = np.zeros((n_rows, 6), np.float32)
        self.objects = np.zeros((n_rows, 7), np.float32)
        self.held = np.zeros(n_rows, np.int64)
        self.age = np.zeros(n_rows, np.int64)
        self.seeds_seen: list[int] = []

    def reset(self, rows: Rows, seeds: Iterable[int]) -> Observation:
        for row, seed in zip(rows, seeds, strict=True):
            rng = np.random.default_rng(seed)
            self.joints[row] = rng.normal(0.0, 1.0, 6)
            self.objects[row] = rng.uniform(-0.2, 0.2, 7)
            self.held[row] = self.age[row] = 0
            self.seeds_seen.append(seed)
        return self._observe(rows)

    def step(self, actions: Array, rows: Rows) -> StepResult:
        self.joints[rows] = actions
        near = np.abs(self.joints[rows, 0] - 100 * self.objects[rows, 0]) < TOLERANCE_DEG
        self.held[rows] = np.where(near, self.held[rows] + 1, 0)
        self.age[rows] += 1
        terminated = self.held[rows] >= 3
        truncated = ~terminated & (self.age[rows] >= LIMIT)
        info = {"is_success": terminated, "stage": np.zeros(len(rows), np.int64)}
        return StepResult(self._observe(rows), terminated.astype(np.float64), terminated, truncated, info)

    def _observe(self, rows: Rows) -> Observation:
        return {STATE: self.joints[rows].copy(), ENVIRONMENT_STATE: self.objects[rows].copy()}


class Aimer(nn.Module):
    """A chunk model that aims `miss` degrees beside the target, with a little of the state in it."""

    def __init__(self, spec: PolicySpec, miss: float) -> None:
        super().__init__()
        self.spec = spec
        self.miss = nn.Parameter(torch.tensor(miss))

    @property
    def blueprint(self) -> AimerBlueprint:
        return AimerBlueprint(self.spec)

    def predict_chunks(self, observation: Observation) -> Array:
        target = 100 * observation[ENVIRONMENT_STATE][:, 0] + self.miss.item()
        chunk = np.zeros((len(target), 6, 6), np.float32)
        chunk[:, :, 0] = target[:, None]
        chunk[:, :, 1:] = 0.1 * observation[STATE][:, None, 1:] * np.arange(6)[:, None]
        return chunk


@dataclasses.dataclass(frozen=True)
class AimerBlueprint:
    spec: PolicySpec

    def build(self) -> Aimer:
        return Aimer(self.spec, 0.0)


LEARNER = LearnerParams(
    critic_lr=1e-3,
    actor_lr=1e-3,
    batch_size=64,
    buffer_size=20_000,
    gamma=0.9,
    n_steps=3,
    tau=0.02,
    train_freq=1,
    gradient_steps=1,
    overlap=True,
    policy_delay=2,
    target_policy_noise=0.1,
    target_noise_clip=0.3,
    value_min=0.0,
    value_max=1.0,
    warmup_updates=20,
    q_floor=0.1,
    max_grad_norm=1.0,
    penalty=Ramp(0.5, 0.05, 0.5),
    imitation=Ramp(1.0, 0.0, 0.5),
    demonstration_share=0.0,
    critic_loss_reduction="each",
    actor_q_reduction="in_turn",
    q_term_on="own",
    critic_action="executed",
    bootstrap_on_timeout=True,
)
EXPLORATION = ExplorationParams(prefill_steps=120, prefill_std=0.5, start_std=0.3, end_std=0.1, hold_steps=4)


def make_env(n_rows: int = 4) -> BatchVecEnv:
    return BatchVecEnv(AimEnv(n_rows), SPEC, range(1000, 1_000_000))


def make_model(
    n_rows: int = 4,
    seed: int = 0,
    learner: LearnerParams = LEARNER,
    exploration: ExplorationParams = EXPLORATION,
    policy_kwargs: dict[str, Any] | None = None,
    tensorboard_log: str | None = None,
) -> ResidualTD3BC:
    return ResidualTD3BC(
        "ResidualPolicy",
        make_env(n_rows),
        base_model=Aimer(SPEC, MISS_DEG),
        residual_scale=SCALE,
        learner=learner,
        exploration=exploration,
        policy_kwargs={"net_arch": [32, 32], **(policy_kwargs or {})},
        seed=seed,
        device="cpu",
        tensorboard_log=tensorboard_log,
    )


@pytest.fixture(scope="session")
def task() -> ModuleType:
    """What is above: pytest's importlib mode lets no test import another file."""
    return sys.modules[__name__]
