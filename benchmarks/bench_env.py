"""Control steps per second of the environments, beside MuJoCo alone on the same scenes, actions and substeps.

    python benchmarks/bench_env.py

Four numbers: raw `mj_step`, `SimEnv`, raw `mujoco.batch`, `BatchSim`; the last two with --rows rows on --threads
threads. Actions are the scripted expert's, so the arm grasps and carries. Each pair runs in turn, --repeats times; medians
are printed.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import mujoco
import numpy as np
from mujoco import batch as mujoco_batch

from soarm import arm, params
from soarm.policy import VectorPolicy
from soarm.rollout import rollout
from soarm.sim.batch_env import BatchSim
from soarm.sim.draw import draw_scene
from soarm.sim.env import SimEnv
from soarm.sim.grasping import GraspParams
from soarm.sim.params import SimParams
from soarm.sim.physics import SceneWriter
from soarm.sim.pick_place.expert import Expert
from soarm.sim.scene import build_model


def main() -> None:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=32)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=25)
    args = parser.parse_args()
    loaded = params.load(Path("params.yaml"))
    sim = loaded.section("sim", SimParams)
    habits = params.build(GraspParams, loaded.sections["record"]["expert"], "record.expert")
    expert = VectorPolicy([Expert(habits, sim.control_hz) for _ in range(args.rows)])
    episodes = list(rollout(BatchSim(sim, args.rows), expert, range(args.rows)))
    n_steps = min(len(episode) for episode in episodes)
    actions = np.stack([episode.actions[:n_steps] for episode in episodes], axis=1)  # (T, B, 6)
    single = _Single(sim, actions[:, 0])
    many = _Many(sim, actions, args.threads)
    out = sys.stdout.write
    out(f"{n_steps} control steps of {sim.n_substeps} physics steps; {args.rows} rows on {args.threads} thread(s)\n")
    for name, raw, env, steps in (
        ("single", single.raw, single.env, n_steps),
        ("batched", many.raw, many.env, n_steps * args.rows),
    ):
        pairs = [(_time(raw), _time(env)) for _ in range(args.repeats)]
        raw_s, env_s = statistics.median(p[0] for p in pairs), statistics.median(p[1] for p in pairs)
        ratio = statistics.median(p[0] / p[1] for p in pairs)
        out(
            f"{name:8s} MuJoCo {steps / raw_s:8.0f} steps/s   environment {steps / env_s:8.0f} steps/s"
            f"   ratio {100 * ratio:5.1f} %\n"
        )


def _time(function: Callable[[], None]) -> float:
    """Return CPU seconds: on a machine that others use too, wall seconds measure the others."""
    start = time.process_time()
    for _ in range(_LAPS):
        function()
    return (time.process_time() - start) / _LAPS


_LAPS = 2


class _Single:
    def __init__(self, sim: SimParams, actions: np.ndarray) -> None:
        self._sim, self._actions = sim, actions
        self._env = SimEnv(sim)
        self._model = build_model(sim, visuals=False)
        self._writer = SceneWriter(self._model, sim)
        self._data = mujoco.MjData(self._model)
        self._ctrl = arm.to_radians(actions)

    def raw(self) -> None:
        """Step MuJoCo alone."""
        self._writer.write_state(self._data, draw_scene(self._sim, 0))
        mujoco.mj_forward(self._model, self._data)
        for ctrl in self._ctrl:
            self._data.ctrl[:] = ctrl
            mujoco.mj_step(self._model, self._data, self._sim.n_substeps)

    def env(self) -> None:
        """Step the environment."""
        self._env.reset(seed=0)
        for action in self._actions:
            self._env.step(action)


class _Many:
    def __init__(self, sim: SimParams, actions: np.ndarray, n_threads: int) -> None:
        self._sim, self._actions = sim, actions
        self._rows = np.arange(actions.shape[1])
        self._env = BatchSim(sim, len(self._rows), n_threads)
        model = build_model(sim, visuals=False)
        self._writer = SceneWriter(model, sim)
        self._batch = mujoco_batch.Batch(model, len(self._rows), n_threads)
        self._bound = self._batch.bind("ctrl"), self._batch.bind("sensordata"), self._batch.bind("site_xpos")
        self._ctrl = arm.to_radians(actions)

    def raw(self) -> None:
        """Step mujoco.batch alone."""
        self._batch.reset(stage=mujoco.mjtStage.mjSTAGE_NONE.value)
        for row in self._rows:
            self._batch.state[row] = self._writer.state(draw_scene(self._sim, int(row)))
        self._batch.forward()
        for ctrl in self._ctrl:
            self._bound[0][:] = ctrl
            self._batch.step(nstep=self._sim.n_substeps)

    def env(self) -> None:
        """Step the environment."""
        self._env.reset(self._rows, range(len(self._rows)))
        for action in self._actions:
            self._env.step(action, self._rows)


if __name__ == "__main__":
    main()
