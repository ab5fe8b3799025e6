"""What of the residual observation actor and critics see, and at what scale.

Knows the layout of the residual observation (`soarm.policies.RESIDUAL_BLOCKS`). Everything an observation goes through before
the first layer happens here, inside the network, so that a saved or exported one needs no other file.
"""

from __future__ import annotations

import dataclasses
from typing import Annotated

import torch
from torch import Tensor, nn

from soarm import arm
from soarm.policies import BASE_ACTION, RESIDUAL_BLOCKS, RESIDUAL_OBSERVATION_DIM
from soarm.policy import Array
from soarm.quantities import DIFFERENT, Allowed

CLIP_STD = 5.0
"""Standardised observations are clipped here: what the prefill never saw must not drive the first layer."""
FINE_M = 0.02
"""Where the magnified vectors of position bend: somewhat less than the cube's 25 mm [m]."""
COARSE_M = 0.1
"""Where the same vectors bend a second time: the way down from the approach [m]."""
FINE_DEG = 5.0
"""Where the magnified movements of joints bend: a fast joint's way in three control steps [deg, percent]."""
MIN_STD = 1e-4
"""Floor of a standard deviation, in raw units: an element that never moved in the prefill stays near zero."""
MAGNIFIED: tuple[tuple[int, frozenset[str]], ...] = (
    *(2 * ((3, frozenset({"cube_in_plane"})), (3, frozenset({"cube_in_jaw"})), (2, frozenset({"bin_in_plane"})))),
    (arm.N_JOINTS, frozenset({"state", "base_action"})),
    (arm.N_JOINTS, frozenset({"state", "lookahead"})),
)
"""The parts `magnify` returns, in order: numbers, and the blocks they are made of."""
N_MAGNIFIED = sum(n for n, _ in MAGNIFIED)
N_SEEN = RESIDUAL_OBSERVATION_DIM + N_MAGNIFIED


_Block = Annotated[str, Allowed(f"a block of the observation, one of {list(RESIDUAL_BLOCKS)}", RESIDUAL_BLOCKS.__contains__)]


@dataclasses.dataclass(frozen=True)
class SightParams:
    """What a network may see.

    Hidden from both, a block is an ablation. Hidden from the actor alone, it makes the critic a privileged one: in simulation
    it may know what a camera would have to find out (asymmetric actor-critic, Pinto et al. 2017, arXiv 1710.06542).

    Attributes:
        unseen: Blocks of `soarm.policies.RESIDUAL_BLOCKS` that reach the network as zeros, with all that is magnified out
            of them. What another block tells of the same thing stays: who hides `cube_in_jaw` may want to hide `objects`.
        magnified: Whether the decisive differences enter a second time, magnified (see `magnify`).
    """

    unseen: Annotated[tuple[_Block, ...], DIFFERENT]
    magnified: bool

    def mask(self) -> Tensor:
        """Return 1 for what is seen and 0 for the rest, shape (N_SEEN,): the observation, then what is magnified."""
        mask = torch.ones(N_SEEN)
        for name in self.unseen:
            mask[RESIDUAL_BLOCKS[name]] = 0.0
        start = RESIDUAL_OBSERVATION_DIM
        for n, sources in MAGNIFIED:
            if not self.magnified or sources & set(self.unseen):
                mask[start : start + n] = 0.0
            start += n
        return mask


EVERYTHING = SightParams((), magnified=True)
"""Nothing is hidden."""


@dataclasses.dataclass(frozen=True)
class Seen:
    """Observations as a network sees them, so that what does not depend on its weights is computed once for many passes.

    As a tensor of observations it has a length, and a slice of it is some of its rows.

    Attributes:
        features: What `Sight` returned, shape (B, N_SEEN).
        base: The base action in them, raw, shape (B, 6) [deg x 5, percent].
    """

    features: Tensor
    base: Tensor

    def __len__(self) -> int:
        return len(self.features)

    def __getitem__(self, rows: slice) -> Seen:
        return Seen(self.features[rows], self.base[rows])


class Sight(nn.Module):
    """Standardise, clip, magnify, hide: raw residual observations (B, D) -> what the first layer gets, (B, N_SEEN).

    Starts with mean 0 and standard deviation 1. The mask follows from the parameters and is not among the saved weights; it is
    part of an exported graph.

    Args:
        params: What is seen.
    """

    mean: Tensor
    std: Tensor
    mask: Tensor

    def __init__(self, params: SightParams) -> None:
        super().__init__()
        self.params = params
        self.register_buffer("mean", torch.zeros(RESIDUAL_OBSERVATION_DIM))
        self.register_buffer("std", torch.ones(RESIDUAL_OBSERVATION_DIM))
        self.register_buffer("mask", params.mask(), persistent=False)

    def set_statistics(self, mean: Array, std: Array) -> None:
        """Take the statistics of observations, each of shape (D,), raw units."""
        self.mean.copy_(torch.as_tensor(mean))
        self.std.copy_(torch.as_tensor(std).clamp(min=MIN_STD))

    def see(self, observation: Tensor | Seen) -> Seen:
        """Return what is seen of raw observations (B, D); what has been seen already is returned as it is."""
        return observation if isinstance(observation, Seen) else Seen(self(observation), observation[:, BASE_ACTION])

    def forward(self, observation: Tensor) -> Tensor:
        """Return what is seen of raw observations."""
        standard = ((observation - self.mean) / self.std).clamp(-CLIP_STD, CLIP_STD)
        return torch.cat([standard, magnify(observation)], dim=1) * self.mask


def magnify(observation: Tensor) -> Tensor:
    """Return the decisive differences of raw residual observations (B, D) at their own scale, (B, N_MAGNIFIED) in [-1, 1].

    A grasp is won or lost within millimetres and degrees, which are a few hundredths of the standard deviations of an arm that
    sweeps half a metre. So the vectors from the gripper to cube and bin, and what the base is about to move (its actions, now
    and furthest ahead, against where the joints are), enter actor and critics again, through tanh: the vectors at two scales.
    """
    joints = observation[:, RESIDUAL_BLOCKS["state"]]
    moves = [observation[:, BASE_ACTION] - joints, observation[:, _FURTHEST] - joints]
    vectors = observation[:, _VECTORS]
    return torch.tanh(torch.cat([vectors / FINE_M, vectors / COARSE_M, torch.cat(moves, dim=1) / FINE_DEG], dim=1))


_VECTORS = slice(RESIDUAL_BLOCKS["cube_in_plane"].start, RESIDUAL_BLOCKS["bin_in_plane"].stop)
_FURTHEST = slice(RESIDUAL_OBSERVATION_DIM - arm.N_JOINTS, RESIDUAL_OBSERVATION_DIM)
