"""Progress lines, with a clock that the test turns."""

from __future__ import annotations

import io
import logging

import pytest
from rich.console import Console

from soarm.progress import LINE_EVERY_S, Overview, Reporter, line


class Clock:
    """Seconds that pass when told to."""

    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.mark.parametrize(
    ("done", "total", "elapsed_s", "latest", "expected"),
    [
        (120, 480, 60.0, "loss 0.31", "train  120/480 (25 %)  2/s  left 0:03:00  loss 0.31"),
        (480, 480, 240.0, "", "train  480/480 (100 %)  2/s  took 0:04:00"),
        (7, None, 2.0, "", "train  7  3.5/s"),
        (0, 10, 5.0, "", "train  0/10 (0 %)  0/s"),
        (1, 10, 0.0, "", "train  1/10 (10 %)  0/s"),
    ],
    ids=["under way", "done", "no total", "nothing yet", "no time yet"],
)
def test_a_line_says_how_far_how_fast_and_how_long(
    done: int, total: int | None, elapsed_s: float, latest: str, expected: str
) -> None:
    assert line("train", done, total, elapsed_s, latest) == expected


def test_a_log_gets_a_line_every_few_seconds_and_one_at_the_end(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    reporter = Reporter(Console(file=io.StringIO()), clock)

    with caplog.at_level(logging.INFO, "soarm"):
        for i in reporter.track(iter(range(10)), 10, "loop"):
            clock.now_s += LINE_EVERY_S / 2.5
            reporter.note(i, {"loss": i})

    assert [message.split()[1] for message in caplog.messages] == ["3/10", "6/10", "9/10", "10/10"]
    assert caplog.messages[0].endswith("loss 2")


def test_metrics_outside_a_loop_get_lines_of_their_own_now_and_then(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    reporter = Reporter(Console(file=io.StringIO()), clock)

    with caplog.at_level(logging.INFO, "soarm"):
        for step in range(30):
            clock.now_s += 1.0
            reporter.note(step, {"loss": 0.5})

    assert caplog.messages == ["step 9  loss 0.5", "step 19  loss 0.5", "step 29  loss 0.5"]


def test_a_terminal_gets_a_bar_and_the_items_come_through() -> None:
    screen = io.StringIO()
    reporter = Reporter(Console(file=screen, force_terminal=True, width=120))

    items = []
    for item in reporter.track([1, 2, 3], None, "loop"):
        items.append(item)
        reporter.note(item, {"loss": 0.25})

    assert items == [1, 2, 3]
    assert "loop" in screen.getvalue()
    assert "3/3" in screen.getvalue()


def test_leaving_a_loop_early_is_no_error() -> None:
    reporter = Reporter(Console(file=io.StringIO()))

    for item in reporter.track(iter(range(10)), 10, "loop"):
        if item == 3:
            break

    assert item == 3


def test_many_tasks_get_a_line_each_every_few_seconds(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()

    with caplog.at_level(logging.INFO), Overview(Console(file=io.StringIO()), "study", clock) as view:
        view.show(0, 4, {"a": "train  1/4", "b": "x" * 500})
        view.show(1, 4, {"b": "not yet"})
        clock.now_s = LINE_EVERY_S
        view.say("a: done")
        view.show(1, 4, {"b": "train  2/4"})

    assert caplog.messages == [
        "study  0/4 (0 %)  0/s  2 running",
        "  a: train  1/4",
        "  b: " + "x" * 135,
        "a: done",
        "study  1/4 (25 %)  0.1/s  left 0:00:30  1 running",
        "  b: train  2/4",
    ]


def test_a_terminal_gets_a_table_of_the_tasks_that_run() -> None:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=60)

    with Overview(console, "study", Clock()) as view:
        view.say("a: done [0]")
        view.show(1, 4, {"b": "train  [2]/4"})

    assert "a: done [0]" in out.getvalue()
    assert "study  1/4 (25 %)" in out.getvalue()
    assert "b  train  [2]/4" in out.getvalue()
