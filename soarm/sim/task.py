"""What a task is to the simulator. Knows no parameters and no MuJoCo model of its own.

A task's arithmetic is written once, for floats (the single environment) and for arrays (the batched one) alike: `Ops` holds
the few functions that differ. Only +, -, *, / and square roots are used, which round alike in Python and NumPy, so both
environments give the same episodes to the bit.
"""

from __future__ import annotations

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


class Scene(Protocol):
    """A drawn start: where everything is and how the physics differs from the mean."""

    @property
    def qpos(self) -> NDArray[np.float64]:
        """The arm, shape (6,) [rad]."""

    @property
    def physics(self) -> dict[str, float]:
        """Field of the task's physics parameters -> value."""


class DemonstratorParams(Protocol):
    """How a task's scripted demonstrator moves."""

    def noiseless(self) -> Self:
        """Return the same demonstrator without habits, tremor and inaccuracy."""


class SimTask(Protocol):
    """A task in the simulator. `params` are always the task's own (`params_type`)."""

    @property
    def task(self) -> Task:
        """What the task is to everything else."""

    @property
    def params_type(self) -> type[Any]:
        """The task's `SimParams`."""

    @property
    def expert_params(self) -> type[Any]:
        """The dataclass of its demonstrator's parameters."""

    @property
    def fields(self) -> Mapping[str, tuple[str, ...]]:
        """Physics parameter of the task's bodies -> the model fields it is written to."""

    def add_to(self, spec: mujoco.MjSpec, params: Any) -> None:
        """Add the task's bodies, and sensors after them."""

    def draw(self, rng: np.random.Generator, params: Any) -> Scene:
        """Draw a scene; the order of draws is part of what a seed means."""

    def write(self, data: mujoco.MjData, scene: Any) -> None:
        """Write where the task's bodies are; the arm is written already."""

    def write_physics(
        self, model: mujoco.MjModel, fields: Mapping[str, NDArray[np.float64]], physics: Mapping[str, float]
    ) -> None:
        """Write the physics of the task's bodies into those model fields that `fields` holds, as views."""

    def state(self, view: StateView) -> Any:
        """Return what progress is evaluated on."""

    def objects(self, view: StateView) -> Sequence[Number]:
        """Return the environment state, in the order of `Task.objects`."""

    def evaluate_progress(self, ops: Ops, state: Any) -> Progress:
        """Return how far things are."""

    def expert(self, params: Any, control_hz: int) -> Policy:
        """Return the scripted demonstrator for one arm."""
