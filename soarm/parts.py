"""A result that a stage makes in parts which need nothing of one another: killed, it keeps those that it has.

Other processes can make them beforehand: `python -m stages.gauntlet --part late` makes one alone.
"""

from __future__ import annotations

import logging
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

from soarm.errors import SoarmError, StageError

logger = logging.getLogger(__name__)
T = TypeVar("T")
_TOOK = "took_s"


def folder_of(stage: str, *part: str) -> Path:
    """Return where the parts of a stage lie, or one of them, from the root of the repository."""
    return Path("data", ".scratch", f"{stage}.parts", *part)


class Parts:
    """Parts of a stage's result.

    Args:
        place: In whose `data` they lie.
        stage: Name of the stage.
        state: Hash of all that the result follows from: only parts that were made from the same are taken.
        only: The part that this run is to make; None for all.

    Attributes:
        before_s: What the parts took that were there [s].
    """

    def __init__(self, place: Path, stage: str, state: str, only: str | None) -> None:
        self._folder, self._stage, self._state, self._only = place / folder_of(stage), stage, state, only
        self.before_s = 0.0

    def wanted(self, names: Iterable[str]) -> list[str]:
        """Return which of all parts this run is to make.

        Raises:
            StageError: It is to make one that is none of them.
        """
        known = list(names)
        if self._only is not None and self._only not in known:
            raise StageError(f"{self._stage} has no part {self._only!r} by these parameters; its parts are {', '.join(known)}")
        return known if self._only is None else [self._only]

    def made(self, name: str, make: Callable[[Path], None], read: Callable[[Path], T]) -> T:
        """Return a part, made now or before. One that cannot be read, as a power cut may leave it, is made anew.

        Args:
            name: Of the part.
            make: Fills the folder that it is given.
            read: Returns what the folder holds.
        """
        folder = self._folder / name / self._state
        if folder.is_dir():
            try:
                found = read(folder)
                self.before_s += float((folder / _TOOK).read_text(encoding="utf-8"))
                return found
            except (SoarmError, OSError, ValueError) as error:
                logger.warning("%s: %s is made anew: %s", self._stage, name, error)
                shutil.rmtree(folder)
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".made-") as work:
            (new := Path(work, "new")).mkdir()
            start_s = time.monotonic()
            make(new)
            (new / _TOOK).write_text(f"{time.monotonic() - start_s:.3f}", encoding="utf-8")
            try:
                new.rename(folder)
            except OSError:  # another process made the same meanwhile
                if not folder.is_dir():
                    raise
        return read(folder)

    def forget(self) -> None:
        """Delete all parts."""
        shutil.rmtree(self._folder, ignore_errors=True)
