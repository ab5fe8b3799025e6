"""A person at the twin: whoever holds the limp arm while it is calibrated, and plugs in new servos one at a time.

`soarm calibrate` and `setup-motors` ask for things to be done by hand, and the twin cannot hear them ask. It knows how far
they are by what the host says on the line: every question is looked at before the servos answer it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from soarm import arm
from soarm.hardware.backups import OPEN
from soarm.hardware.registers import PHASE_MULTI_TURN
from soarm.hardware.sweep import REST
from soarm.twin import wire
from soarm.twin.leading import Motion
from soarm.twin.servo import Servo
from soarm.twin.wire import Instruction

logger = logging.getLogger(__name__)
Floats = NDArray[np.float64]
MIDDLE: Floats = (arm.LOWER + arm.UPPER) / 2
JOINT_S = 3.0
"""How long the sweep of one joint takes, from stop to stop and to its middle [s]: slowly, as `calibrate` asks."""
TURN = 10.0
"""How far a joint is turned to show its direction [deg, percent]."""
_POSITION, _TORQUE = 56, 40
NEW = {"phase": 0b0001_1100}
"""Registers of a servo from the factory that differ from those of one that was set up: multi-turn feedback is on."""


def full_sweep(start: Floats, *, repeats: bool) -> Motion:
    """Return the motion from a pose, shape (6,), over both stops of every joint in turn, each left at its middle."""
    return Motion.over(start, (arm.LOWER, arm.UPPER, MIDDLE), JOINT_S, repeats=repeats)


class Hand:
    """Whoever holds an arm while it is limp, and does as `soarm calibrate` asks.

    Before, and afterwards, the arm is held folded. The first question for all positions, while offset and limits of all servos
    are open, begins the sweep, which is repeated until the first question for the position of one joint. Every other one of
    those finds the joint at its middle, and those between turned in its positive direction.

    Args:
        servos: Of the joints, in their order.
        place: Puts the joints somewhere, shape (6,) [deg x 5, percent].
        now: The clock [s].
    """

    def __init__(
        self, servos: Sequence[Servo], place: Callable[[Floats], None], now: Callable[[], float] = time.monotonic
    ) -> None:
        self._servos, self._place, self._now = tuple(servos), place, now
        self._first, self._again = full_sweep(REST, repeats=False), full_sweep(MIDDLE, repeats=True)
        self._begin_s: float | None = None
        self._shown: dict[int, int] = {}

    @property
    def holds(self) -> bool:
        """Whether the arm is in the hand: no servo has torque."""
        return not any(servo.get("torque_enable") for servo in self._servos)

    def hear(self, instruction: Instruction) -> None:
        """Do what a question tells of how far the host is, before it is answered."""
        code, parameters = instruction.code, instruction.parameters
        is_open = all(servo.get(name) == value for servo in self._servos for name, value in OPEN.items())
        if not is_open or (code == wire.SYNC_WRITE and parameters[:1] == bytes((_TORQUE,))):
            self._begin_s, self._shown = None, {}
        elif code == wire.SYNC_READ and parameters[:1] == bytes((_POSITION,)) and self._begin_s is None:
            self._begin_s = self._now()
            logger.info("the hand sweeps all joints, one after the other, in %.0f s", arm.N_JOINTS * JOINT_S)
        elif code == wire.READ and parameters[:1] == bytes((_POSITION,)):
            self._shown[instruction.servo_id] = self._shown.get(instruction.servo_id, 0) + 1
        self.hold()

    def hold(self) -> None:
        """Put the arm where the hand has it now; does nothing while a servo has torque."""
        if self.holds:
            self._place(self.pose())

    def pose(self) -> Floats:
        """Return where the hand has the arm, shape (6,) [deg x 5, percent]."""
        if self._begin_s is None:
            return REST
        if not self._shown:
            since_s = self._now() - self._begin_s
            return (self._first if since_s < arm.N_JOINTS * JOINT_S else self._again)(since_s)
        turned = [self._shown.get(servo.id, 0) % 2 == 0 and servo.id in self._shown for servo in self._servos]
        return MIDDLE + TURN * np.array(turned)


class Bench:
    """New servos, all with id 1, of which one is plugged in: the gripper's first, the next when that one is set up.

    Args:
        servos: Of the joints, in their order.

    Attributes:
        plugged: Those on the line.
    """

    def __init__(self, servos: Sequence[Servo]) -> None:
        self._waiting = list(servos[:-1])
        self._joints = {id(servo): joint.name for servo, joint in zip(servos, arm.JOINTS, strict=True)}
        self._all = tuple(servos)
        self.plugged: tuple[Servo, ...] = ()
        self._plug_in(servos[-1])

    def hear(self, instruction: Instruction) -> None:
        """Change what is plugged in where a question tells that the host is done with it."""
        if len(self.plugged) > 1 or not _is_set_up(self.plugged[0]):
            return
        if self._waiting:
            if instruction.servo_id == wire.BROADCAST and instruction.code == wire.PING:
                self._plug_in(self._waiting.pop())
        elif instruction.servo_id != self.plugged[0].id:
            self.plugged = self._all
            logger.info("all servos are set up, and plugged in one behind the other")

    def _plug_in(self, servo: Servo) -> None:
        self.plugged = (servo,)
        servo.power_up()
        logger.info("the new servo of %s is plugged in alone", self._joints[id(servo)])


def _is_set_up(servo: Servo) -> bool:
    return not servo.get("phase") & PHASE_MULTI_TURN and servo.get("baud_rate") == 0 and servo.get("lock") == 1
