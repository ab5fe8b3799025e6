"""A process of its own that looks after the arm when the one that drives it dies: servos hold their last goal for ever.

    python -m soarm.runtime.deadman PORT --ids 1 2 3 4 5 6 --then soften

It reads beats on its standard input. When they stop, or the input ends without a goodbye, it opens the port, puts every goal
where its joint is, and takes part of the torque (`soften`) or all of it (`release`). It owns nothing until then.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import select
import subprocess
import sys
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Literal

from soarm.errors import BusError
from soarm.hardware.bus import Bus

logger = logging.getLogger("soarm.runtime.deadman")
Then = Literal["soften", "release"]
BEAT, GOODBYE = b".", b"q"
_STDIN = 0
SOFT = 300
"""Torque limit of a softened servo [0.1 %]: it holds a light arm, and gives way to a hand."""


class DeadMan:
    """The other process, seen from the one that drives the arm; a context manager that says goodbye.

    Args:
        port: Serial port of the arm.
        servo_ids: Its servos.
        timeout_s: Silence after which it acts [s].
        then: What it does.
    """

    def __init__(self, port: str, servo_ids: Sequence[int], timeout_s: float = 1.0, then: Then = "soften") -> None:
        command = [sys.executable, "-m", "soarm.runtime.deadman", port, "--then", then, "--timeout", str(timeout_s)]
        # In a session of its own: Ctrl-C at the terminal must not reach it.
        self._process = subprocess.Popen(
            [*command, "--ids", *map(str, servo_ids)], stdin=subprocess.PIPE, start_new_session=True
        )
        assert self._process.stdin is not None
        os.set_blocking(self._process.stdin.fileno(), False)

    def beat(self) -> None:
        """Say that all is well."""
        self._say(BEAT)

    def close(self) -> None:
        """Say goodbye, and wait until it is gone."""
        self._say(GOODBYE)
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(timeout=5.0)

    def __enter__(self) -> DeadMan:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _say(self, word: bytes) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(BlockingIOError, BrokenPipeError):
            os.write(self._process.stdin.fileno(), word)


def wait_for_silence(fd: int, timeout_s: float) -> bool:
    """Return True when the beats stopped, False after a goodbye."""
    while True:
        ready, _, _ = select.select([fd], [], [], timeout_s)
        if not ready:
            return True
        heard = os.read(fd, 4096)
        if GOODBYE in heard:
            return False
        if not heard:
            return True


def take_over(port: str, servo_ids: Sequence[int], then: Then) -> tuple[int, ...]:
    """Soften or release the arm on a port that somebody else may still have open.

    Returns:
        Servos that could not be reached, or may still be live.

    Raises:
        PortError: The port cannot be opened.
    """
    with Bus.open(port, servo_ids, timeout_s=0.05, exclusive=False) as bus:
        if then == "release":
            return bus.torque_off()
        missed = []
        for servo_id in servo_ids:
            try:
                bus.write(servo_id, "goal_position", bus.read(servo_id, "present_position"))
                bus.write(servo_id, "torque_limit", SOFT)
            except BusError as error:
                logger.error("%s", error)
                missed.append(servo_id)
        return tuple(missed)


def main(arguments: Sequence[str] | None = None) -> int:
    """Watch, and act if need be; the exit status is 0 after a goodbye, 2 after it acted, 1 if it could not."""
    parser = argparse.ArgumentParser(prog="python -m soarm.runtime.deadman", description=__doc__)
    parser.add_argument("port")
    parser.add_argument("--ids", type=int, nargs="+", required=True)
    parser.add_argument("--timeout", type=float, default=1.0, help="silence after which it acts [s] (%(default)s)")
    parser.add_argument("--then", choices=["soften", "release"], default="soften")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    if not wait_for_silence(_STDIN, options.timeout):
        return 0
    logger.warning("the program that drives the arm fell silent: the arm is to %s", options.then)
    tried_until_s = time.monotonic() + 2.0
    while True:
        try:
            missed = take_over(options.port, options.ids, options.then)
        except BusError as error:
            logger.error("%s", error)
            if time.monotonic() > tried_until_s:
                return 1
            time.sleep(0.1)
            continue
        if missed:
            logger.error("the servos %s could not be reached: cut their power", list(missed))
            return 1
        return 2


if __name__ == "__main__":
    sys.exit(main())
