"""Many pick-and-place episodes at once on `mujoco.batch`: recording, evaluation and RL run on this.

Implements `soarm.rollout.BatchEnv`. Rows are independent and bit-identical to `soarm.sim.env.PickPlaceEnv` on the same seeds,
at any number of rows and threads.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import mujoco
import numpy as np
from mujoco import batch as mujoco_batch
from numpy.typing import NDArray

from soarm import arm
from soarm.errors import SimulationError
from soarm.policy import Array, Observation, Rows, clip_to_limits, require_finite
from soarm.rollout import StepResult
from soarm.sim import physics
from soarm.sim.episode import Book, Memory
from soarm.sim.params import SimParams
from soarm.sim.scene import build_model
from soarm.sim.task import ARRAYS, Seen, draw_scene, yaw4
from soarm.spec import ACTION, ENVIRONMENT_STATE, STATE
from soarm.tasks.pick_place import TASK
from soarm.tasks.task import Task


class BatchPickPlace:
    """`n_rows` independent episodes of pick and place.

    Args:
        params: The environment.
        n_rows: Number of rows.
        n_threads: Threads that step physics, the caller's included.
    """

    def __init__(self, params: SimParams, n_rows: int, n_threads: int = 1) -> None:
        self._params = params
        self._rows = n_rows
        model = build_model(params, visuals=False)  # the same physics, 1.1 to 1.4 times as fast
        self._seen: mujoco.MjModel | None = None  # with visuals, for snapshots
        self._starter = physics.Starter(model, params)  # before the batch copies the model: it sets the fixed values
        self._batch = mujoco_batch.Batch(model, n_rows, n_threads)
        self._book = Book(params, ARRAYS)
        bind = self._batch.bind
        self._qpos, self._qvel, self._ctrl, self._mocap = bind("qpos"), bind("qvel"), bind("ctrl"), bind("mocap_pos")
        self._tcp = bind("site_xpos")[:, model.site("tcp").id]
        self._touch = bind("sensordata")
        self._fields = {name: self._batch.expand(name) for name in self._starter.varying}
        blank: tuple[Any, ...] = tuple(np.zeros(n_rows) for _ in range(5))
        self._memory = Memory(blank, np.zeros(n_rows, np.int64), *(np.zeros(n_rows) for _ in range(5)))

    @property
    def task(self) -> Task:
        """The task of every episode."""
        return TASK

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return self._rows

    @property
    def control_hz(self) -> int:
        """Control steps per second [Hz]."""
        return self._params.control_hz

    def reset(self, rows: Rows, seeds: Iterable[int]) -> Observation:
        """Start the scene of each seed in each of `rows`; return their observations, float32, (len(rows), ...)."""
        rows = np.asarray(rows)
        scenes = [draw_scene(self._params, seed) for seed in seeds]
        if not len(rows):
            return self._observe(rows)
        order = np.sort(rows)
        self._batch.reset(order, stage=mujoco.mjtStage.mjSTAGE_NONE.value)
        for row, scene in zip(rows, scenes, strict=True):
            self._starter.write_model({name: values[row] for name, values in self._fields.items()}, scene)
            self._batch.state[row] = self._starter.state(scene)
        if self._fields:
            self._batch.set_const(order)
        self._batch.forward(order)
        fresh = self._book.start(self._look(rows))
        for old, new in zip(_arrays(self._memory), _arrays(fresh), strict=True):
            old[rows] = new
        return self._observe(rows)

    def step(self, actions: Array, rows: Rows) -> StepResult:
        """Execute one action per row for one control step.

        Args:
            actions: Joint targets, shape (len(rows), 6) [deg x 5, percent]; clipped to the joint limits.
            rows: The rows that step.

        Raises:
            ObservationError: An action is not finite.
            SimulationError: The physics of a row broke down.
        """
        rows = np.asarray(rows)
        require_finite(ACTION, actions)
        self._ctrl[rows] = arm.to_radians(clip_to_limits(actions))
        ids = None if len(rows) == self._rows else np.sort(rows)
        try:
            self._batch.step(ids, nstep=self._params.n_substeps)
        except mujoco_batch.SimulationError as error:
            raise SimulationError(
                f"the physics of rows {error.ids.tolist()} broke down: {error}; look at the actions that led there"
            ) from error
        memory = Memory(tuple(p[rows] for p in self._memory.potentials), *(m[rows] for m in self._memory[1:]))
        outcome = self._book.step(memory, self._look(rows))
        for old, new in zip(_arrays(self._memory), _arrays(outcome.memory), strict=True):
            old[rows] = new
        return StepResult(self._observe(rows), outcome.reward, outcome.terminated, outcome.truncated, outcome.info)

    def snapshot(self, row: int) -> tuple[mujoco.MjModel, mujoco.MjData]:
        """Return row `row` as data of a model with visuals, with kinematics up to date: for a camera."""
        if self._seen is None:
            self._seen = build_model(self._params)
        data = mujoco.MjData(self._seen)
        data.qpos[:], data.mocap_pos[:] = self._qpos[row], self._mocap[row]
        mujoco.mj_forward(self._seen, data)
        return self._seen, data

    def _look(self, rows: Rows) -> Seen:
        qpos, qvel, tcp, bins, touch = (
            self._qpos[rows].T,
            self._qvel[rows].T,
            self._tcp[rows].T,
            self._mocap[rows, 0].T,
            self._touch[rows].T,
        )
        return Seen(
            (qpos[6], qpos[7], qpos[8]),
            (qvel[6], qvel[7], qvel[8]),
            (tcp[0], tcp[1], tcp[2]),
            (bins[0], bins[1]),
            touch[0],
            touch[1],
        )

    def _observe(self, rows: Rows) -> Observation:
        qpos = self._qpos[rows]
        objects = np.empty((len(rows), 7), np.float32)
        objects[:, 0:3] = qpos[:, 6:9]
        objects[:, 3], objects[:, 4] = yaw4((qpos[:, 9], qpos[:, 10], qpos[:, 11], qpos[:, 12]))
        objects[:, 5:7] = self._mocap[rows, 0, :2]
        return {STATE: arm.from_radians(qpos[:, :6]).astype(np.float32), ENVIRONMENT_STATE: objects}


def _arrays(memory: Memory) -> list[NDArray[Any]]:
    return [*memory.potentials, *memory[1:]]
