"""From logs to what an arm is made of, and how much of the gap to the simulator that explains where the fit did not look."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from soarm.errors import LogError
from soarm.identification.fit import Fitted, fit
from soarm.identification.model import ArmModel
from soarm.identification.physics import ArmPhysics, Floats
from soarm.identification.windows import RUN_UP_S, WINDOW_S, Piece, Window, pieces, windows
from soarm.runtime.log import Run
from soarm.sim.params import SimParams

_HELD_OUT_EVERY = 4
_LEAST_WINDOWS = 2 * _HELD_OUT_EVERY
_STRETCH_S = 8.0


class Stretch(NamedTuple):
    """A few seconds of a run, for a figure; arrays of shape (n, 6) [deg x 5, percent].

    Attributes:
        t_s: Since its begin, shape (n,) [s].
        goals: What was sent.
        measured: Where the joints were.
        before: Where the simulator has them.
        after: Where it has them with what was found.
    """

    t_s: Floats
    goals: Floats
    measured: Floats
    before: Floats
    after: Floats


class Identified(NamedTuple):
    """What logs say of an arm.

    Attributes:
        before: The simulator's own physics.
        fitted: What was found.
        n_windows: Windows of one second, those held out among them.
        n_held_out: Held-out windows.
        gap_before: Root mean square of measured less simulated position on these, shape (6,) [deg x 5, percent].
        gap_after: The same with what was found.
        stretch: The longest uninterrupted piece, or its first seconds.
    """

    before: ArmPhysics
    fitted: Fitted
    n_windows: int
    n_held_out: int
    gap_before: Floats
    gap_after: Floats
    stretch: Stretch

    @property
    def explained(self) -> Floats:
        """Share of the gap per joint that is gone, shape (6,): 1 is all of it, below 0 there is more than before."""
        return np.asarray(1 - self.gap_after / np.maximum(self.gap_before, 1e-9))

    @property
    def explained_in_all(self) -> float:
        """The same of all joints together."""
        before, after = (float(np.linalg.norm(gap)) for gap in (self.gap_before, self.gap_after))
        return 1 - after / max(before, 1e-9)


def identify(
    runs: Sequence[Run],
    sim: SimParams,
    *,
    n_threads: int = 1,
    each: Callable[[int, float], None] = lambda n, cost: None,
) -> Identified:
    """Fit the simulator's arm to the logs of runs.

    Args:
        runs: Logs of one arm with the same gains and supply.
        sim: The simulator.
        n_threads: Threads that step physics.
        each: See `fit`.

    Raises:
        LogError: They hold too little.
    """
    found: list[Piece] = [piece for run in runs for piece in pieces(run)]
    cut = windows(found)
    if len(cut) < _LEAST_WINDOWS:
        raise LogError(
            f"the logs hold {len(cut)} windows of {WINDOW_S:g} s in which goals were sent without a break; {_LEAST_WINDOWS} "
            "are needed. Give more logs, or play the motion that is made for this: soarm excite"
        )
    fitted = fit(sim, [one for i, one in enumerate(cut) if not _is_held_out(i)], n_threads=n_threads, each=each)
    held_out = ArmModel(sim, [one for i, one in enumerate(cut) if _is_held_out(i)], n_threads)
    heard = np.maximum(held_out.heard.sum(axis=0), 1)
    off = (held_out.predict([held_out.start, fitted.physics]) - held_out.measured) * held_out.heard
    before, after = np.sqrt((off**2).sum(axis=1) / heard)
    stretch = _stretch(max(found, key=lambda piece: len(piece.t_s)), sim, fitted.physics)
    return Identified(held_out.start, fitted, len(cut), len(cut) // _HELD_OUT_EVERY, before, after, stretch)


def as_logged(sim: SimParams, runs: Sequence[Run]) -> SimParams:
    """Return a simulator whose servos have the P register and the supply of logs, where its law is the motor's."""
    if sim.servos.law != "sts3215":
        return sim
    p = [run.header["gains"]["p"] for run in runs if "gains" in run.header]
    volts = round(float(np.median(np.concatenate([run.records["voltage_v"].ravel() for run in runs]))), 2)
    servos = dataclasses.replace(sim.servos, p=round(float(np.median(p))) if p else sim.servos.p)
    return dataclasses.replace(sim, servos=servos, physics=dataclasses.replace(sim.physics, volts=(volts, volts)))


def _is_held_out(i: int) -> bool:
    return i % _HELD_OUT_EVERY == _HELD_OUT_EVERY - 1


def _stretch(piece: Piece, sim: SimParams, physics: ArmPhysics) -> Stretch:
    """Return some seconds of a piece, simulated in one go."""
    start, stop = np.searchsorted(piece.t_s, piece.t_s[0] + np.array([0.0, RUN_UP_S + _STRETCH_S]))
    counted = slice(int(np.searchsorted(piece.t_s, piece.t_s[0] + RUN_UP_S)), int(stop))
    model = ArmModel(sim, [Window(piece, int(start), counted)])
    before, after = model.predict([model.start, physics])
    t_s = piece.t_s[counted] - piece.t_s[counted][0]
    return Stretch(t_s, piece.goals[counted], model.measured, before, after)
