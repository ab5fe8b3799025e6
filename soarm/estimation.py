"""Where the objects are, as an eye says it: what its network is told and asked, and how its answers become object poses.

The network looks at the pictures of all cameras and at the arm's pose, and answers for every thing of the task twice: where it
is in the base's frame, and where it is from the gripper. The second answer is the sharper one while the gripper is near, so it
takes over as the gripper comes closer. With each answer comes the error that the network expects of it.

Knows no camera, no torch and no ONNX: the same class stands in training, in evaluation and on the robot.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from soarm import kinematics
from soarm.policies import BLOCK, predict_in_batches
from soarm.policy import Array, Observation, Rows
from soarm.rollout import BatchEnv, EnvWrapper
from soarm.spec import ENVIRONMENT_STATE, IMAGES, STATE, TRUE_OBJECTS
from soarm.tasks.task import Task

NEAR_M = 0.05
"""Nearer than this to the gripper point, a thing is where the gripper's answer says [m]."""
FAR_M = 0.10
"""Farther than this, where the base's answer says; in between the two blend [m]."""


class EyeNetwork(Protocol):
    """A network that looks, in torch or in ONNX."""

    def look(self, observation: Observation) -> Array:
        """Return the answers, shape (B, `Questions.dim`), in the units of `Questions`.

        Args:
            observation: `observation.images.<camera>`, uint8 (B, H, W, 3) each, and `observation.state`, shape (B, 6).
        """


class Answer(NamedTuple):
    """Where the network's answers of one thing are.

    Attributes:
        name: Of the thing.
        at: Elements of the objects feature that tell its position: x, y and, where the task tells it, z.
        turn: Elements that tell its yaw (cosine and sine of four times it); none of a thing without.
        offset: Answers: position from the gripper point in the fixed jaw's frame [m].
        turn_offset: Answers: the same of its yaw, from that of the jaw; empty of a thing without.
        error: Answers: natural logarithm of the error expected of the position in the base's frame, and of the offset [m].
    """

    name: str
    at: tuple[int, ...]
    turn: tuple[int, ...]
    offset: slice
    turn_offset: slice
    error: slice


@dataclasses.dataclass(frozen=True)
class Questions:
    """What an eye is asked of a task: first its objects feature, then of every thing what `Answer` lists.

    Attributes:
        task: Whose objects they are.
    """

    task: Task

    @cached_property
    def answers(self) -> tuple[Answer, ...]:
        """An entry per thing that the objects feature tells of."""
        return tuple(self._answers())

    @property
    def dim(self) -> int:
        """Number of answers."""
        last: int = self.answers[-1].error.stop
        return last

    @property
    def n_objects(self) -> int:
        """Numbers of the objects feature, which come first."""
        return int(self.task.objects.shape[0])

    def targets(self, state: Array, objects: Array) -> Array:
        """Return the right answers, shape (B, dim) float32; those to `Answer.error` are 0.

        Args:
            state: Joint positions, shape (B, 6) [deg x 5, percent].
            objects: True objects, shape (B, n).
        """
        frame = _Gripper(state)
        right = np.zeros((len(objects), self.dim), np.float32)
        right[:, : self.n_objects] = objects
        for answer in self.answers:
            right[:, answer.offset] = frame.into(_position(objects, answer))
            if answer.turn:
                right[:, answer.turn_offset] = _pair(_complex(objects[:, list(answer.turn)]) * frame.turn.conj())
        return right

    def read(self, state: Array, given: Array) -> tuple[Array, Array]:
        """Return what answers tell of the objects.

        Args:
            state: Joint positions, shape (B, 6) [deg x 5, percent].
            given: Answers, shape (B, dim).

        Returns:
            Objects, shape (B, n), and the error that the network expects of each thing's position, shape (B, things) [m];
            float32.
        """
        frame = _Gripper(state)
        found, errors = given[:, : self.n_objects].astype(np.float32), []
        for answer in self.answers:
            nearness = _nearness(frame.into(_position(given, answer)))
            far_m, near_m = np.exp(np.clip(given[:, answer.error], -12.0, 2.0)).T
            errors.append(far_m + nearness * (near_m - far_m))
            share = nearness[:, None]
            near = frame.out_of(given[:, answer.offset])[:, : len(answer.at)]
            at = list(answer.at)
            found[:, at] += share * (near - found[:, at])
            if answer.turn:
                turn = list(answer.turn)
                found[:, turn] += share * (_pair(_complex(given[:, answer.turn_offset]) * frame.turn) - found[:, turn])
        return found, np.stack(errors, axis=1).astype(np.float32)

    def _answers(self) -> Iterator[Answer]:
        first = self.n_objects
        for thing in self.task.things:
            elements = self.task.elements[thing.name]
            if "x" not in elements:
                continue
            at = tuple(elements[name] for name in ("x", "y", "z") if name in elements)
            turn = tuple(elements[name] for name in ("yaw4_cos", "yaw4_sin") if name in elements)
            ends = np.cumsum([first, 3, len(turn), 2]).tolist()
            yield Answer(thing.name, at, turn, *(slice(*pair) for pair in itertools.pairwise(ends)))
            first = ends[-1]


class Estimator:
    """Object poses of B arms from what their cameras show.

    Args:
        network: What looks.
        task: Whose objects it was trained on.
        cameras: Names of the cameras that it looks through.
        block: Rows in one query of the network, see `soarm.policies.predict_in_batches`; None asks for all at once.
    """

    def __init__(self, network: EyeNetwork, task: Task, cameras: Sequence[str], block: int | None = BLOCK) -> None:
        self.network, self.questions, self._block = network, Questions(task), block
        self.inputs = (*(f"{IMAGES}.{name}" for name in cameras), STATE)

    def estimate(self, observation: Mapping[str, NDArray[Any]]) -> tuple[Array, Array]:
        """Return objects, shape (B, n), and the expected error of each thing's position, shape (B, things) [m].

        With a block, what is said of a row depends on its own observation alone, to the bit.

        Args:
            observation: A picture per camera, uint8 (B, H, W, 3), and the joints, shape (B, 6).
        """
        state = observation[STATE]
        given = predict_in_batches(self.network.look, {key: observation[key] for key in self.inputs}, self._block)
        return self.questions.read(state, given)


class SeeingEnv(EnvWrapper):
    """Environments in which policies are told of the objects what an eye says, and not what is.

    Observations hold what the eye says under `observation.environment_state`, and the truth under `soarm.spec.TRUE_OBJECTS`,
    for an evaluation's rows and for labels; the rest, pictures among it, is as it was.

    Args:
        env: Environments that observe the joints, the true objects and the pictures of the eye's cameras.
        eye: What looks.
    """

    def __init__(self, env: BatchEnv, eye: Estimator) -> None:
        super().__init__(env)
        self._eye = eye

    def _told(self, observation: Observation, rows: Rows) -> Observation:
        return told_by(self._eye, observation)


def told_by(eye: Estimator, observation: Observation) -> Observation:
    """Return an observation with what an eye says of the objects in place of what is; see `SeeingEnv`."""
    truth = observation[ENVIRONMENT_STATE]
    return {**observation, ENVIRONMENT_STATE: eye.estimate(observation)[0] if len(truth) else truth, TRUE_OBJECTS: truth}


def told_alone(eye: Estimator | None, observation: Observation) -> Observation:
    """Return what a policy is told of one arm, (1, ...) each, of an observation without rows; None tells it what is."""
    row = {key: value[None] for key, value in observation.items()}
    return row if eye is None else told_by(eye, row)


class _Gripper:
    """The fixed jaw's frame at the gripper point, of B arms."""

    def __init__(self, state: Array) -> None:
        self._tcp, self._jaw = kinematics.forward(state)
        level = (self._jaw[:, 0, 0] + 1j * self._jaw[:, 1, 0]) ** 4
        self.turn = level / np.maximum(np.abs(level), 1e-9)
        """Four times the angle of the jaw's opening seen from above, as a number of size 1."""

    def into(self, position: NDArray[Any]) -> NDArray[Any]:
        """Return positions in the base's frame, shape (B, 3), as seen from the gripper."""
        seen: NDArray[Any] = np.einsum("bij,bi->bj", self._jaw, position - self._tcp)
        return seen

    def out_of(self, offset: NDArray[Any]) -> NDArray[Any]:
        """Return positions as seen from the gripper, shape (B, 3), in the base's frame."""
        there: NDArray[Any] = self._tcp + np.einsum("bij,bj->bi", self._jaw, offset)
        return there


def _nearness(offset: NDArray[Any]) -> Array:
    """Return how much the answer from the gripper counts for things at these offsets from it, shape (B,), 0..1."""
    away_m = np.linalg.norm(offset, axis=1)
    share: Array = np.clip((FAR_M - away_m) / (FAR_M - NEAR_M), 0.0, 1.0).astype(np.float32)
    return share * share * (3.0 - 2.0 * share)


def _position(objects: NDArray[Any], answer: Answer) -> NDArray[Any]:
    """Return the position of a thing, shape (B, 3); one whose height is not told stands on the table."""
    at = objects[:, list(answer.at)]
    return at if at.shape[1] == 3 else np.concatenate([at, np.zeros((len(at), 1), at.dtype)], axis=1)


def _complex(pair: NDArray[Any]) -> NDArray[np.complex128]:
    number: NDArray[np.complex128] = pair[:, 0] + 1j * pair[:, 1]
    return number


def _pair(number: NDArray[np.complex128]) -> NDArray[np.float64]:
    return np.stack([number.real, number.imag], axis=1)
