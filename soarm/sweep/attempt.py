"""One trial: the stage itself, in a process and a folder of its own.

The folder holds `params.yaml` as the trial has it, `output.log`, and `data` with what the stage writes. The lock on it is held
by whoever runs the trial and by the stage's process, so that a trial that is still running is never begun twice, whichever of
the two was killed. Killed and begun again, the stage goes on from its checkpoint. Knows no Optuna.
"""

from __future__ import annotations

import contextlib
import csv
import fcntl
import math
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from soarm.errors import StageError
from soarm.process import Process
from soarm.smallfile import DATASET_BYTES, read_json, shown, write_atomically
from soarm.sweep.swept import Swept
from soarm.tracking.trial import FOLDER

_END_S = 60.0
"""How long a stage may take to end after it was told to [s]; then it is killed."""


class Attempt:
    """A trial's folder, locked.

    Args:
        swept: The stage.
        root: Root of the repository.
        folder: The trial's.
        lock: Its lock, held.
    """

    def __init__(self, swept: Swept, root: Path, folder: Path, lock: BinaryIO) -> None:
        self._swept, self._root, self.folder, self._lock = swept, root, folder, lock
        self._process: Process | None = None
        self._seen = -1

    @property
    def is_done(self) -> bool:
        """Whether the stage has put its results in place."""
        return (self.folder / "data" / self._swept.stage).is_dir()

    @property
    def is_running(self) -> bool:
        """Whether the stage runs, in this process's charge."""
        return self._process is not None and self._process.status is None

    def start(self, params: str) -> None:
        """Start the stage.

        Args:
            params: params.yaml of the trial.
        """
        write_atomically(self.folder / "params.yaml", params, StageError)
        words, log = ("-m", f"stages.{self._swept.stage}"), self.folder / "output.log"
        self._process = Process(words, self._root, log, {FOLDER: str(self.folder)}, keeps=[self._lock])

    def news(self) -> list[tuple[int, float]]:
        """Return validations that were not returned before: environment or optimiser step, and the metric."""
        path = self.folder / "data" / "live" / self._swept.stage / "plots" / "metrics" / f"{self._swept.metric}.tsv"
        rows = []
        with contextlib.suppress(FileNotFoundError, ValueError), path.open(encoding="utf-8", newline="") as file:
            for step, value in list(csv.reader(file, delimiter="\t"))[1:]:
                if int(step) > self._seen and math.isfinite(float(value)):
                    rows.append((int(step), float(value)))
        self._seen = max([self._seen, *(step for step, _ in rows)])
        return rows

    def stop(self) -> None:
        """Have the stage end; it keeps its checkpoint. Where it has ended, this does nothing."""
        if self._process is not None:
            self._process.end(_END_S)

    def result(self) -> float | None:
        """Return the metric of a stage that is done; None where it failed."""
        if not self.is_done:
            return None
        with contextlib.suppress(StageError):
            return read_metric(self.folder / "data" / "metrics" / f"{self._swept.stage}.json", self._swept.metric)
        return None

    def reason(self) -> str:
        """Return the last line that the stage wrote."""
        line = "" if self._process is None else self._process.line()
        return line[:300] or "the stage wrote nothing"

    def forget_checkpoint(self) -> None:
        """Delete what the stage kept to go on from: a replay buffer has hundreds of megabytes."""
        shutil.rmtree(self.folder / "data" / ".scratch", ignore_errors=True)


def read_metric(path: Path, metric: str) -> float:
    """Return a number of a metrics file.

    Raises:
        StageError: The file cannot be read, or holds no number of that name.
    """
    remedy = "Its stage writes it: delete the folder of the trial, or of the sweep"
    value = read_json(path, StageError, remedy, most_bytes=DATASET_BYTES).get(metric)
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise StageError(f"{path} has {metric} = {shown(value)}, which is no number. {remedy}")
    return float(value)


@contextlib.contextmanager
def attempt(swept: Swept, root: Path, folder: Path) -> Iterator[Attempt | None]:
    """Lock a trial's folder, which is made if it is not there; None where another process has it.

    Raises:
        StageError: It cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / "lock").open("ab")
    except OSError as error:
        raise StageError(f"{folder} cannot be written ({error.strerror}); make room, or allow writing") from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield None
            return
        yield Attempt(swept, root, folder, lock)
