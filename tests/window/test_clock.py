"""The control rate in real time."""

from __future__ import annotations

from soarm.window.clock import ControlClock


def test_ticks_come_at_the_rate_and_what_is_too_late_is_left_out() -> None:
    at = [0.0]

    def sleep(seconds: float) -> None:
        at[0] += seconds

    clock = ControlClock(10, now=lambda: at[0], sleep=sleep)
    for busy_s in (0.01, 0.01, 0.35, 0.01):
        at[0] += busy_s
        clock.tick()
    kept = clock.punctuality()

    assert kept is not None
    assert kept.missed == 2
    assert 45 < kept.late_p99_ms < 50
    assert round(at[0], 6) == 0.6
    assert str(kept).startswith("6.7 steps per second")
