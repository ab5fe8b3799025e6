"""Many episodes of a task at once on `mujoco.batch`: recording, evaluation and RL run on this.

Implements `soarm.rollout.BatchEnv`. Rows are independent and bit-identical to `soarm.sim.env.SimEnv` on the same seeds,
at any number of rows and threads.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import mujoco
import numpy as np
from mujoco import batch as mujoco_batch
from numpy.typing import NDArray

from soarm import arm
from soarm.errors import SimulationError
from soarm.policy import Array, Observation, Rows, clip_to_limits, require_finite
from soarm.rollout import StepResult
from soarm.sim.draw import draw_scene, tracker_of
from soarm.sim.episode import EpisodeRules, EpisodeState
from soarm.sim.episode_cameras import EpisodeCameras
from soarm.sim.params import SimParams
from soarm.sim.physics import SceneWriter
from soarm.sim.scene import build_model
from soarm.sim.servos import Servos
from soarm.sim.task import ARRAYS, StateView
from soarm.spec import ACTION, ENVIRONMENT_STATE, STATE, TRUE_OBJECTS, Feature
from soarm.tasks.task import Task


class BatchSim:
    """`n_rows` independent episodes of the task that the parameters are of.

    Where the parameters have cameras, observations hold `observation.images.<camera>`, uint8, beside the vectors: lazy rows,
    drawn when somebody takes them (`soarm.lazy.LazyRows`). Where policies are told of the objects with errors, the truth
    stands under `soarm.spec.TRUE_OBJECTS`.

    Args:
        params: The environment.
        n_rows: Number of rows.
        n_threads: Threads that step physics, the caller's included.
    """

    def __init__(self, params: SimParams, n_rows: int, n_threads: int = 1) -> None:
        self._params = params
        self._rows = n_rows
        model = build_model(params, visuals=False)  # the same physics, 1.1 to 1.4 times as fast
        self._visual: mujoco.MjData | None = None  # for snapshots
        self._cameras = EpisodeCameras(params, n_rows) if params.cameras else None
        self._writer = SceneWriter(model, params)  # before the batch copies the model: it sets the fixed values
        self._batch = mujoco_batch.Batch(model, n_rows, n_threads)
        self._task = params.sim_task
        self._rules = EpisodeRules(params, ARRAYS)
        bind = self._batch.bind
        self._qpos, self._qvel, self._ctrl, self._mocap = bind("qpos"), bind("qvel"), bind("ctrl"), bind("mocap_pos")
        self._tcp = bind("site_xpos")[:, model.site("tcp").id]
        self._sensors = bind("sensordata")
        self._servos = None if params.plain_servos else Servos(params.servos, n_rows, params.n_substeps, params.sim_dt_s)
        self._tracker = tracker_of(params, n_rows)
        self._fields = {name: self._batch.expand(name) for name in self._writer.varying}
        blank: tuple[Any, ...] = tuple(np.zeros(n_rows) for _ in self._task.task.terms)
        self._episodes = EpisodeState(blank, np.zeros(n_rows, np.int64), *(np.zeros(n_rows) for _ in range(5)))

    @property
    def task(self) -> Task:
        """The task of every episode."""
        return self._task.task

    @property
    def features(self) -> dict[str, Feature]:
        """Key -> Feature: the task's, and the pictures of the cameras."""
        return {**self._task.task.features, **self._params.picture_features}

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
        seeds = list(seeds)
        scenes = [draw_scene(self._params, seed) for seed in seeds]
        if not len(rows):
            return self._observe(self._read(rows), rows)
        order = np.sort(rows)
        self._batch.reset(order, stage=mujoco.mjtStage.mjSTAGE_NONE.value)
        for row, scene in zip(rows, scenes, strict=True):
            self._writer.write_model({name: values[row] for name, values in self._fields.items()}, scene.physics)
            self._batch.state[row] = self._writer.state(scene)
        if self._fields:
            self._batch.set_const(order)
        if self._servos is not None:
            self._servos.start(rows, [scene.physics for scene in scenes], self._qpos[rows, : arm.N_JOINTS])
        self._batch.forward(order)
        view = self._read(rows)
        self._keep(self._rules.start(self._task.state(view)), rows)
        return self._observe(view, rows, seeds)

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
        ids = None if len(rows) == self._rows else np.sort(rows)
        try:
            for goals_rad, n_substeps in self._goals_rad(actions, rows):
                self._ctrl[rows] = goals_rad
                self._batch.step(ids, nstep=n_substeps)
        except mujoco_batch.SimulationError as error:
            raise SimulationError(
                f"the physics of rows {error.ids.tolist()} broke down: {error}; look at the actions that led there"
            ) from error
        episodes = EpisodeState(tuple(p[rows] for p in self._episodes.potentials), *(m[rows] for m in self._episodes[1:]))
        view = self._read(rows)
        outcome = self._rules.step(episodes, self._task.state(view))
        self._keep(outcome.state, rows)
        return StepResult(self._observe(view, rows), outcome.reward, outcome.terminated, outcome.truncated, outcome.info)

    def zeros(self, rows: Rows) -> NDArray[np.float64]:
        """Return how far the joints' own zeros are off in `rows`, shape (len(rows), 6) [deg x 5, percent]."""
        return np.zeros((len(rows), arm.N_JOINTS)) if self._servos is None else self._servos.zero[rows]

    def positions(self, rows: Rows) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return where everything is in `rows`, for pictures: qpos, shape (len(rows), nq), and mocap_pos, copied."""
        return self._qpos[rows].copy(), self._mocap[rows].copy()

    def close(self) -> None:
        """Free the renderer of the cameras; may be called again."""
        if self._cameras is not None:
            self._cameras.close()

    def snapshot(self, row: int) -> tuple[mujoco.MjModel, mujoco.MjData]:
        """Return row `row` for a camera: a model with visuals, and data with kinematics up to date until the next snapshot."""
        if self._visual is None:
            self._visual = mujoco.MjData(build_model(self._params))
        data = self._visual
        data.qpos[:], data.mocap_pos[:] = self._qpos[row], self._mocap[row]
        mujoco.mj_kinematics(data.model, data)
        mujoco.mj_camlight(data.model, data)
        return data.model, data

    def _goals_rad(self, actions: Array, rows: NDArray[Any]) -> Iterable[tuple[NDArray[np.float64], int]]:
        """Return goals of the joints and for how many physics steps each holds; see `soarm.sim.servos.Servos.goals_rad`."""
        if self._servos is not None:
            return self._servos.goals_rad(actions, rows)
        return [(arm.to_radians(clip_to_limits(actions)), self._params.n_substeps)]

    def _read(self, rows: Rows) -> StateView:
        qpos, qvel, tcp, sensors = (part[rows].T for part in (self._qpos, self._qvel, self._tcp, self._sensors))
        return StateView(qpos, qvel, tcp, self._mocap[rows].transpose(1, 2, 0), sensors)

    def _observe(self, view: StateView, rows: Rows, started: Sequence[int] | None = None) -> Observation:
        """Return what rows observe; `started` are the seeds of their scenes, where these have just begun."""
        joints = arm.from_radians(np.asarray(view.qpos)[: arm.N_JOINTS].T)
        if self._servos is not None:
            joints = self._servos.read(joints, rows)
        objects = np.empty((len(joints), *self._task.task.objects.shape), np.float32)
        for i, number in enumerate(self._task.objects(view)):
            objects[:, i] = number
        vectors = {STATE: joints.astype(np.float32), ENVIRONMENT_STATE: objects}
        if self._tracker is not None:
            tcp_m = np.asarray(view.tcp).T
            told = (
                self._tracker.start(rows, started, objects)
                if started is not None
                else self._tracker.follow(rows, objects, tcp_m)
            )
            vectors |= {ENVIRONMENT_STATE: told, TRUE_OBJECTS: objects}
        if self._cameras is None:
            return vectors
        qpos, mocap = self._qpos[rows], self._mocap[rows]
        pictures: Mapping[str, Any] = (
            self._cameras.follow(rows, qpos, mocap) if started is None else self._cameras.start(rows, started, qpos, mocap)
        )
        return {**vectors, **pictures}

    def _keep(self, episodes: EpisodeState, rows: Rows) -> None:
        for old, new in zip(_arrays(self._episodes), _arrays(episodes), strict=True):
            old[rows] = new


def _arrays(episodes: EpisodeState) -> list[NDArray[Any]]:
    return [*episodes.potentials, *episodes[1:]]
