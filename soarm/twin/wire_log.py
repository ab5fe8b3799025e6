"""Every byte that crossed the wire, with its time: one file, one JSON object per line.

    {"t_s": 12.345678, "dir": "tx", "hex": "fffffe0a82380f010203040506..."}
    {"t_s": 12.347101, "dir": "rx", "hex": "ffff0111001208..."}

`t_s` is `time.monotonic()` of the machine that wrote the file [s]. `dir` is seen from the host: "tx" left it, "rx" reached it.
`hex` is what one write sent or one read returned, lower case: an answer may be spread over several lines, and one line may
hold several answers. Lines are in the order of events.
"""

from __future__ import annotations

import errno
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

logger = logging.getLogger(__name__)

Direction = Literal["tx", "rx"]


class WireLog:
    """Writes the file; a context manager.

    Args:
        path: Where to write; an existing file is replaced.
        now: The clock [s].
    """

    def __init__(self, path: Path, now: Callable[[], float] = time.monotonic) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._now = now
        self._broken = False
        if path.is_fifo():  # opening one would wait for a reader
            raise FileExistsError(errno.EEXIST, "it is a pipe", str(path))
        self._file = path.open("w", encoding="ascii")

    def write(self, direction: Direction, data: bytes) -> None:
        """Add what was sent ("tx") or received ("rx"), with the time of now; nothing happens once the log is closed."""
        self._attempt(self._file.write, f'{{"t_s": {self._now():.6f}, "dir": "{direction}", "hex": "{data.hex()}"}}\n')

    def close(self) -> None:
        """Close the file; a second time does nothing."""
        self._broken = False
        self._attempt(self._file.close)

    def _attempt(self, action: Callable[..., object], *arguments: str) -> None:
        if self._file.closed or self._broken:
            return
        try:
            action(*arguments)
        except OSError as error:  # a full disk must not stop the arm
            self._broken = True
            logger.error("the wire log %s ends here: %s", self.path, error)

    def __enter__(self) -> WireLog:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
