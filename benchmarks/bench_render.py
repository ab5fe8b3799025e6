"""Pictures per second for policies, beside a bare loop over MuJoCo's own functions with the same settings.

    python benchmarks/bench_render.py
    python benchmarks/bench_render.py --backend osmesa

First `front` and `wrist` at --size px, in turn with a loop that copies a state, computes kinematics and draws both cameras
in a context that stays current (EGL or OSMesa). Then CPU milliseconds per picture of each camera at the size and the
supersampling of the profile `pixels`, with --backend and with rays. One core: Mesa draws in the caller's thread.
"""

from __future__ import annotations

import argparse
import importlib
import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import mujoco
import numpy as np
from numpy.typing import NDArray

from soarm import params
from soarm.sim.batch_env import BatchSim
from soarm.sim.camera import Backend, choose
from soarm.sim.cameras import PolicyCameras
from soarm.sim.params import SimParams
from soarm.sim.scene import build_model

N_STATES = 50
os.environ["LP_NUM_THREADS"] = "0"


def main() -> None:
    """Run the benchmark and print its tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backend", choices=["auto", "egl", "osmesa"], default="auto")
    parser.add_argument("--size", type=int, default=96)
    parser.add_argument("--repeats", type=int, default=15)
    args = parser.parse_args()
    backend, sim = choose(args.backend), params.load(Path("params.yaml")).section("sim", SimParams)
    qpos, mocap = _states(sim)
    out = sys.stdout.write
    if backend != "ray":
        cameras = PolicyCameras(
            _seeing(sim, [("front", args.size, args.size, 1), ("wrist", args.size, args.size, 1)]), backend
        )
        bare = _Bare(sim, ("front", "wrist"), args.size, backend)
        pairs = [
            (_time(lambda: bare.draw(qpos, mocap)), _time(lambda: cameras.render_rows(qpos, mocap)))
            for _ in range(args.repeats)
        ]
        bare_s, ours_s = (statistics.median(times) for times in zip(*pairs, strict=True))
        ratio = statistics.median(bare / ours for bare, ours in pairs)
        n = 2 * N_STATES
        out(f"front and wrist at {args.size} px, {backend}: bare MuJoCo {n / bare_s:5.0f} pictures/s   ")
        out(f"PolicyCameras {n / ours_s:5.0f} pictures/s   ratio {100 * ratio:5.1f} %\n")
    for drawn_by in dict.fromkeys((backend, choose("ray"))):
        for name, width, height in (("front", 96, 64), ("wrist", 64, 64)):
            for supersample in (1, 2):
                one = PolicyCameras(_seeing(sim, [(name, width, height, supersample)]), drawn_by)
                spent = [_time(lambda one=one: one.render_rows(qpos, mocap)) for _ in range(3)]  # type: ignore[misc]
                out(f"{drawn_by:6s} {name} {width} x {height}, supersample {supersample}: ")
                out(f"{1000 * min(spent) / N_STATES:6.2f} ms per picture\n")


def _states(sim: SimParams) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return positions, (N_STATES, nq), and those of mocap bodies, (N_STATES, nmocap, 3), of start states."""
    env = BatchSim(sim, N_STATES)
    env.reset(np.arange(N_STATES), range(N_STATES))
    found = [(data.qpos.copy(), data.mocap_pos.copy()) for _, data in map(env.snapshot, range(N_STATES))]
    return np.stack([qpos for qpos, _ in found]), np.stack([mocap for _, mocap in found])


def _seeing(sim: SimParams, cameras: Sequence[tuple[str, int, int, int]]) -> SimParams:
    rest = {"position_m": None, "target_m": None, "fovy_deg": None}
    asked = {name: {"width_px": w, "height_px": h, "supersample": n, **rest} for name, w, h, n in cameras}
    return params.changed(sim, {"cameras": asked}, "sim")


class _Bare:
    """The least that draws cameras of one size with MuJoCo."""

    def __init__(self, sim: SimParams, names: Sequence[str], size: int, backend: Backend) -> None:
        self._model = model = build_model(sim)
        quality, overall = model.vis.quality, model.vis.global_
        quality.offsamples, quality.shadowsize, quality.numslices, quality.numstacks = 0, 0, 8, 4
        overall.offwidth, overall.offheight = size, size
        self._data, self._gl = mujoco.MjData(model), importlib.import_module(f"mujoco.{backend}").GLContext(size, size)
        self._gl.make_current()
        self._context = mujoco.MjrContext(model, mujoco.mjtFontScale.mjFONTSCALE_100)
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN, self._context)
        self._scene, self._option = mujoco.MjvScene(model, maxgeom=200), mujoco.MjvOption()
        self._scene.flags[mujoco.mjtRndFlag.mjRND_SHADOW] = False
        self._rect, self._picture = mujoco.MjrRect(0, 0, size, size), np.empty((size, size, 3), np.uint8)
        self._cameras = [mujoco.MjvCamera() for _ in names]
        for camera, name in zip(self._cameras, names, strict=True):
            camera.type, camera.fixedcamid = mujoco.mjtCamera.mjCAMERA_FIXED, model.camera(name).id

    def draw(self, qpos: NDArray[np.float64], mocap: NDArray[np.float64]) -> None:
        model, data, every = self._model, self._data, mujoco.mjtCatBit.mjCAT_ALL
        self._gl.make_current()
        for row in range(len(qpos)):
            data.qpos[:], data.mocap_pos[:] = qpos[row], mocap[row]
            mujoco.mj_kinematics(model, data)
            mujoco.mj_camlight(model, data)
            for camera in self._cameras:
                mujoco.mjv_updateScene(model, data, self._option, None, camera, every, self._scene)
                mujoco.mjr_render(self._rect, self._scene, self._context)
                mujoco.mjr_readPixels(self._picture, None, self._rect, self._context)


def _time(function: Callable[[], object]) -> float:
    """Return CPU seconds: on a machine that others use too, wall seconds measure the others."""
    start = time.process_time()
    function()
    return time.process_time() - start


if __name__ == "__main__":
    main()
