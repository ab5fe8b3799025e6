"""From logs to what an arm is made of, and how much of the gap to the simulator that explains on windows held out of the fit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from soarm.errors import LogError
from soarm.identification.fit import Fitted, fit
from soarm.identification.model import ArmModel
from soarm.identification.physics import ArmPhysics, Floats
from soarm.identification.windows import WINDOW_S, Piece, Window, pieces, windows
from soarm.runtime.log import Run
from soarm.sim.params import SimParams

_HELD_OUT_EVERY = 4
_LEAST_WINDOWS = 2 * _HELD_OUT_EVERY


class Trace(NamedTuple):
    """One joint in held-out windows, for a figure: all of shape (n,).

    Attributes:
        t_s: Since the first of them, without what lies between [s].
        measured: Where it was [deg, percent].
        before: Where the simulator had it.
        after: Where it has it with what was found.
    """

    t_s: Floats
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
        traces: Per joint.
    """

    before: ArmPhysics
    fitted: Fitted
    n_windows: int
    n_held_out: int
    gap_before: Floats
    gap_after: Floats
    traces: tuple[Trace, ...]

    @property
    def explained(self) -> Floats:
        """Share of the gap per joint that is gone, shape (6,): 1 is all of it, below 0 there is more than before."""
        return np.asarray(1 - self.gap_after / np.maximum(self.gap_before, 1e-9))

    @property
    def explained_in_all(self) -> float:
        """The same of all joints together."""
        return 1 - float(np.linalg.norm(self.gap_after) / max(np.linalg.norm(self.gap_before), 1e-9))


def identify(
    runs: Sequence[Run],
    sim: SimParams,
    *,
    zeros: bool = False,
    n_threads: int = 1,
    each: Callable[[int, float], None] = lambda n, cost: None,
) -> Identified:
    """Fit the simulator's arm to the logs of runs.

    Args:
        runs: Logs of one arm with the same gains and supply.
        sim: The simulator.
        zeros: See `fit`.
        n_threads: Threads that step physics.
        each: See `fit`.

    Raises:
        LogError: They hold too little.
    """
    found: list[Piece] = [piece for run in runs for piece in pieces(run)]
    cut = windows(found)
    if len(cut) < _LEAST_WINDOWS:
        raise LogError(
            f"the logs hold {len(cut)} windows of {WINDOW_S:g} s in which goals were sent without a break; {_LEAST_WINDOWS} are "
            "needed. Give more logs, or play the motion that is made for this: soarm excite"
        )
    held_out = [window for i, window in enumerate(cut) if _is_held_out(i)]
    fitted = fit(ArmModel(sim, [window for i, window in enumerate(cut) if not _is_held_out(i)], n_threads), zeros=zeros, each=each)
    return _judged(fitted, ArmModel(sim, held_out, n_threads), len(cut), held_out)


def _is_held_out(i: int) -> bool:
    return i % _HELD_OUT_EVERY == _HELD_OUT_EVERY - 1


def _judged(fitted: Fitted, model: ArmModel, n_windows: int, held_out: Sequence[Window]) -> Identified:
    """Return the gap before and after on windows that the fit did not see."""
    before, after = model.predict([model.start, fitted.physics])
    heard = np.maximum(model.heard.sum(axis=0), 1)
    gaps = [np.sqrt((((q - model.measured) * model.heard) ** 2).sum(axis=0) / heard) for q in (before, after)]
    t_s = np.concatenate([w.piece.t_s[w.counted] - w.piece.t_s[w.counted][0] + i * WINDOW_S for i, w in enumerate(held_out)])
    traces = tuple(Trace(t_s, model.measured[:, j], before[:, j], after[:, j]) for j in range(model.measured.shape[1]))
    return Identified(model.start, fitted, n_windows, len(held_out), *gaps, traces)
