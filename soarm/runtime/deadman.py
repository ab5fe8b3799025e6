"""A process of its own that looks after the arm when the one that drives it dies: servos hold their last goal for ever.

    python -m soarm.runtime.deadman PORT --ids 1 2 3 4 5 6 --then soften

It says on its standard output that it is ready, and reads beats on its standard input. When they stop, or the input ends
without a goodbye, it says that it acts, opens the port, puts every goal where its joint is, and takes part of the torque
(`soften`) or all of it (`release`). It owns nothing until then. Its patience begins with the first beat: until then the arm
has at most been made to hold, and bringing it up may take long.
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

from soarm.errors import BusError, FaultError
from soarm.hardware.bus import Bus

logger = logging.getLogger("soarm.runtime.deadman")
Then = Literal["soften", "release"]
BEAT, GOODBYE = b".", b"q"
READY, ACTING = b"r", b"a"
_STDIN, _STDOUT = 0, 1
_TRIES = 3
"""Attempts at each servo: on a machine so busy that beats failed to come, answers come late as well."""
_START_S = 30.0
"""For the other process to start, on a machine that is busy [s]."""
SOFT = 300
"""Torque limit of a softened servo [0.1 %]: it holds a light arm, and gives way to a hand."""


class DeadMan:
    """The other process, seen from the one that drives the arm; a context manager that says goodbye.

    Args:
        port: Serial port of the arm.
        servo_ids: Its servos.
        timeout_s: Silence after the first beat, after which it acts [s].
        then: What it does.

    Raises:
        FaultError: It does not get ready.
    """

    def __init__(self, port: str, servo_ids: Sequence[int], timeout_s: float = 1.0, then: Then = "soften") -> None:
        command = [sys.executable, "-m", "soarm.runtime.deadman", port, "--then", then, "--timeout", str(timeout_s)]
        self._timeout_s, self._then = timeout_s, then
        # In a session of its own: Ctrl-C at the terminal must not reach it.
        self._process = subprocess.Popen(
            [*command, "--ids", *map(str, servo_ids)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
            bufsize=0,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._to, self._from = self._process.stdin.fileno(), self._process.stdout.fileno()
        try:
            self._wait_until_ready()
        except BaseException:
            self.close()
            raise
        os.set_blocking(self._to, False)
        os.set_blocking(self._from, False)

    def beat(self) -> None:
        """Say that all is well.

        Raises:
            FaultError: Nobody listens: it has acted, or is gone. The arm is then driven without it, or is soft.
        """
        try:
            heard = os.read(self._from, 1)
        except BlockingIOError:
            heard = None  # it has nothing to say: it listens
        if heard == ACTING:
            what = "softened, its torque limit lowered" if self._then == "soften" else "let go"
            raise FaultError(
                f"the dead man's switch acted: it heard nothing for {self._timeout_s:g} s, so the arm was {what}. Find out "
                "why this program stood still (a debugger, Ctrl-Z, a machine that is too busy), then start again"
            )
        if heard is not None or not self._say(BEAT):
            raise FaultError(
                f"the dead man's switch is gone or hangs (exit status {self._process.poll()}): nobody would look after the "
                "arm if this program died. Start again; what it said last stands above"
            )

    def close(self) -> None:
        """Say goodbye, and wait until it is gone; a second time does nothing."""
        for pipe, last in ((self._process.stdin, GOODBYE), (self._process.stdout, None)):
            assert pipe is not None
            if not pipe.closed:
                if last is not None:
                    self._say(last)
                pipe.close()
        try:
            status = self._process.wait(timeout=5.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            status = self._process.wait()
        if status:
            logger.warning("the dead man's switch ended with status %d", status)

    def __enter__(self) -> DeadMan:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _wait_until_ready(self) -> None:
        ready, _, _ = select.select([self._from], [], [], _START_S)
        if not ready or os.read(self._from, 1) != READY:
            raise FaultError(
                f"the dead man's switch does not start (exit status {self._process.poll()}), so nothing would look after the "
                "arm; what it said stands above. Without it: --no-deadman"
            )

    def _say(self, word: bytes) -> bool:
        """Return whether somebody may hear it."""
        try:
            return os.write(self._to, word) == len(word)
        except (BlockingIOError, BrokenPipeError):
            return False


def nobody() -> None:
    """Beat where there is no dead man's switch."""


def wait_for_silence(fd: int, timeout_s: float) -> bool:
    """Return True when the beats stopped, or the input ended, and False after a goodbye; wait for the first beat for ever."""
    patience_s = None
    while True:
        ready, _, _ = select.select([fd], [], [], patience_s)
        if not ready:
            return True
        patience_s = timeout_s
        heard = os.read(fd, 4096)
        if GOODBYE in heard:
            return False
        if not heard:
            return True


def take_over(port: str, servo_ids: Sequence[int], then: Then) -> tuple[int, ...]:
    """Soften or release the arm on a port that somebody else may still have open; a servo without torque is not softened.

    Returns:
        Servos that could not be reached, or may still be live.

    Raises:
        PortError: The port cannot be opened.
    """
    with Bus.open(port, servo_ids, timeout_s=0.05, exclusive=False) as bus:
        if then == "release":
            return bus.torque_off()
        missed = tuple(servo_ids)
        for _ in range(_TRIES):
            missed = tuple(servo_id for servo_id in missed if not _soften(bus, servo_id))
        return missed


def _soften(bus: Bus, servo_id: int) -> bool:
    """Return whether a servo is soft, or has no torque."""
    try:
        if bus.read(servo_id, "torque_enable"):  # else a goal might switch it on
            bus.write(servo_id, "goal_position", bus.read(servo_id, "present_position"))
            bus.write(servo_id, "torque_limit", SOFT)
    except BusError as error:
        logger.error("%s", error)
        return False
    return True


def main(arguments: Sequence[str] | None = None) -> int:
    """Watch, and act if need be; the exit status is 0 after a goodbye, 2 after it acted, 1 if it could not."""
    parser = argparse.ArgumentParser(prog="python -m soarm.runtime.deadman", description=__doc__)
    parser.add_argument("port")
    parser.add_argument("--ids", type=int, nargs="+", required=True)
    parser.add_argument("--timeout", type=float, default=1.0, help="silence after which it acts [s] (%(default)s)")
    parser.add_argument("--then", choices=["soften", "release"], default="soften")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    os.write(_STDOUT, READY)
    if not wait_for_silence(_STDIN, options.timeout):
        return 0
    with contextlib.suppress(BrokenPipeError):  # nobody is left to hear it
        os.write(_STDOUT, ACTING)
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
