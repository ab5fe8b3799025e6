"""The dialogue of a calibration: what the person is asked to do, in order, and what is written when all went well.

Nothing is written before the sweep is known to be good, but for the offset and limits, which are set to "none" so that
the encoder can be seen as it is; the registers as they were lie in a backup (`soarm.hardware.eprom`).
"""

from __future__ import annotations

import time
from collections.abc import Callable

from soarm import arm
from soarm.errors import BusError, CalibrationError
from soarm.hardware.bus import Bus
from soarm.hardware.calibration import Calibration
from soarm.hardware.registers import TICKS_PER_TURN
from soarm.hardware.sweep import Sweep, sign_of

Ask = Callable[[str], str]
Say = Callable[[str], None]
_OPEN = {"homing_offset": 0, "min_position_limit": 0, "max_position_limit": TICKS_PER_TURN - 1}
POSITIVE = {
    "shoulder_pan": "to the right, seen from behind the arm",
    "shoulder_lift": "forwards and down",
    "elbow_flex": "so that the forearm goes down",
    "wrist_flex": "so that the gripper points down",
    "wrist_roll": "counter-clockwise, seen from behind the gripper",
    "gripper": "open",
}
"""Which way is LeRobot's positive one, joint by joint; a test holds it against the kinematics."""
_SAMPLE_S = 0.02


def calibrate(
    bus: Bus, ask: Ask, say: Say, done: Callable[[], bool], sleep: Callable[[float], None] = time.sleep
) -> Calibration:
    """Measure an arm, and write offsets and limits into its servos.

    Args:
        bus: Of the six servos, with the ids of `soarm.arm.JOINTS`.
        ask: Shows a text and waits for the person.
        say: Shows a line.
        done: Whether the person has finished the sweep.
        sleep: Waits so many seconds.

    Raises:
        CalibrationError: The sweep is no good, or a joint was not turned; the servos have neither offset nor limits then.
        BusError: A servo fell silent, or keeps its torque.
    """
    ask("Support the arm with your hand: its torque goes off. Then press Enter. ")
    live = bus.torque_off()
    if live:
        raise BusError(f"the servos {list(live)} do not confirm that their torque is off; cut their power and begin again")
    for joint in arm.JOINTS:
        bus.write_eprom(joint.servo_id, _OPEN)
    sweep = Sweep()
    say("Move every joint slowly from stop to stop, one after the other; Enter when all are done.")
    while not done():
        sweep.feed(_ticks(bus))
        if sweep.n % 50 == 0:
            say("moved so far: " + "  ".join(f"{n} {s}" for n, s in zip(arm.JOINT_NAMES, sweep.spans.tolist(), strict=True)))
        sleep(_SAMPLE_S)
    signs = [_sign(bus, i, ask) for i in range(arm.N_JOINTS)]
    firmware = [f"{bus.read(j.servo_id, 'firmware_major')}.{bus.read(j.servo_id, 'firmware_minor')}" for j in arm.JOINTS]
    calibration = sweep.calibration(signs, firmware)
    for measured in calibration.joints:
        registers = {
            "homing_offset": measured.homing_offset,
            "min_position_limit": measured.range_ticks[0],
            "max_position_limit": measured.range_ticks[1],
        }
        for name, (old, new) in bus.write_eprom(measured.servo_id, registers).items():
            say(f"{measured.name}: {name} {old} -> {new}")
    return calibration


def _sign(bus: Bus, i: int, ask: Ask) -> int:
    joint = arm.JOINTS[i]
    ask(f"Put {joint.name} near the middle of its range, then press Enter. ")
    before = bus.read(joint.servo_id, "present_position")
    ask(f"Turn {joint.name} a little {POSITIVE[joint.name]}, hold it there, then press Enter. ")
    try:
        return sign_of(before, bus.read(joint.servo_id, "present_position"))
    except CalibrationError as error:
        raise CalibrationError(f"{joint.name}: {error}. Calibrate again") from None


def _ticks(bus: Bus) -> list[int]:
    readings = bus.sync_read()
    silent = [j.name for j in arm.JOINTS if j.servo_id not in readings or readings[j.servo_id].misses > 10]
    if silent:
        raise BusError(
            f"{', '.join(silent)} fell silent during the sweep; look at the cables (`soarm doctor`), and begin again"
        )
    return [readings[joint.servo_id].telemetry.position_ticks for joint in arm.JOINTS]
