"""The encoding of residual observations in front of actor and critics: standardised, clipped, masked, with tanh features.

Knows the layout of the residual observation (`soarm.tasks`). Everything an observation goes through before the first layer
happens here, inside the network, so that a saved or exported one needs no other file.
"""

from __future__ import annotations

import dataclasses
from typing import Annotated

import torch
from torch import Tensor, nn

from soarm import arm
from soarm.errors import ParamsError
from soarm.policy import Array
from soarm.quantities import DIFFERENT, Allowed
from soarm.spec import DEFAULT_TASK
from soarm.tasks.registry import TASKS, find
from soarm.tasks.residual_observation import ResidualObservation

CLIP_STD = 5.0
"""Standardised observations are clipped here: what the prefill never saw must not drive the first layer."""
FINE_DEG = 5.0
"""Scale of the tanh features of joint movements: a fast joint's way in three control steps [deg, percent]."""
MIN_STD = 1e-4
"""Floor of a standard deviation, in raw units: an element that never moved in the prefill stays near zero."""
_BLOCKS = list(dict.fromkeys(name for task in TASKS.values() for name in task.residual_observation.blocks))
_Block = Annotated[str, Allowed(f"a block of the observation, one of {_BLOCKS}", _BLOCKS.__contains__)]


@dataclasses.dataclass(frozen=True)
class ObservationParams:
    """What of an observation a network is given.

    Masked for both, a block is an ablation. Masked for the actor alone, it makes the critic a privileged one: in simulation
    it may know what a camera would have to find out (asymmetric actor-critic, Pinto et al. 2017, arXiv 1710.06542).

    Attributes:
        masked_blocks: Terms of the task's residual observation (`soarm.tasks`) that reach the network as zeros, with the tanh
            features of them. What another term tells of the same thing stays: who masks `cube_in_jaw` may want to mask
            `objects`.
        tanh_features: Whether the decisive differences enter a second time (see `TanhFeatures`).
    """

    masked_blocks: Annotated[tuple[_Block, ...], DIFFERENT]
    tanh_features: bool

    def mask(self, layout: ResidualObservation) -> Tensor:
        """Return 1 for what is kept and 0 for what is masked, shape (n_features,): the observation, then the tanh features.

        Raises:
            ParamsError: A term to mask is not one of the layout's.
        """
        strange = [name for name in self.masked_blocks if name not in layout.blocks]
        if strange:
            raise ParamsError(f"masked_blocks names {strange}; the terms of this task are {list(layout.blocks)}")
        parts = TanhFeatures(layout).parts
        mask = torch.ones(layout.dim + sum(n for n, _ in parts))
        for name in self.masked_blocks:
            mask[layout.blocks[name]] = 0.0
        start = layout.dim
        for n, sources in parts:
            if not self.tanh_features or sources & set(self.masked_blocks):
                mask[start : start + n] = 0.0
            start += n
        return mask


NOTHING_MASKED = ObservationParams((), tanh_features=True)
"""The whole observation."""


@dataclasses.dataclass(frozen=True)
class EncodedObservation:
    """Encoded observations, so that what does not depend on a network's weights is computed once for many passes.

    As a tensor of observations it has a length, and a slice of it is some of its rows.

    Attributes:
        features: What `ObservationEncoder` returns, shape (B, n_features).
        base: The base action in them, raw, shape (B, 6) [deg x 5, percent].
    """

    features: Tensor
    base: Tensor

    def __len__(self) -> int:
        return len(self.features)

    def __getitem__(self, rows: slice) -> EncodedObservation:
        return EncodedObservation(self.features[rows], self.base[rows])


class ObservationEncoder(nn.Module):
    """Standardise, clip, add tanh features, mask: raw observations (B, D) -> input of the first layer, (B, n_features).

    Starts with mean 0 and standard deviation 1. The mask follows from the parameters and is not among the saved weights; it is
    part of an exported graph.

    Args:
        params: What is kept.
        task: Name of the task, whose residual observations these are.

    Attributes:
        base_action: Where an observation holds what the base does.
        n_features: Numbers the first layer gets.
    """

    mean: Tensor
    std: Tensor
    mask: Tensor

    def __init__(self, params: ObservationParams, task: str | None = DEFAULT_TASK) -> None:
        super().__init__()
        layout = find(task).residual_observation
        mask = params.mask(layout)
        self.params, self.base_action, self.n_features = params, layout.base_action, len(mask)
        self._tanh_features = TanhFeatures(layout)
        self.register_buffer("mean", torch.zeros(layout.dim))
        self.register_buffer("std", torch.ones(layout.dim))
        self.register_buffer("mask", mask, persistent=False)

    def set_statistics(self, mean: Array, std: Array) -> None:
        """Take the statistics of observations, each of shape (D,), raw units."""
        self.mean.copy_(torch.as_tensor(mean))
        self.std.copy_(torch.as_tensor(std).clamp(min=MIN_STD))

    def encode(self, observation: Tensor | EncodedObservation) -> EncodedObservation:
        """Return raw observations (B, D) encoded; encoded ones are returned as they are."""
        if isinstance(observation, EncodedObservation):
            return observation
        return EncodedObservation(self(observation), observation[:, self.base_action])

    def forward(self, observation: Tensor) -> Tensor:
        """Return the features of raw observations."""
        standard = ((observation - self.mean) / self.std).clamp(-CLIP_STD, CLIP_STD)
        return torch.cat([standard, self._tanh_features(observation)], dim=1) * self.mask


class TanhFeatures:
    """The decisive differences of raw residual observations (B, D), each at its own scale: (B, n) in [-1, 1].

    A grasp is won or lost within millimetres and degrees, which are a few hundredths of the standard deviations of an arm that
    sweeps half a metre. So the terms with `tanh_scales` (the vectors from the gripper to the objects), and what the base is
    about to move (its actions, now and furthest ahead, against where the joints are), enter actor and critics again, through
    tanh.

    Args:
        layout: Of the observations.

    Attributes:
        parts: In their order: numbers, and the terms they are made of.
    """

    def __init__(self, layout: ResidualObservation) -> None:
        blocks, joints = layout.blocks, arm.N_JOINTS
        self._state, self._base = blocks["state"], layout.base_action
        self._furthest = slice(blocks["lookahead"].stop - joints, blocks["lookahead"].stop)
        scaled = [term for term in layout.terms if term.tanh_scales]
        runs: list[tuple[slice, tuple[float, ...]]] = []  # neighbours of equal scales are divided at once
        for term in scaled:
            at = blocks[term.name]
            if runs and runs[-1] == (slice(runs[-1][0].start, at.start), term.tanh_scales):
                runs[-1] = (slice(runs[-1][0].start, at.stop), term.tanh_scales)
            else:
                runs.append((at, term.tanh_scales))
        self._runs = tuple(at for at, _ in runs)
        n_scales = max((len(term.tanh_scales) for term in scaled), default=0)
        self._divisions = tuple(
            (i, scales[k]) for k in range(n_scales) for i, (_, scales) in enumerate(runs) if k < len(scales)
        )
        vectors = [(t.dim, frozenset({t.name})) for k in range(n_scales) for t in scaled if k < len(t.tanh_scales)]
        self.parts: tuple[tuple[int, frozenset[str]], ...] = (
            *vectors,
            (joints, frozenset({"state", "base_action"})),
            (joints, frozenset({"state", "lookahead"})),
        )

    def __call__(self, observation: Tensor) -> Tensor:
        """Return the features of raw residual observations."""
        joints = observation[:, self._state]
        moves = [observation[:, self._base] - joints, observation[:, self._furthest] - joints]
        runs = [observation[:, at] for at in self._runs]
        scaled = [runs[i] / scale for i, scale in self._divisions]
        return torch.tanh(torch.cat([*scaled, torch.cat(moves, dim=1) / FINE_DEG], dim=1))
