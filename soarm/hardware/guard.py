"""What is done about the servos in every cycle, whatever state the arm is in: judged, kept at what they were told, let go.

Knows no states; `soarm.hardware.driver` decides what follows from a verdict.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from soarm.hardware.bus import Bus
from soarm.hardware.calibration import Calibration
from soarm.hardware.config import ArmConfig
from soarm.hardware.keeping import Keeping
from soarm.hardware.observation import Observed, goals_here, goals_to_stay
from soarm.hardware.patrol import Patrol
from soarm.hardware.torque import torque_off
from soarm.hardware.watch import Verdict, Watch

_LET_GO_S = 0.05
"""For proving that one hot servo was let go; the others are told to stay before that [s]."""


class Guard:
    """The servos of one arm on one bus.

    Args:
        bus: Where they are.
        calibration: Of the arm.
        config: Its settings.
        note: Is told what happens, in words.

    Attributes:
        geared: Whether the servos have our settings, and are to keep torque and goals.
    """

    def __init__(self, bus: Bus, calibration: Calibration, config: ArmConfig, note: Callable[[str], None]) -> None:
        self.geared = False
        self._bus, self._calibration, self._config, self._note = bus, calibration, config, note
        self.names = tuple(f"{joint.name} (servo {joint.servo_id})" for joint in calibration.joints)
        self._ids = tuple(joint.servo_id for joint in calibration.joints)
        self._watch, self._patrol, self._keeping = Watch(config), Patrol(), Keeping()
        self._let_go: dict[int, bool] = {}  # joint -> whether it confirmed
        self._backed_off = False

    def begin(self) -> None:
        """Judge from now on; the servos have just been given their settings, and what they hold now they are to keep."""
        self._watch, self._patrol, self.geared = Watch(self._config), Patrol.of(self._bus), True
        self._keeping = self._patrol.keeping(self._bus)
        self._let_go, self._backed_off = {}, False

    def rest(self) -> None:
        """Ask nothing more of the servos: their torque goes off."""
        self.geared, self._keeping = False, Keeping()

    def judge(self, seen: Observed, *, has_torque: bool) -> list[Verdict]:
        """Return what is wrong now.

        Args:
            seen: What the servos just said.
            has_torque: Whether they should have torque; one of them is then asked for it.
        """
        misses = seen.misses.tolist()
        verdicts = self._watch.judge(seen.t_s, seen.telemetry, misses)
        if has_torque or self.geared:  # one that was let go should have none
            quiet = [max(missed, joint in self._let_go) for joint, missed in enumerate(misses)]
            verdicts += self._patrol.step(self._bus, quiet, self._keeping)
        return verdicts

    def follow(self, goals: Mapping[int, int]) -> None:
        """Send goals that the next ones replace: servo -> [ticks]."""
        self._keeping.follow(self._bus, goals)

    def stay(self, seen: Observed, *, back_off: bool) -> None:
        """Let every joint that was just heard stay where it is, and the others as soon as they are heard.

        Args:
            seen: Where they are.
            back_off: Make the present position the goal: that takes the force off what it pushes against, and gives way by the
                sag. Else the last goal stays where the arm's weight explains the gap; see `goals_to_stay`.
        """
        self._backed_off = back_off
        self._keeping.stay(self._bus, self._goals(seen))
        self.prove(seen)

    def arrive(self) -> None:
        """Let the last goals last."""
        self._keeping.stay(self._bus, self._keeping.goals)

    def prove(self, seen: Observed) -> None:
        """Tell to stay who was silent before, and have read back what is in doubt, of those that were just heard."""
        self._keeping.stay_late(self._bus, self._goals(seen))
        heard = [servo_id for servo_id, misses in zip(self._ids, seen.misses, strict=True) if misses == 0]
        for servo_id, lost in self._keeping.prove(self._bus, heard):
            self._note(f"{self.names[self._ids.index(servo_id)]} had {lost}; it was told again")

    def derate(self, joint: int) -> int:
        """Give a servo the torque limit that the watch leaves it, and return it [0.1 %]."""
        share = self._watch.derated.get(joint, 1.0)
        limit = round(share * self._config.gains.torque_limit[joint])
        self._keeping.limit(self._ids[joint], limit)
        return limit

    def let_go(self, joint: int) -> tuple[str, bool]:
        """Take one servo's torque and prove it, in every cycle until it is proved.

        Returns:
            What came of it, in words, and whether that is news.
        """
        before = self._let_go.get(joint)
        if not before:
            self._keeping.forget(self._ids[joint])
            self._let_go[joint] = not torque_off(self._bus.line, (self._ids[joint],), _LET_GO_S)
        confirmed = self._let_go[joint]
        outcome = "was let go" if confirmed else "did not confirm that it was let go: cut its power"
        return outcome, confirmed != before

    def _goals(self, seen: Observed) -> dict[int, int]:
        if self._backed_off:
            return goals_here(seen, self._calibration)
        return goals_to_stay(seen, self._calibration, self._config.gains.p, self._keeping.goals)
