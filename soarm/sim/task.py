"""What a task is to the simulator. Knows no parameters and no MuJoCo model of its own.

A task's arithmetic is written once, for floats (the single environment) and for arrays (the batched one) alike: `Ops` holds
the few functions that differ. Only +, -, *, / and square roots are used, which round alike in Python and NumPy, so both
environments give the same episodes to the bit.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, Self

import mujoco
import numpy as np
from numpy.typing import NDArray

from soarm.policy import Policy
from soarm.tasks.task import Task

Number = Any
"""A float, or an array of one float per row."""


class Ops(NamedTuple):
    """What differs between floats and arrays."""

    sqrt: Callable[[Number], Number]
    minimum: Callable[[Number, Number], Number]
    maximum: Callable[..., Number]


def _maximum_of_arrays(*values: Number) -> Number:
    return functools.reduce(np.maximum, values)


FLOATS = Ops(math.sqrt, min, max)
ARRAYS = Ops(np.sqrt, np.minimum, _maximum_of_arrays)


class StateView(NamedTuple):
    """MuJoCo's state as a task reads it: each element a float, or an array of one float per row.

    Attributes:
        qpos: Positions, the arm's six joints first [rad], then those of the task's bodies.
        qvel: Velocities, in the same order.
        tcp: Gripper point in the world [m].
        mocap: Positions of the mocap bodies, each of three [m].
        sensors: The task's sensors, in the order in which it added them.
    """

    qpos: Sequence[Number]
    qvel: Sequence[Number]
    tcp: Sequence[Number]
    mocap: Sequence[Sequence[Number]]
    sensors: Sequence[Number]


class DataReader:
    """Reads an `MjData` as floats: six numbers are too few for NumPy to pay off."""

    def __init__(self, data: mujoco.MjData) -> None:
        self._parts = data.qpos, data.qvel, data.site("tcp").xpos, data.mocap_pos, data.sensordata

    def __call__(self) -> StateView:
        """Return the state as it is now."""
        qpos, qvel, tcp, mocap, sensors = self._parts
        return StateView(qpos.tolist(), qvel.tolist(), tcp.tolist(), mocap.tolist(), sensors.tolist())


class Progress(NamedTuple):
    """How far things are, at one moment.

    Attributes:
        potentials: In [0, 1], one per term of the task.
        stage: Of `Task.stages`.
        done: Whether the task is done; success is when it stays so.
        place: x and y of what is moved [m].
        info: What else the task's outcomes and columns are read from.
    """

    potentials: tuple[Number, ...]
    stage: Number
    done: Number
    place: tuple[Number, Number]
    info: dict[str, Number]


Physics = dict[str, Any]
"""Field of a task's physics parameters -> what an episode has of it: a float, or shape (6,) of what is drawn per joint; and
`BY_MOTOR`."""
BY_MOTOR = "by_motor"
"""Whether the servos of an episode follow the motor's law; see `soarm.sim.servos.ServoParams.law`."""


class Scene(Protocol):
    """A drawn start: where everything is and how the physics differs from the mean."""

    @property
    def qpos(self) -> NDArray[np.float64]:
        """The arm, shape (6,) [rad]."""

    @property
    def physics(self) -> Physics:
        """What was drawn of the physics."""


class DemonstratorParams(Protocol):
    """How a task's scripted demonstrator moves."""

    def noiseless(self) -> Self:
        """Return the same demonstrator without habits, tremor and inaccuracy."""


@dataclasses.dataclass(frozen=True)
class SimTask:
    """A task in the simulator. What is called `params` below is always an instance of `params_type`.

    Attributes:
        task: What the task is to everything else.
        params_type: Its `SimParams`.
        expert_params: The dataclass of its demonstrator's parameters.
        fields: Physics parameter of the task's bodies -> the model fields it is written to.
        add_to: Adds the task's bodies, and its sensors after them: (spec, params).
        draw: Draws a scene: (rng, params). The order of draws is part of what a seed means.
        write: Writes where the task's bodies are, the arm being written already: (data, scene).
        write_physics: Writes the physics of the task's bodies into those model fields that are given, as views:
            (model, field -> view, parameter -> value).
        state: Returns what progress is evaluated on.
        objects: Returns the environment state, in the order of `Task.objects`.
        evaluate_progress: Returns how far things are: (ops, what `state` returned).
        expert: Returns the scripted demonstrator for one arm: (an `expert_params`, control rate [Hz]).
    """

    task: Task
    params_type: type[Any]
    expert_params: type[Any]
    fields: Mapping[str, tuple[str, ...]]
    add_to: Callable[[mujoco.MjSpec, Any], None]
    draw: Callable[[np.random.Generator, Any], Scene]
    write: Callable[[mujoco.MjData, Any], None]
    write_physics: Callable[[mujoco.MjModel, Mapping[str, NDArray[np.float64]], Physics], None]
    state: Callable[[StateView], Any]
    objects: Callable[[StateView], Sequence[Number]]
    evaluate_progress: Callable[[Ops, Any], Progress]
    expert: Callable[[Any, int], Policy]
