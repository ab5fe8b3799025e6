"""The arm: joints in LeRobot's units over a bus of servos, and the states between which it goes.

    DISCONNECTED -> LIMP -> HOLD -> ACTIVE        torque off; holding where it is; following commands
                          any of them -> FAULT    stopped, with the cause; `recover` or `release`

Torque comes on only where the arm is (goal := present, read back), so it never jumps. It goes off only on request, or for a
joint that overheats: an arm that is released falls. No number is older than it says: see `Observed.age_s`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from soarm.errors import BusError, FaultError, PortError
from soarm.hardware import bringup
from soarm.hardware.bus import Bus
from soarm.hardware.calibration import Calibration
from soarm.hardware.config import DEFAULT, ArmConfig
from soarm.hardware.moves import MOVE_HZ, path, require_targets
from soarm.hardware.observation import Observed, observed
from soarm.hardware.states import TRANSITIONS, State
from soarm.hardware.supervisor import ServoSupervisor
from soarm.hardware.watch import Alarm, Severity

logger = logging.getLogger(__name__)


class Arm:
    """An SO-ARM100 on a bus; make it with `connect`. A context manager that closes the port, and leaves torque as it is.

    Attributes:
        state: See the module.
        fault: Why it is in FAULT, or why it went to HOLD by itself; None otherwise.
        events: What happened: (time [s], text), in order.
        seen: What it said last; None before.
        bus: The servos, for diagnosis.
        now: The clock [s]; `sleep` waits on it.
    """

    def __init__(
        self, bus: Bus, calibration: Calibration, config: ArmConfig, now: Callable[[], float], sleep: Callable[[float], None]
    ) -> None:
        self.bus, self.calibration, self.config = bus, calibration, config
        self.state = State.DISCONNECTED
        self.seen: Observed | None = None
        self.fault: str | None = None
        self.events: list[tuple[float, str]] = []
        self.now, self.sleep = now, sleep
        self._supervisor = ServoSupervisor(bus, calibration, config, self._note)
        self._proven_off = False
        self._recovered_s: list[float] = []

    @classmethod
    def connect(
        cls,
        port: str,
        calibration: Calibration,
        config: ArmConfig = DEFAULT,
        *,
        sleep: Callable[[float], None] = time.sleep,
    ) -> Arm:
        """Open the port and ask every servo who it is; nothing moves, and torque stays as it is.

        Args:
            port: Serial port, or a link to one.
            calibration: Of this arm.
            config: Its settings.
            sleep: Waits so many seconds.

        Returns:
            An arm that is limp, or holding if all its servos had torque.

        Raises:
            PortError: The port cannot be opened.
            FaultError: The arm must not be driven; names every fault.
        """
        now = time.monotonic
        made = cls(bringup.open_bus(port, calibration, config, now), calibration, config, now, sleep)
        try:
            made._identify()
        except BaseException:
            made.bus.close()
            raise
        return made

    def __enter__(self) -> Arm:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the port; torque stays as it is. A second time does nothing."""
        if self.state is not State.DISCONNECTED:
            self._go(State.DISCONNECTED, "the port was closed")
        self.bus.close()

    def observe(self) -> Observed:
        """Read all servos once, judge what they say, and act on it.

        Three cycles without a joint's answer, or a supply that sags, make an active arm hold; ten, an overload, heat, a wrong
        supply or a servo that restarted are a FAULT. Hold and fault are states, not exceptions: the numbers come all the same,
        with their age.

        Raises:
            FaultError: The port is gone (state FAULT, `reconnect` mends it), or the arm is disconnected.
        """
        self._require(State.LIMP, State.HOLD, State.ACTIVE, State.FAULT)
        try:
            seen = self._look()
            self._follow(self._supervisor.judge(seen, has_torque=self.state in (State.HOLD, State.ACTIVE)), seen)
            self._supervisor.prove(seen)
        except PortError as error:
            raise self._lost(error) from error
        return seen

    def command(self, q: ArrayLike) -> NDArray[np.int64]:
        """Send targets to all joints.

        Args:
            q: Shape (6,) [deg x 5, percent], inside the calibrated range less its margin; the safety chain sees to that.

        Returns:
            What was sent, shape (6,) [ticks].

        Raises:
            FaultError: The arm is not active, and why; or the port is gone.
            ValueError: Not six finite numbers, or outside the range; nothing was sent.
        """
        if self.state is not State.ACTIVE:
            raise FaultError(f"the arm is in {self.state.name}, not ACTIVE{self._because()}; nothing was sent")
        ticks = self.calibration.to_ticks(require_targets(q, self.calibration.lower, self.calibration.upper))
        try:
            self._supervisor.follow(ticks)
        except PortError as error:
            raise self._lost(error) from error
        return ticks

    def hold(self) -> None:
        """Hold where it is. A limp arm gets its gains, its goals at the present position, then its torque, each read back.

        One that has torque keeps its last goals where its weight explains how far it is from them, so that it does not sink a
        bit with every hold; a joint farther away (one that was under way, or moved by hand) stays where it is.

        Raises:
            FaultError: A joint is silent or outside its range, a servo does not take what it is told, or the arm is in FAULT.
                Where torque came on and could not be taken back, the arm is in FAULT and the message names the servos.
            BusError: A servo fell silent meanwhile; torque is off again.
            KeyboardInterrupt: Ctrl-C while torque came on; it is off again, or the arm is in FAULT.
        """
        self._require(State.LIMP, State.HOLD, State.ACTIVE)
        was_limp = self.state is State.LIMP
        try:
            if was_limp:
                self._proven_off = False
                for change in bringup.make_hold(self.bus, self.calibration, self.config):
                    self._note(change)
                self._supervisor.begin(self._look())
                self._go(State.HOLD, "torque on where it is")
            else:
                if not self._supervisor.geared:  # it had its torque before we came
                    bringup.adopt(self.bus, self.calibration, self.config)
                    self._supervisor.begin(self._look())
                self._supervisor.stay(self._look(), back_off=False)
                if self.state is State.ACTIVE:
                    self._go(State.HOLD, "requested")
        except PortError as error:
            raise self._lost(error) from error
        except bringup.StillLiveError as error:
            self._fail(str(error))
            raise
        except BaseException as error:  # Ctrl-C: nobody would know that the arm is live
            if was_limp and not isinstance(error, FaultError | BusError):
                self.release()
            raise

    def activate(self) -> None:
        """Let commands through.

        Raises:
            FaultError: The arm does not hold, or what made it hold is not over; the message names it.
        """
        self._require(State.HOLD, State.ACTIVE)
        if not self._supervisor.geared:
            self.hold()
        if self.state is State.HOLD and self._supervisor.causes:  # as of the last look
            self.observe()
            self._require(State.HOLD)
            if self._supervisor.causes:
                raise FaultError(f"the arm stays in HOLD as long as {'; '.join(self._supervisor.causes)}; nothing was sent")
        if self.state is State.HOLD:
            self._go(State.ACTIVE, "requested")
            self.fault = None

    @property
    def told(self) -> NDArray[np.int64]:
        """The goal each joint was told last, shape (6,) [ticks]; -1 for one that has none, as of a limp arm."""
        return self._supervisor.told

    @property
    def sound(self) -> tuple[bool, ...]:
        """Per joint: it had no fault since the arm holds, and was heard lately."""
        return self._supervisor.sound

    def can_park(self) -> bool:
        """Say whether `park` may be called: the arm has torque, and the joints that carry it are sound.

        In FAULT the joints that are not sound are left where they are, holding or limp as their fault demands. The shoulder's
        lift and the elbow carry the arm, so they must be sound, or have no more than an overload that can be cleared.
        """
        has_torque = self.state in (State.HOLD, State.ACTIVE) or (self.state is State.FAULT and self._supervisor.geared)
        return has_torque and self.bus.line.is_open and self._supervisor.carried

    def park(self, each: Callable[[], None] = lambda: None) -> None:
        """Move slowly to the parking pose and stay there: in HOLD, see `move_to`, or in FAULT, see `can_park`.

        Raises:
            FaultError: Something stops the arm on its way, or it cannot be parked.
            BusError: A servo fell silent while its overload was cleared.
        """
        stopped = self.state is State.FAULT or (self.state is State.HOLD and self._supervisor.causes)
        self._park_sound(each) if stopped else self.move_to(self.config.park, each)
        self._note("parked")

    def move_to(self, q: ArrayLike, each: Callable[[], None] = lambda: None) -> None:
        """Move slowly to a pose, on a minimum-jerk path, and hold there.

        Args:
            q: Shape (6,) [deg x 5, percent]; cut to the range.
            each: Called in every step, 50 times per second: to beat, or to stop the move by raising something.

        Raises:
            FaultError: Something stops the arm on its way; `soarm.runtime.persist` goes on when it is over.
        """
        self._require(State.HOLD, State.ACTIVE)
        target = np.clip(np.asarray(q, np.float64), self.calibration.lower, self.calibration.upper)
        start = self._supervisor.start(self.observe())
        self.activate()
        for q_now in path(start, target, self.config.park_speed):
            each()
            self.command(q_now)
            self.sleep(1.0 / MOVE_HZ)
            self.observe()
        if self.state is not State.ACTIVE:
            raise FaultError(f"the arm stopped on its way{self._because()}")
        self._supervisor.arrive()
        self._go(State.HOLD, "arrived")

    def release(self) -> tuple[str, ...]:
        """Switch torque off and prove it, servo by servo, whatever fails.

        Returns:
            Joints whose servos may still be live: cut their power. The arm is then in FAULT, else LIMP. Of an arm that is
            disconnected all of them, unless torque was known to be off when it was closed.
        """
        if self.state is State.DISCONNECTED:
            return () if self._proven_off else self._supervisor.names
        self._supervisor.rest()
        live = self.bus.torque_off()
        names = tuple(self._supervisor.names[self.bus.servo_ids.index(servo_id)] for servo_id in live)
        self._proven_off = not names
        if names:
            self._fail(f"torque off was not confirmed by {', '.join(names)}: they may still be live, cut their power")
        elif self.state is not State.LIMP:
            self._go(State.LIMP, "released")
            self.fault = None
        return names

    def recover(self) -> None:
        """Bring an arm in FAULT back to HOLD once the cause is gone.

        Raises:
            FaultError: The cause is still there, or it was brought back too often; it stays in FAULT.
        """
        self._require(State.FAULT)
        n, within_s = self.config.recoveries, self.config.recovery_s
        self._recovered_s = [t for t in self._recovered_s if self.now() - t < within_s] + [self.now()]
        if len(self._recovered_s) > n:
            self._recovered_s.pop()
            raise FaultError(
                f"it has already been recovered {n} times in {within_s:g} s{self._because()}. Release it and find the cause"
            )
        self._bring_back("recovered", clear=True)

    def reconnect(self) -> None:
        """Open the port again after it was lost, and hold where the arm is now; one that kept its torque is not released.

        Raises:
            PortError: The port is not back.
            FaultError: A servo is silent, the arm is not fit, or not in FAULT. It stays in FAULT; try again.
        """
        self._require(State.FAULT)
        self.bus.close()
        self._bring_back("reconnected", clear=False)

    def _park_sound(self, each: Callable[[], None]) -> None:
        if not self.can_park():
            names = [name for name, sound in zip(self._supervisor.names, self.sound, strict=True) if not sound]
            raise FaultError(f"the arm cannot be parked{self._because()} (not sound: {', '.join(names)}); support it")
        try:
            self._supervisor.mend()
            seen = self._look()
            start, moving = self._supervisor.start(seen), np.array(self.sound)
            target = np.where(moving, np.clip(self.config.park, self.calibration.lower, self.calibration.upper), start)
            for q in path(start, target, self.config.park_speed):
                each()
                self._supervisor.follow(self.calibration.to_ticks(q), moving)
                self.sleep(1.0 / MOVE_HZ)
                seen = self.observe()
                if (moving & ~np.array(self.sound)).any():
                    self._supervisor.stay(seen, back_off=True)
                    raise FaultError(f"the arm stopped on its way to the parking pose: {self.events[-1][1]}")
            self._supervisor.arrive()
        except PortError as error:
            raise self._lost(error) from error

    def _identify(self) -> None:
        torque = bringup.identify(self.bus, self.calibration, self.config, lambda text: self._note(text, logging.WARNING))
        self._proven_off = not any(torque)
        if any(torque) and not all(torque):
            self._note("some servos have torque and some have not; the arm counts as limp")
        self._go(State.HOLD if all(torque) else State.LIMP, f"connected on {self.bus.port}")

    def _bring_back(self, how: str, *, clear: bool) -> None:
        self._proven_off = False
        try:
            if not self.bus.line.is_open:
                self.bus = bringup.reopen(self.bus.port, self.calibration, self.config, self.now)
                self._supervisor = ServoSupervisor(self.bus, self.calibration, self.config, self._note)
            bringup.recover(self.bus, self.calibration, self.config, clear=clear)
            self._supervisor.begin(self._look())
        except (FaultError, BusError) as error:
            self._note(f"not {how}: {error}")
            raise
        self._go(State.HOLD, how)
        self.fault = None

    def _look(self) -> Observed:
        self.seen = seen = observed(self.bus.sync_read(), self.calibration, self.now())
        return seen

    def _follow(self, alarms: list[Alarm], seen: Observed) -> None:
        """Do what the alarms of a tick ask for, the worst last."""
        for severity, joint, cause in sorted(alarms):
            text = f"{self._supervisor.names[joint]} {cause}"
            if severity is Severity.NOTE:
                self._note(text)
            elif severity is Severity.DERATE:
                self._note(f"{text}; its torque limit is {self._supervisor.derate(joint) / 10:g} % now")
            elif severity is Severity.HOLD and self.state is State.ACTIVE:
                self._supervisor.stay(seen, back_off=False)
                self.fault = text
                self._go(State.HOLD, text)
            elif severity >= Severity.FAULT:
                if self.state in (State.HOLD, State.ACTIVE):
                    self._supervisor.stay(seen, back_off=True)
                if severity is Severity.LET_GO:
                    outcome, news = self._supervisor.let_go(joint)
                    text = f"{text}; it {outcome}"
                    if news and self.state is State.FAULT:
                        self._note(text)
                if self.state is not State.FAULT:
                    self._fail(text)

    def _go(self, state: State, cause: str) -> None:
        assert (self.state, state) in TRANSITIONS, (self.state, state)
        self._note(f"{self.state.name} -> {state.name}: {cause}")
        self.state = state

    def _fail(self, cause: str) -> None:
        self.fault = cause
        if self.state is not State.FAULT:
            self._go(State.FAULT, cause)

    def _lost(self, error: PortError) -> FaultError:
        self._fail(f"the port was lost: {error}")
        return FaultError(f"{self.fault}. The servos hold their last goals; plug it in again, then reconnect")

    def _require(self, *states: State) -> None:
        if self.state not in states:
            allowed = " or ".join(state.name for state in states)
            raise FaultError(f"the arm is in {self.state.name}{self._because()}; this needs {allowed}")

    def _because(self) -> str:
        return "" if self.fault is None else f" because {self.fault}"

    def _note(self, text: str, level: int = logging.INFO) -> None:
        self.events.append((self.now(), text))
        logger.log(level, "%s", text)
