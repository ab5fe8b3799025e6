"""One training run of an eye at some step; `soarm.eye.training` drives and stores it."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from soarm.act.trainer import set_learning_rate
from soarm.act.windows import Shuffle
from soarm.errors import TrainingError
from soarm.estimation import Questions
from soarm.eye.frames import Frames
from soarm.eye.loss import Units, counted, loss
from soarm.eye.network import Eye, EyeConfig
from soarm.kinematics import pose_of
from soarm.policy import Array
from soarm.quantities import Count, NotNegative, Positive, PositiveShare, Share, Whole
from soarm.spec import IMAGES, STATE, Feature

_POSE_FLOOR = 0.01
_EVALUATION_BATCH = 500


@dataclasses.dataclass(frozen=True)
class LearnParams:
    """How an eye learns.

    Attributes:
        steps: Optimiser steps.
        batch_size: Frames per step.
        learning_rate: Peak of the schedule.
        warmup_steps: Steps of linear warm-up, less than `steps`.
        weight_decay: AdamW's.
        max_grad_norm: The gradient is clipped to this norm.
        brightness: Pictures are made brighter or darker by up to this share, all of a frame alike.
        log_every: Steps between validations; each makes one row of the training curves.
        checkpoint_every: Steps between checkpoints to resume from.
    """

    steps: Count
    batch_size: Count
    learning_rate: PositiveShare
    warmup_steps: Whole
    weight_decay: NotNegative
    max_grad_norm: Positive
    brightness: Share
    log_every: Count
    checkpoint_every: Count

    def __post_init__(self) -> None:
        if not self.warmup_steps < self.steps:
            raise ValueError(f"warmup_steps is {self.warmup_steps}; it must be in 0..steps - 1 ({self.steps - 1})")


class Labelled:
    """Frames with what is in them.

    Args:
        frames: Pictures.
        state: Joints, shape (N, 6) [deg x 5, percent].
        objects: True objects, shape (N, n).
    """

    def __init__(self, frames: Frames, state: Array, objects: Array) -> None:
        self.frames, self.state, self.objects = frames, state, objects

    def __len__(self) -> int:
        return len(self.state)

    def observation(self, rows: slice) -> dict[str, Any]:
        """Return what an `EyeNetwork` looks at."""
        return {f"{IMAGES}.{name}": pictures[rows] for name, pictures in self.frames.items()} | {STATE: self.state[rows]}


class EyeTrainer:
    """An eye, its optimiser and its data, at some step; everything a resumed run must find again.

    Args:
        training: Frames to learn from.
        held_out: Frames to validate on.
        questions: What is asked of them.
        network: Sizes.
        params: How it learns.
        seed: Seed of the data's order; torch's random stream is seeded by the caller.
    """

    def __init__(
        self, training: Labelled, held_out: Labelled, questions: Questions, network: EyeConfig, params: LearnParams, seed: int
    ) -> None:
        self.params, self.questions, self.step, self.wall_s = params, questions, 0, 0.0
        targets, pose = questions.targets(training.state, training.objects), pose_of(training.state)
        units = Units.of(questions, targets)
        features = {name: Feature.image(*pictures.shape[1:3]) for name, pictures in training.frames.items()}
        self.model = Eye(network, questions.task, features)
        self.model.fit_units(units.mean, units.scale, pose.mean(axis=0), np.maximum(pose.std(axis=0), _POSE_FLOOR))
        self._units = torch.from_numpy(units.scale), torch.from_numpy(units.weight)
        self._frames = {name: torch.from_numpy(pictures) for name, pictures in training.frames.items()}
        self._pose, self._target = torch.from_numpy(pose), torch.from_numpy(targets)
        self._counts, self._held_out = torch.from_numpy(counted(questions, targets)), held_out
        self.optimiser = torch.optim.AdamW(
            self.model.parameters(), lr=params.learning_rate, weight_decay=params.weight_decay, fused=True
        )
        self.shuffle = Shuffle(len(training), params.batch_size, seed)
        self.total, self.n_summed = 0.0, 0
        self.identity = {"params": dataclasses.asdict(params), "network": dataclasses.asdict(network), "seed": seed}

    def advance(self) -> None:
        """Take one optimiser step."""
        start_s = time.perf_counter()
        set_learning_rate(self.optimiser, self.step, self.params)
        rows = self.shuffle.next()
        light = 1.0 + self.params.brightness * (2.0 * torch.rand(len(rows), 1, 1, 1) - 1.0)
        pictures = {name: (frames[rows].float() * light).clamp_(0.0, 255.0) for name, frames in self._frames.items()}
        given = self.model(pictures, self._pose[rows])
        found = loss(self.questions, self._units, given, self._target[rows], self._counts[rows])
        self.optimiser.zero_grad(set_to_none=True)
        found.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.params.max_grad_norm)
        self.optimiser.step()
        self.total += float(found.detach())
        self.n_summed += 1
        self.step += 1
        self.wall_s += time.perf_counter() - start_s

    def report(self) -> dict[str, float]:
        """Return the mean loss since the last report and the errors on held-out frames.

        Raises:
            TrainingError: The loss is no longer finite.
        """
        mean = self.total / self.n_summed
        if not np.isfinite(mean):
            raise TrainingError(
                f"the loss of the eye is not finite before step {self.step}; lower train_eye.learn.learning_rate (now "
                f"{self.params.learning_rate})"
            )
        self.total, self.n_summed = 0.0, 0
        objects, truth = self.answers()[0], self._held_out.objects
        errors = {"train_loss": mean}
        for answer in self.questions.answers:
            xy = list(answer.at[:2])
            errors[f"{answer.name}_mm"] = 1e3 * float(np.median(np.linalg.norm(objects[:, xy] - truth[:, xy], axis=1)))
        return errors

    def answers(self) -> tuple[Array, Array]:
        """Return objects and expected errors of the held-out frames, see `soarm.estimation.Estimator`."""
        self.model.eval()
        blocks = [slice(first, first + _EVALUATION_BATCH) for first in range(0, len(self._held_out), _EVALUATION_BATCH)]
        given = np.concatenate([self.model.look(self._held_out.observation(block)) for block in blocks])
        self.model.train()
        return self.questions.read(self._held_out.state, given)

    def state_dict(self) -> dict[str, Any]:
        """Return all that changes while training."""
        return {
            "model": self.model.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "shuffle": self.shuffle.state_dict(),
            "counters": {"step": self.step, "wall_s": self.wall_s, "total": self.total, "n_summed": self.n_summed},
            "random": torch.get_rng_state(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where `state_dict` was taken."""
        self.model.load_state_dict(state["model"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.shuffle.load_state_dict(state["shuffle"])
        self.step, self.wall_s, self.total, self.n_summed = (
            state["counters"][name] for name in ("step", "wall_s", "total", "n_summed")
        )
        random: Tensor = state["random"]
        torch.set_rng_state(random)
