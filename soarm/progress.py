"""Progress of a long loop, or of many tasks: a bar on a terminal, a plain line with an ETA every few seconds in a log.

Knows the console and the `logging` handlers of a process; knows nothing of what is being counted.
"""

from __future__ import annotations

import datetime
import logging
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sized
from contextlib import contextmanager
from typing import Self, TypeVar

from rich.console import Console, Group
from rich.live import Live
from rich.logging import RichHandler
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

logger = logging.getLogger(__name__)
T = TypeVar("T")

LINE_EVERY_S = 10.0
_WIDEST = 140
"""Characters of a line that tells of one task among many."""


class Reporter:
    """Shows how far loops have come.

    Args:
        console: Where to show it; a terminal gets a bar, anything else gets lines through `logging`.
        clock: Seconds from any origin.
    """

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = console
        self._clock = clock
        self._latest = ""
        self._line_due = clock() + LINE_EVERY_S
        self._loops = 0

    def note(self, step: int, metrics: Mapping[str, float]) -> None:
        """Show `metrics` with the running loop's next line; without a loop, in a line of their own now and then."""
        self._latest = "  ".join(f"{key} {value:.4g}" for key, value in metrics.items())
        if not self._loops and self._due():
            logger.info("step %d  %s", step, self._latest)

    def track(self, iterable: Iterable[T], total: int | None, description: str) -> Iterator[T]:
        """Yield from `iterable`, showing progress.

        Args:
            iterable: What to loop over.
            total: Its length, where it has no `len()`; None for unknown.
            description: Shown in front.
        """
        if total is None and isinstance(iterable, Sized):
            total = len(iterable)
        loop = self._bar if self._console.is_terminal else self._lines
        self._loops += 1
        try:
            yield from loop(iterable, total, description)
        finally:
            self._loops -= 1
            self._latest = ""

    def _bar(self, iterable: Iterable[T], total: int | None, description: str) -> Generator[T]:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        )
        with Progress(*columns, TextColumn("{task.fields[latest]}"), console=self._console, transient=True) as progress:
            task = progress.add_task(description, total=total, latest="")
            for item in iterable:
                yield item
                progress.update(task, advance=1, latest=self._latest)

    def _lines(self, iterable: Iterable[T], total: int | None, description: str) -> Generator[T]:
        start = self._clock()
        self._line_due = start + LINE_EVERY_S
        done = 0
        for item in iterable:
            yield item
            done += 1
            if self._due():
                logger.info("%s", line(description, done, total, self._clock() - start, self._latest))
        logger.info("%s", line(description, done, done, self._clock() - start, self._latest))

    def _due(self) -> bool:
        now = self._clock()
        if now < self._line_due:
            return False
        self._line_due = now + LINE_EVERY_S
        return True


class Overview:
    """Shows how far many tasks have come: a table on a terminal, a plain line for each now and then in a log.

    Args:
        console: Where to show it; a terminal gets a table, anything else gets lines through `logging`.
        description: What the tasks are, shown in front of their number.
        clock: Seconds from any origin.
    """

    def __init__(self, console: Console, description: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._console, self._description, self._clock = console, description, clock
        self._start_s = self._due_s = clock()
        self._live = Live(console=console, transient=True, refresh_per_second=4) if console.is_terminal else None

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def show(self, done: int, total: int, running: Mapping[str, str]) -> None:
        """Show how many tasks are done, and how far those that run have come.

        Args:
            done: Tasks that have ended.
            total: All of them.
            running: Task -> its last line.
        """
        first = line(self._description, done, total, self._clock() - self._start_s, f"{len(running)} running")
        if self._live is not None:
            table = Table.grid(padding=(0, 2))
            for name, text in running.items():
                table.add_row(name, Text(text, no_wrap=True, overflow="ellipsis"))
            self._live.update(Group(Text(first), table))
        elif self._clock() >= self._due_s:
            # Of a hundred tasks nobody reads a hundred lines every few seconds.
            self._due_s = self._clock() + LINE_EVERY_S * max(1.0, len(running) / 4)
            for text in (first, *(f"  {name}: {text}" for name, text in running.items())):
                logger.info("%s", text[:_WIDEST])

    def say(self, text: str) -> None:
        """Say something that stays."""
        if self._live is not None:
            self._console.print(text, markup=False, highlight=False)
        else:
            logger.info("%s", text)


def line(description: str, done: int, total: int | None, elapsed_s: float, latest: str) -> str:
    """Return one line of progress, such as `train  120/500 (24 %)  40.1/s  left 0:00:09  loss 0.31`."""
    rate = done / elapsed_s if elapsed_s > 0 else 0.0
    parts = [description, f"{done}"]
    if total:
        parts = [description, f"{done}/{total} ({100 * done // total} %)"]
    parts.append(f"{rate:.3g}/s")
    if total and rate > 0 and done < total:
        parts.append(f"left {datetime.timedelta(seconds=round((total - done) / rate))}")
    elif total == done:
        parts.append(f"took {datetime.timedelta(seconds=round(elapsed_s))}")
    return "  ".join([*parts, latest] if latest else parts)


@contextmanager
def console_logging(console: Console) -> Iterator[None]:
    """Send log records to `console` for a while: ours from INFO, everybody else's from WARNING."""
    if console.is_terminal:
        handler: logging.Handler = RichHandler(console=console, show_path=False, log_time_format="%H:%M:%S")
    else:
        handler = logging.StreamHandler(console.file)
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(message)s", "%H:%M:%S"))
    root, ours = logging.getLogger(), logging.getLogger("soarm")
    before = ours.level
    root.addHandler(handler)
    ours.setLevel(logging.INFO)
    try:
        yield
    finally:
        root.removeHandler(handler)
        ours.setLevel(before)
