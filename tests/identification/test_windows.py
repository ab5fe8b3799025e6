from __future__ import annotations

import numpy as np
import pytest

from soarm.errors import LogError
from soarm.identification.windows import RUN_UP_S, WINDOW_S, pieces, windows
from soarm.runtime.log import Run, record_type
from soarm.tasks.pick_place import TASK


def log_of(n: int = 301, hz: float = 60.0) -> Run:
    records = np.zeros(n, record_type(*TASK.objects.shape))
    records["t_s"], records["sent"] = np.arange(n) / hz, 1
    return Run(TASK, {}, records, 0)


def test_a_piece_ends_where_nothing_was_sent_and_where_time_is_missing() -> None:
    run = log_of()
    run.records["sent"][100] = 0
    run.records["t_s"][200:] += 0.5

    assert [len(piece.t_s) for piece in pieces(run)] == [100, 99, 101]


def test_a_log_of_a_dry_run_has_no_piece() -> None:
    run = log_of()
    run.records["sent"] = 0

    assert pieces(run) == []


def test_a_silent_joint_is_not_heard() -> None:
    run = log_of()
    run.records["misses"][7, 2] = 1
    (piece,) = pieces(run)

    assert np.argwhere(~piece.heard).tolist() == [[7, 2]]


def test_windows_begin_after_a_run_up_and_share_no_tick() -> None:
    cut = windows(pieces(log_of()))
    piece = cut[0].piece
    counted = np.concatenate([np.arange(len(piece.t_s))[window.counted] for window in cut])

    assert len(cut) == 4
    assert len(set(counted)) == len(counted) == 4 * 60
    for window in cut:
        begin_s = piece.t_s[window.counted][0]
        assert piece.t_s[window.start] == pytest.approx(begin_s - RUN_UP_S)
        assert piece.t_s[window.counted][-1] - begin_s < WINDOW_S


def test_a_log_that_is_too_short_is_refused() -> None:
    with pytest.raises(LogError, match=r"no 1\.5 s in which goals were sent without a break; `soarm excite`"):
        windows(pieces(log_of(60)))
