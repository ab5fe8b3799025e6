"""The simulator as a function from physics to the positions that a log should hold.

All windows under all candidates of physics run side by side in one `mujoco.batch.Batch`, without contact. Goals reach the
servos as what was sent, later by the delay, as the mean over each physics step, so that the positions change smoothly with
the delay.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import mujoco
import numpy as np
from mujoco import batch as mujoco_batch
from numpy.typing import NDArray

from soarm import arm
from soarm.identification.physics import ArmPhysics, Floats
from soarm.identification.windows import Piece, Window
from soarm.sim.params import SimParams
from soarm.sim.physics import SceneWriter
from soarm.sim.scene import build_model

_MOST_AT_ONCE = 4000
"""Simulations in one batch: memory."""


class ArmModel:
    """Predicts the positions of windows.

    Args:
        sim: The simulator.
        windows: What is to be predicted.
        n_threads: Threads that step physics.

    Attributes:
        start: The simulator's own physics.
        measured: What was read, shape (S, 6) [deg x 5, percent]: the ticks that count, window by window.
        heard: Which of it is of its tick, shape (S, 6).
        window_of: Index of its window, shape (S,).
    """

    def __init__(self, sim: SimParams, windows: Sequence[Window], n_threads: int = 1) -> None:
        delay_s = sum(sim.physics.latency_s) / 2
        still = dataclasses.replace(sim.physics, latency_s=(0.0, 0.0))
        sim = dataclasses.replace(sim, physics=still, cameras={}, objects_from="simulator")
        self._model = model = build_model(sim, visuals=False)
        SceneWriter(model, sim)  # writes the means of what varies
        model.opt.disableflags |= int(mujoco.mjtDisableBit.mjDSBL_CONTACT)
        self.start = ArmPhysics(
            model.actuator_gainprm[:, 0].copy(),
            -model.actuator_biasprm[:, 2],
            model.dof_frictionloss[: arm.N_JOINTS].copy(),
            np.zeros(arm.N_JOINTS),
            float(model.dof_armature[: arm.N_JOINTS].mean()),
            delay_s,
        )
        self._dt_s, self._threads, self._windows = sim.sim_dt_s, n_threads, list(windows)
        self._batches: dict[int, mujoco_batch.Batch] = {}
        parts = [(i, window, window.piece) for i, window in enumerate(windows)]
        self.measured = np.concatenate([piece.q[window.counted] for _, window, piece in parts])
        self.heard = np.concatenate([piece.heard[window.counted] for _, window, piece in parts])
        self.window_of = np.concatenate([np.full(len(piece.t_s[window.counted]), i) for i, window, piece in parts])
        after_s = np.concatenate([piece.t_s[window.counted] - piece.t_s[window.start] for _, window, piece in parts])
        self._at = after_s / self._dt_s  # in physics steps
        self._n_steps = int(np.ceil(self._at.max())) + 1

    def predict(self, candidates: Sequence[ArmPhysics]) -> Floats:
        """Return the positions under each of some physics, shape (n, S, 6) [deg x 5, percent]."""
        n = max(1, _MOST_AT_ONCE // len(self._windows))
        return np.concatenate([self._predict(candidates[i : i + n]) for i in range(0, len(candidates), n)])

    def _predict(self, candidates: Sequence[ArmPhysics]) -> Floats:
        n_w, n_c = len(self._windows), len(candidates)
        sims = self._batch(n_w * n_c)
        goals = self._goals(candidates)  # (steps, n_c * n_w, 6)
        self._write(sims, candidates)
        ctrl, qpos = sims.bind("ctrl")[:, : arm.N_JOINTS], sims.bind("qpos")[:, : arm.N_JOINTS]
        path = np.empty((self._n_steps + 1, n_w * n_c, arm.N_JOINTS))
        path[0] = qpos
        for step in range(self._n_steps):
            ctrl[:] = goals[step]
            sims.step()
            path[step + 1] = qpos
        low = np.minimum(self._at.astype(np.int64), self._n_steps - 1)
        share = (self._at - low)[:, None]
        found = []
        for i, candidate in enumerate(candidates):
            rows = i * n_w + self.window_of
            q_rad = (1 - share) * path[low, rows] + share * path[low + 1, rows]
            found.append(arm.from_radians(q_rad) + candidate.zero)
        return np.stack(found)

    def _batch(self, n: int) -> mujoco_batch.Batch:
        if n not in self._batches:
            self._batches[n] = mujoco_batch.Batch(self._model, n, self._threads)
        sims = self._batches[n]
        sims.reset(stage=mujoco.mjtStage.mjSTAGE_NONE.value)
        return sims

    def _write(self, sims: mujoco_batch.Batch, candidates: Sequence[ArmPhysics]) -> None:
        """Write physics and start states, candidate by candidate, window by window."""
        n_w = len(self._windows)
        gain, bias = sims.expand("actuator_gainprm"), sims.expand("actuator_biasprm")
        armature, friction = sims.expand("dof_armature"), sims.expand("dof_frictionloss")
        qpos, qvel = sims.bind("qpos"), sims.bind("qvel")
        q = np.stack([window.piece.q[window.start] for window in self._windows])
        velocity = np.stack([window.piece.velocity[window.start] for window in self._windows])
        for i, candidate in enumerate(candidates):
            rows = slice(i * n_w, (i + 1) * n_w)
            gain[rows, :, 0], bias[rows, :, 1] = candidate.gain, -candidate.gain
            bias[rows, :, 2] = -candidate.damping
            armature[rows, : arm.N_JOINTS] = candidate.armature
            friction[rows, : arm.N_JOINTS] = candidate.friction_nm
            qpos[rows, : arm.N_JOINTS] = arm.to_radians(q - candidate.zero)
            qvel[rows, : arm.N_JOINTS] = velocity / arm.PER_RAD
        sims.set_const()

    def _goals(self, candidates: Sequence[ArmPhysics]) -> Floats:
        """Return the goal of every physics step and simulation, shape (steps, n_c * n_w, 6) [rad]."""
        by_delay: dict[float, Floats] = {}
        parts = []
        for candidate in candidates:
            delay_s = candidate.delay_s
            if delay_s not in by_delay:
                by_delay[delay_s] = np.stack([self._delayed(window, delay_s) for window in self._windows], axis=1)
            parts.append(arm.to_radians(by_delay[delay_s] - candidate.zero))
        return np.concatenate(parts, axis=1)

    def _delayed(self, window: Window, delay_s: float) -> Floats:
        """Return the mean goal over every physics step of a window, shape (steps, 6) [deg x 5, percent]."""
        piece = window.piece
        edges_s = piece.t_s[window.start] - delay_s + self._dt_s * np.arange(self._n_steps + 1)
        return np.diff(_integral(piece, edges_s), axis=0) / self._dt_s


def _integral(piece: Piece, t_s: Floats) -> Floats:
    """Return the integral of the goals up to some times, shape (n, 6); a goal stays until the next one comes."""
    first, last = min(t_s[0], piece.t_s[0]) - 1.0, max(t_s[-1], piece.t_s[-1]) + 1.0
    times_s = np.concatenate([[first], piece.t_s[1:], [last]])  # the first goal holds from before, the last one stays
    sums = np.concatenate([np.zeros((1, arm.N_JOINTS)), np.cumsum(np.diff(times_s)[:, None] * piece.goals, axis=0)])
    return np.stack([np.interp(t_s, times_s, sums[:, j]) for j in range(arm.N_JOINTS)], axis=-1)
