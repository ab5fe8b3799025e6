"""Supervises the servos in every cycle, whatever state the arm is in: judges them, resends what was lost, releases hot ones.

Knows no states; `soarm.hardware.driver` decides what follows from an alarm.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from soarm import arm
from soarm.hardware import bringup
from soarm.hardware.bus import Bus
from soarm.hardware.calibration import Calibration
from soarm.hardware.config import ArmConfig
from soarm.hardware.mirror import RegisterMirror
from soarm.hardware.observation import Joints, Observed, goals_here, goals_to_stay
from soarm.hardware.registers import LATCHED, Status, Telemetry
from soarm.hardware.torque import torque_off
from soarm.hardware.watch import Alarm, Severity, Watch

_LET_GO_S = 0.05
"""For proving that one hot servo was released; the others are told to stay before that [s]."""

CARRYING = tuple(arm.JOINT_NAMES.index(name) for name in ("shoulder_lift", "elbow_flex"))
"""Without one of these the arm falls; the others turn it, or hang on its end."""


class ServoSupervisor:
    """The servos of one arm on one bus.

    Args:
        bus: Where they are.
        calibration: Of the arm.
        config: Its settings.
        note: Takes what happens, in words, and its level of `logging`.

    Attributes:
        geared: Whether the servos have our settings, and are to keep torque and goals.
        causes: What `judge` found the last time that is a reason to hold or to stop, in words.
    """

    def __init__(self, bus: Bus, calibration: Calibration, config: ArmConfig, note: Callable[[str, int], None]) -> None:
        self.geared = False
        self.causes: tuple[str, ...] = ()
        self._bus, self._calibration, self._config, self._note = bus, calibration, config, note
        self.names = tuple(f"{joint.name} (servo {joint.servo_id})" for joint in calibration.joints)
        self._ids = calibration.servo_ids
        self._watch, self._mirror = Watch(config), RegisterMirror(bus)
        self._let_go: dict[int, bool] = {}  # joint -> whether it confirmed
        self._backed_off = False
        self._sick: dict[int, bool] = {}  # joint -> whether its fault is a latched one
        self._missed: list[int] = [0] * arm.N_JOINTS

    def begin(self, seen: Observed) -> None:
        """Judge from now on; the servos have just been given their settings, and are to stay where they are seen."""
        self._watch, self._mirror, self.geared = Watch(self._config), RegisterMirror.of(self._bus), True
        self._let_go, self._backed_off, self._sick = {}, False, {}
        self._mirror.expect(self.goals(seen))
        self.prove(seen)

    @property
    def told(self) -> NDArray[np.int64]:
        """The last goal of each joint, shape (6,) [ticks]; -1 for one that has none."""
        return np.array([self._mirror.goals.get(servo_id, -1) for servo_id in self._ids], np.int64)

    def rest(self) -> None:
        """Ask nothing more of the servos: their torque goes off."""
        self.geared, self._mirror, self._sick = False, RegisterMirror(self._bus), {}

    def judge(self, seen: Observed, *, has_torque: bool) -> list[Alarm]:
        """Return what is wrong now.

        Args:
            seen: What the servos just said.
            has_torque: Whether they should have torque; one of them is then asked for it.
        """
        misses = seen.misses.tolist()
        alarms = self._watch.judge(seen.t_s, seen.telemetry, misses)
        for alarm in alarms:
            if alarm.severity >= Severity.FAULT:
                latched = misses[alarm.joint] == 0 and self._is_latched(seen.telemetry[alarm.joint])
                self._sick[alarm.joint] = latched and self._sick.get(alarm.joint, True)
        if has_torque or self.geared:
            quiet = [max(missed, joint in self._let_go) for joint, missed in enumerate(misses)]  # released: none to lose
            found = self._mirror.audit(quiet)
            self._sick |= {alarm.joint: False for alarm in found}
            alarms += found
        self._missed = misses
        self.causes = tuple(f"{self.names[joint]} {cause}" for severity, joint, cause in alarms if severity >= Severity.HOLD)
        return alarms

    @property
    def sound(self) -> tuple[bool, ...]:
        """Return whether a joint had no fault since `begin`, and is heard, per joint."""
        heard = (missed < self._config.hold_after_misses for missed in self._missed)
        return tuple(is_heard and joint not in self._sick for joint, is_heard in enumerate(heard))

    @property
    def carried(self) -> bool:
        """Whether the joints that carry the arm are sound, or have no more than an overload that `mend` can clear."""
        sound, mendable = self.sound, self._mendable()
        return all(sound[joint] or joint in mendable for joint in CARRYING)

    def mend(self) -> None:
        """Clear the overload of the joints that carry the arm: each is released and taken back at once.

        Raises:
            FaultError: One does not come back.
            BusError: One is silent.
        """
        joints = self._mendable()
        with bringup.patience(self._bus):
            bringup.unlatch(self._bus, self._calibration, joints)
        for joint in joints:
            del self._sick[joint]

    def follow(self, ticks: NDArray[np.int64], moving: NDArray[np.bool_] | None = None) -> None:
        """Send goals that the next ones replace, shape (6,) [ticks]; `moving` says to whom, by default to all."""
        goals = dict(zip(self._ids, ticks.tolist(), strict=True))
        if moving is not None:
            goals = {servo_id: goals[servo_id] for servo_id, moves in zip(self._ids, moving, strict=True) if moves}
        self._mirror.follow(goals)

    def start(self, seen: Observed) -> Joints:
        """Return where a move begins: at the goals it holds, so that it does not sink first, shape (6,) [deg x 5, percent]."""
        goals, calibration = self.goals(seen), self._calibration
        ticks = [goals.get(servo_id, here) for servo_id, here in zip(self._ids, seen.ticks.tolist(), strict=True)]
        return np.clip(calibration.to_units(ticks), calibration.lower, calibration.upper)

    def stay(self, seen: Observed, *, back_off: bool) -> None:
        """Let every joint that was just heard stay where it is, and the others as soon as they are heard.

        Args:
            seen: Where they are.
            back_off: Make the present position the goal: that takes the force off what it pushes against, and gives way by the
                sag. Else the last goal stays where the arm's weight explains the gap; see `goals_to_stay`.
        """
        self._backed_off = back_off
        self._mirror.stay(self.goals(seen))
        self.prove(seen)

    def arrive(self) -> None:
        """Let the last goals last."""
        self._mirror.stay(self._mirror.goals)

    def prove(self, seen: Observed) -> None:
        """Send the servos that were silent before a goal to stay at, and read back what is in doubt, of those just heard."""
        self._mirror.stay_late(self.goals(seen))
        heard = [servo_id for servo_id, misses in zip(self._ids, seen.misses, strict=True) if misses == 0]
        for servo_id, lost in self._mirror.prove(heard):
            self._note(f"{self.names[self._ids.index(servo_id)]} had {lost}; it was resent", logging.DEBUG)

    def derate(self, joint: int) -> int:
        """Give a servo the torque limit that the watch leaves it, and return it [0.1 %]."""
        share = self._watch.derated.get(joint, 1.0)
        limit = round(share * self._config.gains.torque_limit[joint])
        self._mirror.limit(self._ids[joint], limit)
        return limit

    def let_go(self, joint: int) -> tuple[str, bool]:
        """Switch one servo's torque off and read that back, in every cycle until it is confirmed.

        Returns:
            What came of it, in words, and whether that is news.
        """
        before = self._let_go.get(joint)
        if not before:
            self._mirror.forget(self._ids[joint])
            self._let_go[joint] = not torque_off(self._bus.line, (self._ids[joint],), _LET_GO_S)
        confirmed = self._let_go[joint]
        outcome = "was released" if confirmed else "did not confirm that it was released: cut its power"
        return outcome, confirmed != before

    def _mendable(self) -> list[int]:
        return [joint for joint in CARRYING if self._sick.get(joint) and joint not in self._let_go]

    def _is_latched(self, telemetry: Telemetry) -> bool:
        """Whether an overload is all that this servo complains of, so that it is over once its torque was off."""
        calm = telemetry.voltage_v <= self._config.volts[1] and telemetry.temperature_c < self._config.stop_c
        return calm and bool(telemetry.status & LATCHED) and not telemetry.status & (Status.ANGLE | Status.HEAT)

    def goals(self, seen: Observed) -> dict[int, int]:
        """Return servo -> the goal with which it stays where it is [ticks], of those that were just heard."""
        if self._backed_off:
            return goals_here(seen, self._calibration)
        return goals_to_stay(seen, self._calibration, self._config.gains.p, self._mirror.goals)
