"""One training run of ACT at some step: network, average, optimiser, data, and how they move on.

Knows no file: `soarm.act.training` drives and stores it.
"""

from __future__ import annotations

import copy
import dataclasses
import math
import time
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from soarm import arm
from soarm.act.config import ACTConfig
from soarm.act.loss import losses, masked_l1
from soarm.act.model import ACT, Blueprint
from soarm.act.normalisation import Statistics
from soarm.act.windows import KEYS, Shuffle, Windows, require_usable, split_episodes
from soarm.base import Demonstrations
from soarm.errors import TrainingError
from soarm.policy import Array
from soarm.quantities import Count, InnerShare, NotNegative, Positive, PositiveShare, ShareBelowOne, Whole
from soarm.spec import DEFAULT_TASK, PolicySpec

_EVALUATION_BATCH = 256


@dataclasses.dataclass(frozen=True)
class TrainActParams:
    """Section `train_act` of params.yaml.

    Attributes:
        network: Sizes.
        device: Where to train; `auto` takes CUDA where there is one.
        steps: Optimiser steps.
        batch_size: Windows per step.
        learning_rate: Peak of the schedule.
        warmup_steps: Steps of linear warm-up, less than `steps`.
        weight_decay: AdamW's.
        max_grad_norm: The gradient is clipped to this norm.
        ema_decay: Decay of the moving average of weights, in [0, 1); the average is what is validated, saved and exported.
        std_floor: Smallest standard deviation to normalise with, in the feature's units.
        val_fraction: Share of the episodes held out for validation, in (0, 1).
        val_windows: At most so many held-out windows are validated on, evenly spaced.
        log_every: Steps between validations; each makes one row of the training curves.
        checkpoint_every: Steps between checkpoints to resume from.
    """

    network: ACTConfig
    device: Literal["auto", "cpu", "cuda"]
    steps: Count
    batch_size: Count
    learning_rate: PositiveShare
    warmup_steps: Whole
    weight_decay: NotNegative
    max_grad_norm: Positive
    ema_decay: ShareBelowOne
    std_floor: Positive
    val_fraction: InnerShare
    val_windows: Count
    log_every: Count
    checkpoint_every: Count

    def __post_init__(self) -> None:
        if not self.warmup_steps < self.steps:
            raise ValueError(f"warmup_steps is {self.warmup_steps}; it must be in 0..steps - 1 ({self.steps - 1})")


@dataclasses.dataclass(frozen=True)
class Result:
    """What training gives.

    Attributes:
        model: The network with averaged weights, in evaluation mode.
        metrics: Its figures: parameters, samples_per_s, val_l1_deg, val_gripper_percent, ...
    """

    model: ACT
    metrics: Mapping[str, float]


class Trainer:
    """A network, its optimiser and its data, at some step; everything a resumed run must find again.

    Args:
        demonstrations: The dataset.
        params: How to train.
        seed: Seed of the data's order and split; torch's random stream is seeded by the caller.
        device: Where.
        task: Name of the task, for the specification.

    Raises:
        DatasetError: The data cannot be learnt from.
    """

    def __init__(
        self,
        demonstrations: Demonstrations,
        params: TrainActParams,
        *,
        seed: int,
        device: torch.device,
        task: str | None = DEFAULT_TASK,
    ) -> None:
        require_usable(demonstrations)
        self.params, self.device, self.step, self.wall_s = params, device, 0, 0.0
        training, held_out = split_episodes(len(demonstrations.episode_starts) - 1, params.val_fraction, seed)
        self._windows = Windows(demonstrations, training, params.network.chunk_size, device)
        self._held_out = Windows(demonstrations, held_out, params.network.chunk_size, device)
        statistics = Statistics.of(_rows(demonstrations, training), params.std_floor)
        spec = PolicySpec(
            features={key: demonstrations.features[key] for key in KEYS if key in demonstrations.features},
            control_hz=demonstrations.fps,
            chunk_size=params.network.chunk_size,
            n_action_steps=params.network.n_action_steps,
            temporal_ensemble_coeff=params.network.temporal_ensemble_coeff,
            statistics_hash=statistics.hash,
            dataset_hash=demonstrations.hash,
            task=task,
        )
        self.model = Blueprint(params.network, spec).build().to(device).train()
        self.model.fit_normalisation(statistics)
        self.average = copy.deepcopy(self.model).eval().requires_grad_(False)
        self.optimiser = torch.optim.AdamW(
            self.model.parameters(), lr=params.learning_rate, weight_decay=params.weight_decay, fused=True
        )
        self.shuffle = Shuffle(len(self._windows), params.batch_size, seed)
        self.sums = torch.zeros(3, device=device)  # of l1, kl and gradient norm since the last report
        self.n_summed = 0
        self.identity = {"params": dataclasses.asdict(params), "seed": seed, "spec": spec.to_dict()}

    def advance(self) -> None:
        """Take one optimiser step."""
        start_s = time.perf_counter()
        rate = learning_rate(self.step, self.params.learning_rate, self.params.warmup_steps, self.params.steps)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        found = losses(self.model, self._windows.gather(self.shuffle.next()))
        self.optimiser.zero_grad(set_to_none=True)
        found.total.backward()  # type: ignore[no-untyped-call]
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.params.max_grad_norm)
        self.optimiser.step()
        update_average(self.average, self.model, self.step, self.params.ema_decay)
        self.sums += torch.stack([found.l1.detach(), found.kl.detach(), norm])
        self.n_summed += 1
        self.step += 1
        self.wall_s += time.perf_counter() - start_s

    def report(self) -> dict[str, float]:
        """Return the means since the last report and the validation, for the training curves.

        Raises:
            TrainingError: The loss is no longer finite.
        """
        l1, kl, norm = (self.sums / self.n_summed).tolist()
        if not np.isfinite([l1, kl, norm]).all():
            raise TrainingError(
                f"the loss of ACT is not finite before step {self.step} (l1 {l1}, kl {kl}, gradient norm {norm}); lower "
                f"train_act.learning_rate (now {self.params.learning_rate}) or max_grad_norm (now {self.params.max_grad_norm})"
            )
        self.sums.zero_()
        self.n_summed = 0
        rate = learning_rate(self.step - 1, self.params.learning_rate, self.params.warmup_steps, self.params.steps)
        return {"train_l1": l1, "kl": kl, "grad_norm": norm, "lr": rate, **self.validate()}

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """Return the mean absolute error of the averaged network on held-out episodes, latent at zero."""
        count = min(len(self._held_out), self.params.val_windows)
        rows = torch.linspace(0, len(self._held_out) - 1, count).long()
        total, n_valid = torch.zeros(arm.N_JOINTS, device=self.device), 0
        for part in torch.split(rows, _EVALUATION_BATCH):
            batch = self._held_out.gather(part)
            n = int((~batch.is_pad).sum())
            total += n * masked_l1(self.average(batch.observation), batch.action, batch.is_pad)
            n_valid += n
        error = (total / n_valid).tolist()
        gripper = error.pop(arm.GRIPPER)
        return {"val_l1_deg": float(np.mean(error)), "val_gripper_percent": gripper}

    def result(self) -> Result:
        """Return the averaged network and its figures."""
        metrics = {
            "parameters": self.average.n_parameters,
            "samples_per_s": round(self.step * self.params.batch_size / self.wall_s, 1),
            "train_windows": len(self._windows),
            **self.validate(),
        }
        return Result(self.average.cpu(), metrics)

    def state_dict(self) -> dict[str, Any]:
        """Return all that changes while training."""
        return {
            "model": self.model.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "shuffle": self.shuffle.state_dict(),
            "counters": {"step": self.step, "wall_s": self.wall_s, "n_summed": self.n_summed},
            "sums": self.sums,
            "random": _random_state(self.device),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where `state_dict` was taken."""
        self.model.load_state_dict(state["model"])
        self.average.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.shuffle.load_state_dict(state["shuffle"])
        self.step, self.wall_s, self.n_summed = (state["counters"][name] for name in ("step", "wall_s", "n_summed"))
        self.sums = state["sums"].to(self.device)
        torch.set_rng_state(state["random"]["cpu"])
        if self.device.type == "cuda":
            torch.cuda.set_rng_state(state["random"]["cuda"], self.device)


def learning_rate(step: int, peak: float, warmup_steps: int, steps: int) -> float:
    """Return the learning rate of step 0..steps - 1: linear warm-up to `peak`, then half a cosine down towards zero."""
    if step < warmup_steps:
        return peak * (step + 1) / warmup_steps
    return 0.5 * peak * (1.0 + math.cos(math.pi * (step - warmup_steps) / (steps - warmup_steps)))


@torch.no_grad()
def update_average(average: nn.Module, model: nn.Module, step: int, decay: float) -> None:
    """Move the weights of `average` towards those of `model`.

    The decay grows with the step, min(decay, (1 + step) / (10 + step)), so that the first weights are soon forgotten.
    """
    weight = 1.0 - min(decay, (1 + step) / (10 + step))
    torch._foreach_lerp_(list(average.parameters()), list(model.parameters()), weight)


def _rows(demonstrations: Demonstrations, episodes: NDArray[np.int64]) -> dict[str, Array]:
    starts = demonstrations.episode_starts
    chosen = np.concatenate([np.arange(starts[e], starts[e + 1]) for e in episodes])
    return {key: demonstrations.columns[key][chosen] for key in KEYS if key in demonstrations.columns}


def _random_state(device: torch.device) -> dict[str, Tensor]:
    state = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        state["cuda"] = torch.cuda.get_rng_state(device)
    return state
