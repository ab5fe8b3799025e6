"""A process of its own that looks after the arm when the one that drives it dies: servos hold their last goal for ever.

    python -m soarm.runtime.deadman PORT --ids 1 2 3 4 5 6 --then soften

It says on its standard output that it is ready, reads beats on its standard input, and answers them. When they stop, or the
input ends without a goodbye, it says that it acts, opens the port, puts every goal where its joint is, and takes part of the
torque (`soften`) or all of it (`release`). It owns nothing until then. Its patience begins with the first beat: until then the
arm has at most been made to hold, and bringing it up may take long. Where the port is gone it waits for it: a program that
ends without its port cannot release anything, and leaves that to this one. Without input (`< /dev/null`) it acts at once.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import logging
import math
import os
import select
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Literal

from soarm.errors import BusError, FaultError, PortError
from soarm.hardware.bus import Bus

logger = logging.getLogger("soarm.runtime.deadman")
Then = Literal["soften", "release"]
BEAT, GOODBYE, STAY = b".", b"q", b"s"
READY, HEARD, ACTING = b"r", b"h", b"a"
_STDIN, _STDOUT = 0, 1
_TRIES = 3
"""Attempts at each servo: on a machine so busy that beats failed to come, answers come late as well."""
_START_S = 30.0
"""For the other process to start, on a machine that is busy [s]."""
_HANGS_S = 2.0
"""A switch that answered no beat for so long hangs [s]; it does nothing but wait for them."""
WAIT_S = 600.0
"""How long it waits for a port that is gone [s]: somebody has to come and find the cable."""
_LOOK_S = 0.5
"""Between two looks for that port [s]."""
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
        self._timeout_s, self._then, self._stays = timeout_s, then, False
        self._beat_s = self._answered_s = -math.inf
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
        """Say that all is well, and look whether the beats before were heard.

        Raises:
            FaultError: It has acted, is gone, or hangs; one that hangs is killed, so that it cannot act later. The arm is then
                driven without it, or is soft.
        """
        try:
            said = os.read(self._from, 4096)
        except BlockingIOError:
            said = None  # it has nothing to say: it listens
        if said is not None and ACTING in said:
            what = "softened, its torque limit lowered" if self._then == "soften" else "released"
            raise FaultError(
                f"the dead man's switch acted: no heartbeat for {self._timeout_s:g} s, so the arm was {what}. Find out "
                "why this program stood still (a debugger, Ctrl-Z, a machine that is too busy), then start again"
            )
        silent_s = self._silent_s(said is not None, time.monotonic())
        if said == b"" or not self._say(BEAT) or silent_s > _HANGS_S:
            status = self._process.poll()
            self._process.kill()
            raise FaultError(
                f"the dead man's switch is gone or hangs (exit status {status}, no answer for {silent_s:.1f} s): nothing "
                "would stop the arm if this program died. Start again; what it said last stands above"
            )

    def stay(self) -> None:
        """Leave the arm to it: the port is gone, so it waits for the port, and acts then, after this program has ended."""
        self._stays = self._say(STAY)
        if self._stays:
            logger.warning("the dead man's switch (process %d) stays, and waits for the port", self._process.pid)
        else:
            logger.error("the dead man's switch is gone: nothing waits for the port. Support the arm, and cut its power")

    def close(self) -> None:
        """Say goodbye, and wait until it is gone, unless it is to stay; a second time does nothing."""
        for pipe, last in ((self._process.stdin, None if self._stays else GOODBYE), (self._process.stdout, None)):
            assert pipe is not None
            if not pipe.closed:
                if last is not None:
                    self._say(last)
                pipe.close()
        if self._stays:
            _STAYING.append(self._process)
            return
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
                f"the dead man's switch does not start (exit status {self._process.poll()}), so nothing would stop the "
                "arm if this program died; what it said stands above. Without it: --no-deadman"
            )

    def _silent_s(self, answered: bool, now_s: float) -> float:
        """Return for how long no beat was answered [s]; time in which none was sent does not count."""
        if answered or now_s - self._beat_s > _HANGS_S / 2:
            self._answered_s = now_s
        self._beat_s = now_s
        return now_s - self._answered_s

    def _say(self, word: bytes) -> bool:
        """Return whether somebody may hear it."""
        try:
            return os.write(self._to, word) == len(word)
        except (BlockingIOError, BrokenPipeError):
            return False


_STAYING: list[subprocess.Popen[bytes]] = []
"""Switches that stay after this program; kept, because Python warns of a forgotten process that runs on."""


def nobody() -> None:
    """Beat where there is no dead man's switch."""


def wait_for_silence(fd: int, timeout_s: float, answer: Callable[[], None] = lambda: None) -> bool:
    """Return True when the beats stopped, the input ended or it is to stay, and False after a goodbye.

    Args:
        fd: Where the beats come; for the first one it waits for ever.
        timeout_s: Between two beats [s].
        answer: Called when beats came.
    """
    patience_s = None
    while True:
        ready, _, _ = select.select([fd], [], [], patience_s)
        if not ready:
            return True
        patience_s = timeout_s
        heard = os.read(fd, 4096)
        if GOODBYE in heard:
            return False
        if not heard or STAY in heard:
            return True
        answer()


def take_over(port: str, servo_ids: Sequence[int], then: Then, *, exclusive: bool = False) -> tuple[int, ...]:
    """Soften or release the arm; a servo without torque is not softened.

    Args:
        port: Where it is.
        servo_ids: Its servos.
        then: What to do.
        exclusive: False where the program that hangs may still have the port open.

    Returns:
        Servos that could not be reached, or may still be live.

    Raises:
        PortError: The port cannot be opened, or was lost.
    """
    with Bus.open(port, servo_ids, timeout_s=0.05, exclusive=exclusive) as bus:
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
    except PortError:
        raise
    except BusError as error:
        logger.error("%s", error)
        return False
    return True


def act(port: str, servo_ids: Sequence[int], then: Then, wait_s: float, fd: int) -> int:
    """Take the arm over, and wait for a port that is gone; return the exit status.

    A port that comes back and has another program on it is that program's: a new run looks after the arm by itself.

    Args:
        port: Where the arm is.
        servo_ids: Its servos.
        then: What to do.
        wait_s: How long to wait for the port [s].
        fd: Where a goodbye ends the wait.
    """
    until_s, waiting = time.monotonic() + wait_s, False
    while True:
        try:
            missed = take_over(port, servo_ids, then, exclusive=waiting)
        except PortError as error:
            if waiting and getattr(error.__cause__, "errno", None) in (errno.EAGAIN, errno.EBUSY):
                logger.warning("%s. It looks after the arm now", error)
                return 1
            if not waiting:
                logger.error("%s\n%s", error, _what_it_waits_for(port, then, wait_s))
                waiting = True
        else:
            if missed:
                logger.error("the servos %s could not be reached: cut their power", list(missed))
                return 1
            logger.warning("the arm was taken over: %s", _DONE[then])
            return 2
        if time.monotonic() > until_s:
            logger.error("the port did not come back in %g s: support the arm, and cut its power", wait_s)
            return 1
        if _said_goodbye(fd):
            return 0
        time.sleep(_LOOK_S)


_DONE = {
    "soften": f"every goal is where its joint is, with {SOFT / 10:g} % of the torque",
    "release": "torque is off",
}


def _what_it_waits_for(port: str, then: Then, wait_s: float) -> str:
    return (
        f"The servos hold their last goals with full torque. Process {os.getpid()} waits {wait_s / 60:g} minutes for {port}, "
        f"and will then {then} the arm ({_DONE[then]}). Plug the cable in again, or support the arm and cut its power. To end "
        f"the wait: kill {os.getpid()}"
    )


def _said_goodbye(fd: int) -> bool:
    ready, _, _ = select.select([fd], [], [], 0.0)
    return bool(ready) and GOODBYE in os.read(fd, 4096)


def _answer() -> None:
    with contextlib.suppress(OSError):  # nobody is left to hear it
        os.write(_STDOUT, HEARD)


def main(arguments: Sequence[str] | None = None) -> int:
    """Watch, and act if need be; the exit status is 0 after a goodbye, 2 after it acted, 1 if it could not."""
    parser = argparse.ArgumentParser(prog="python -m soarm.runtime.deadman", description=__doc__)
    parser.add_argument("port")
    parser.add_argument("--ids", type=int, nargs="+", required=True)
    parser.add_argument("--timeout", type=float, default=1.0, help="silence after which it acts [s] (%(default)s)")
    parser.add_argument("--then", choices=["soften", "release"], default="soften")
    parser.add_argument("--wait", type=float, default=WAIT_S, help="how long for a port that is gone [s] (%(default)s)")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    os.write(_STDOUT, READY)
    if not wait_for_silence(_STDIN, options.timeout, _answer):
        return 0
    with contextlib.suppress(BrokenPipeError):  # nobody is left to hear it
        os.write(_STDOUT, ACTING)
    logger.warning("the program that drives the arm is silent, or lost its port: the arm is to %s", options.then)
    return act(options.port, options.ids, options.then, options.wait, _STDIN)


if __name__ == "__main__":
    sys.exit(main())
