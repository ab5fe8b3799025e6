"""The simulator as a function from physics to the positions that a log should hold.

All windows under all candidates of physics run side by side in one `mujoco.batch.Batch`, without contact. Goals reach the
servos later by the delay, as the mean over each physics step, so that positions change smoothly with the delay.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import mujoco
import numpy as np
from mujoco import batch as mujoco_batch

from soarm import arm, motor
from soarm.identification.physics import ArmPhysics, Floats
from soarm.identification.windows import Piece, Window
from soarm.sim.params import SimParams
from soarm.sim.physics import SceneWriter
from soarm.sim.scene import build_model
from soarm.sim.servos import slew

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
        self._by_law = sim.servos.law == "sts3215"
        self._model, self._zero = _arm_alone(sim), np.array(sim.servos.zero_deg)
        self.start = _read(self._model, sim)
        self._dt_s, self._threads, self._windows = sim.sim_dt_s, n_threads, list(windows)
        self._batches: dict[int, mujoco_batch.Batch] = {}
        self._paths = {id(window.piece): self._followed(window.piece) for window in windows}
        self.measured = np.concatenate([window.piece.q[window.counted] for window in windows])
        self.heard = np.concatenate([window.piece.heard[window.counted] for window in windows])
        times_s = [window.piece.t_s[window.counted] - window.piece.t_s[window.start] for window in windows]
        self.window_of = np.repeat(np.arange(len(times_s)), [len(one) for one in times_s])
        self._at = np.concatenate(times_s) / self._dt_s  # in physics steps
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
        for i in range(n_c):
            rows = i * n_w + self.window_of
            q_rad = (1 - share) * path[low, rows] + share * path[low + 1, rows]
            found.append(arm.from_radians(q_rad) + self._zero)
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
        armature, friction, damping = (sims.expand(f"dof_{name}") for name in ("armature", "frictionloss", "damping"))
        qpos, qvel = sims.bind("qpos"), sims.bind("qvel")
        q = np.stack([window.piece.q[window.start] for window in self._windows])
        velocity = np.stack([window.piece.velocity[window.start] for window in self._windows])
        for i, candidate in enumerate(candidates):
            rows = slice(i * n_w, (i + 1) * n_w)
            gain[rows, :, 0], bias[rows, :, 1] = candidate.gain, -candidate.gain
            if self._by_law:
                damping[rows, : arm.N_JOINTS] = candidate.damping
            else:
                bias[rows, :, 2] = -candidate.damping
            armature[rows, : arm.N_JOINTS] = candidate.armature
            friction[rows, : arm.N_JOINTS] = candidate.friction_nm
            qpos[rows, : arm.N_JOINTS] = arm.to_radians(q - self._zero)
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
            parts.append(arm.to_radians(by_delay[delay_s] - self._zero))
        return np.concatenate(parts, axis=1)

    def _delayed(self, window: Window, delay_s: float) -> Floats:
        """Return the mean goal over every physics step of a window, shape (steps, 6) [deg x 5, percent]."""
        edges_s = window.piece.t_s[window.start] - delay_s + self._dt_s * np.arange(self._n_steps + 1)
        return np.diff(_integral(*self._paths[id(window.piece)], edges_s), axis=0) / self._dt_s

    def _followed(self, piece: Piece) -> tuple[Floats, Floats]:
        """Return the goals that servos follow: from when on, shape (T,) [s], and which, shape (T, 6).

        Those that were sent; under the motor's law they slew.
        """
        if not self._by_law:
            return piece.t_s, piece.goals
        fastest, acceleration = (2 * np.pi / 4096 * most for most in (motor.MAX_SPEED_TICKS_S, 100.0 * motor.ACCELERATION))
        per_rad = np.abs(arm.PER_RAD)
        times_s = np.arange(piece.t_s[0], piece.t_s[-1] + self._dt_s, self._dt_s)
        sent = piece.goals[np.maximum(np.searchsorted(piece.t_s, times_s + 1e-9, side="right") - 1, 0)] / per_rad
        at, speed, path = piece.q[0] / per_rad, np.zeros(arm.N_JOINTS), np.empty_like(sent)
        for i, goal in enumerate(sent):
            at, speed = slew(goal, at, speed, fastest, acceleration, self._dt_s)
            path[i] = at
        return times_s, path * per_rad


def _arm_alone(sim: SimParams) -> mujoco.MjModel:
    """Return the simulator's model as the middles of its ranges make it, with right zeros, without delay and contact."""
    none = dict.fromkeys(("latency_s", "zero_deg", "backlash_deg"), (0.0, 0.0))
    sim = dataclasses.replace(
        sim,
        physics=dataclasses.replace(sim.physics, **none),
        disturbances=dataclasses.replace(sim.disturbances, severity=(0.0, 0.0), physics={}),
        cameras={},
        objects_from="simulator",
    )
    model = build_model(sim, visuals=False)
    SceneWriter(model, sim)  # writes the middles
    model.opt.disableflags |= int(mujoco.mjtDisableBit.mjDSBL_CONTACT)
    return model


def physics_of(sim: SimParams) -> ArmPhysics:
    """Return the physics of a simulator's arm, of ranges the middles."""
    return _read(_arm_alone(sim), sim)


def _read(model: mujoco.MjModel, sim: SimParams) -> ArmPhysics:
    n = arm.N_JOINTS
    by_law = sim.servos.law == "sts3215"
    return ArmPhysics(
        model.actuator_gainprm[:n, 0].copy(),
        model.dof_damping[:n].copy() if by_law else -model.actuator_biasprm[:n, 2],
        model.dof_frictionloss[:n].copy(),
        float(model.dof_armature[:n].mean()),
        sum(sim.physics.latency_s) / 2,
    )


def _integral(since_s: Floats, goals: Floats, t_s: Floats) -> Floats:
    """Return the integral of goals up to some times, shape (n, 6); a goal holds from its time until the next one's."""
    first, last = min(t_s[0], since_s[0]) - 1.0, max(t_s[-1], since_s[-1]) + 1.0
    times_s = np.concatenate([[first], since_s[1:], [last]])  # the first goal holds from before, the last one stays
    sums = np.concatenate([np.zeros((1, arm.N_JOINTS)), np.cumsum(np.diff(times_s)[:, None] * goals, axis=0)])
    return np.stack([np.interp(t_s, times_s, sums[:, j]) for j in range(arm.N_JOINTS)], axis=-1)
