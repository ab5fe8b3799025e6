"""What actor and critics of a residual observe, as a table of named terms; slices, sizes and masks follow from the table.

Every task has the same first terms (state, objects, gripper point) and the same last ones (what the base does, now and next);
the terms of its own lie between them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import cached_property
from typing import NamedTuple

import numpy as np

from soarm import arm, kinematics
from soarm.chunking import Step
from soarm.policy import Array, Observation
from soarm.spec import ENVIRONMENT_STATE, STATE

N_LOOKAHEAD = 3
"""Queued base actions a residual sees beyond the current one; with the phase they make the queue's future nearly Markov."""


class Context:
    """What terms are computed from, for a batch of B rows.

    Args:
        observation: Of the policy.
        step: What the base is about to do.

    Attributes:
        state: Joint positions, shape (B, 6) [deg x 5, percent].
        objects: What the environment tells of the objects, shape (B, n).
        step: What the base is about to do.
        tcp: Gripper point in the base frame, shape (B, 3) [m].
        jaw: Rotation of the fixed jaw in the base frame, shape (B, 3, 3).
    """

    def __init__(self, observation: Observation, step: Step) -> None:
        self.state: Array = observation[STATE]
        self.objects: Array = np.asarray(observation[ENVIRONMENT_STATE])
        self.step = step
        self.tcp, self.jaw = (part.astype(np.float32) for part in kinematics.forward(self.state))

    @cached_property
    def _outwards(self) -> Array:
        """Direction from the shoulder to the gripper point, seen from above, shape (B, 2)."""
        outwards = self.tcp[:, :2] - kinematics.SHOULDER_XY_M.astype(np.float32)
        outwards /= np.linalg.norm(outwards, axis=1, keepdims=True)
        return outwards

    def turned(self, vector: Array) -> Array:
        """Return a level vector (B, 2) in the plane of the arm: outwards from the shoulder, and to the side.

        A correction of a joint moves the gripper outwards, sideways or up, whichever way the arm points; told in the frame of
        the table, a network has to learn the same grasp again for every angle of shoulder_pan.
        """
        outwards = self._outwards
        sideways = outwards[:, 0] * vector[:, 1] - outwards[:, 1] * vector[:, 0]
        return np.stack([(outwards * vector).sum(axis=1), sideways], axis=1)


class Term(NamedTuple):
    """A named part of the residual observation.

    Attributes:
        name: Of the term.
        dim: Its numbers.
        compute: Context -> array, shape (B, dim).
        tanh_scales: The term enters the networks again as tanh(term / scale), once for each of these, where millimetres
            decide and the standard deviation of an arm that sweeps half a metre would hide them [unit of the term].
    """

    name: str
    dim: int
    compute: Callable[[Context], Array]
    tanh_scales: tuple[float, ...] = ()


def _phase(context: Context) -> Array:
    angle = 2.0 * np.pi * context.step.phase[:, None]
    return np.concatenate([np.sin(angle), np.cos(angle)], axis=1)


def _lookahead(context: Context) -> Array:
    return context.step.lookahead.reshape(len(context.state), -1)


def _first(n_objects: int) -> tuple[Term, ...]:
    return (
        Term("state", arm.N_JOINTS, lambda at: at.state),  # joint positions [deg x 5, percent]
        Term("objects", n_objects, lambda at: at.objects),  # as the environment gives them
        Term("gripper_point", 3, lambda at: at.tcp),  # [m]
    )


_LAST = (
    Term("base_action", arm.N_JOINTS, lambda at: at.step.action),  # what the base does now [deg x 5, percent]
    Term("phase", 2, _phase),  # of its chunk, sine and cosine
    Term("lookahead", arm.N_JOINTS * N_LOOKAHEAD, _lookahead),  # its N_LOOKAHEAD following actions [deg x 5, percent]
)


@dataclasses.dataclass(frozen=True)
class ResidualObservation:
    """The layout of a task's residual observations, and how they are computed.

    Attributes:
        terms: In the order in which they are concatenated.
    """

    terms: tuple[Term, ...]

    @classmethod
    def of(cls, n_objects: int, own: tuple[Term, ...]) -> ResidualObservation:
        """Return the layout of a task with so many numbers of objects and these terms of its own."""
        return cls((*_first(n_objects), *own, *_LAST))

    def compute(self, observation: Observation, step: Step) -> Array:
        """Return what actor and critics observe, shape (B, dim), float32, raw units."""
        context = Context(observation, step)
        return np.concatenate([term.compute(context) for term in self.terms], axis=1, dtype=np.float32)

    @cached_property
    def dim(self) -> int:
        """Numbers of an observation."""
        return sum(term.dim for term in self.terms)

    @cached_property
    def blocks(self) -> dict[str, slice]:
        """Name of a term -> where an observation holds it."""
        ends = np.cumsum([term.dim for term in self.terms]).tolist()
        return {term.name: slice(end - term.dim, end) for term, end in zip(self.terms, ends, strict=True)}

    @property
    def base_action(self) -> slice:
        """Where an observation holds what the base does now."""
        return self.blocks["base_action"]
