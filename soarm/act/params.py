"""Section `train_act` of params.yaml."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Literal

from soarm.act.config import ACTConfig
from soarm.quantities import (
    DIFFERENT,
    SOME,
    Count,
    InnerShare,
    NotNegative,
    Positive,
    PositiveShare,
    ShareBelowOne,
    Threads,
    Whole,
)
from soarm.vision.augmentation import AugmentationParams


@dataclasses.dataclass(frozen=True)
class TrainActParams:
    """How ACT is trained.

    Attributes:
        network: Sizes.
        inputs: Keys of the features that ACT observes; None: all that it can and that the dataset has.
        device: Where to train; `auto` takes CUDA where there is one.
        processes: How many train together, each with its share of every batch; above 1 needs the package `accelerate`.
        precision: Numbers that the network computes with while it learns (torch's autocast); weights are float32.
        compile: Whether torch compiles the training step, which pays on CUDA.
        steps: Optimiser steps.
        batch_size: Windows per step, of all processes together.
        learning_rate: Peak of the schedule.
        warmup_steps: Steps of linear warm-up, less than `steps`.
        weight_decay: AdamW's.
        max_grad_norm: The gradient is clipped to this norm.
        ema_decay: Decay of the moving average of weights, in [0, 1); the average is what is validated, saved and exported.
        std_floor: Smallest standard deviation to normalise with, in the feature's units.
        augmentation: Of pictures, while their trunk learns; a frozen one sees them as they are, once.
        pose_loss_weight: Weight of the error of object poses that an additional head reads from the trunk's maps in training,
            for datasets with poses; 0 leaves the head out.
        val_fraction: Share of the episodes held out for validation, in (0, 1).
        val_windows: At most so many held-out windows are validated on, evenly spaced.
        log_every: Steps between validations; each makes one row of the training curves.
        checkpoint_every: Steps between checkpoints to resume from.
    """

    network: ACTConfig
    inputs: Annotated[tuple[str, ...], SOME, DIFFERENT] | None
    device: Literal["auto", "cpu", "cuda"]
    processes: Threads
    precision: Literal["float32", "bfloat16", "float16"]
    compile: bool
    steps: Count
    batch_size: Count
    learning_rate: PositiveShare
    warmup_steps: Whole
    weight_decay: NotNegative
    max_grad_norm: Positive
    ema_decay: ShareBelowOne
    std_floor: Positive
    augmentation: AugmentationParams
    pose_loss_weight: NotNegative
    val_fraction: InnerShare
    val_windows: Count
    log_every: Count
    checkpoint_every: Count

    def __post_init__(self) -> None:
        """Refuse what cannot be trained.

        Raises:
            ValueError: Lists every fault.
        """
        faults = []
        if not self.warmup_steps < self.steps:
            faults.append(f"warmup_steps is {self.warmup_steps}; it must be in 0..steps - 1 ({self.steps - 1})")
        if self.batch_size % self.processes:
            faults.append(f"batch_size is {self.batch_size}; it must be a multiple of processes ({self.processes})")
        if faults:
            raise ValueError("; ".join(faults))
