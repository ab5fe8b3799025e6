"""The dialogue of a calibration: what the person is asked to do, in order, and what is written when all went well.

Offset and limits are set to "none" for the sweep, so that the encoder can be seen as it is. Whatever ends it before all servos
have their new ones puts the old ones back: an error, a signal (`signals.raised_once`), a cable as soon as it is plugged in
again. SIGKILL leaves them open; the registers as they were lie in a backup, from which `soarm restore-registers` takes them.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import numpy as np
from numpy.typing import NDArray

from soarm import arm
from soarm.errors import BusError, CalibrationError, PortError
from soarm.hardware.backups import OPEN
from soarm.hardware.bus import Bus
from soarm.hardware.calibration import TICKS_PER_DEG, Calibration
from soarm.hardware.sweep import REST_TOLERANCE, SPAN_TICKS, TURN_TICKS, Sweep, sign_of
from soarm.signals import deferred_signals

Ask = Callable[[str], str]
Say = Callable[[str], None]
POSITIVE = {
    "shoulder_pan": "to the right, seen from behind the arm",
    "shoulder_lift": "forwards and down",
    "elbow_flex": "so that the forearm goes down",
    "wrist_flex": "so that the gripper points down",
    "wrist_roll": "counter-clockwise, seen from behind the gripper",
    "gripper": "open",
}
"""Which way is LeRobot's positive one, joint by joint; a test holds it against the kinematics."""
_FOLD = (
    "Fold the arm into its rest pose: base straight ahead, upper arm back on its stop, forearm down on it, gripper closed, "
    "not rolled, and bent down by about 70 degrees (docs/hardware.md has a picture). Then press Enter. "
)
_KEEP = "keep"
_SAMPLE_S, _SHOWN_EVERY = 0.02, 5
_SHORT = ("pan", "lift", "elbow", "wrist", "roll", "grip")
"""Names of the joints that fit beside two numbers each into the 80 columns of a terminal."""
_TURNS = 3
"""How often a joint may be turned in its direction until it was turned far enough."""
_TRIES, _TRY_S = 300, 0.2
"""How often, and how long apart, a port that was lost is tried again [s]: a minute to plug the cable in."""


def calibrate(
    bus: Bus,
    ask: Ask,
    say: Say,
    done: Callable[[], bool],
    sleep: Callable[[float], None] = time.sleep,
    show: Say | None = None,
    save: Callable[[Calibration], None] = lambda _: None,
) -> Calibration:
    """Measure an arm, write offsets and limits into its servos, and save the calibration.

    Args:
        bus: Of the six servos, with the ids of `soarm.arm.JOINTS`.
        ask: Shows a text and waits for the person.
        say: Shows a line.
        done: Whether the person has finished the sweep.
        sleep: Waits so many seconds.
        show: Shows a line in the place of the one that it showed before, ten times a second during the sweep; by default `say`
            gets one a second.
        save: Writes it to where it is to stay; where that fails, the servos get back what they had.

    Raises:
        CalibrationError: A joint was not swept, nor moved when that was said; it was not turned in its direction; the rest
            pose does not fit and the person does not keep it all the same; or it cannot be saved. The servos are as before.
        BusError: A servo fell silent, or keeps its torque. What could not be put back is in the message.
    """
    ask("Support the arm with your hand: its torque goes off. Then press Enter. ")
    live = bus.torque_off()
    if live:
        raise BusError(f"the servos {list(live)} do not confirm that their torque is off; cut their power and begin again")
    with _put_back(bus, say, sleep) as before:
        for joint in arm.JOINTS:
            with deferred_signals():  # what was written is noted, and its servo locked
                before[joint.servo_id] = {name: bus.read(joint.servo_id, name) for name in OPEN}
                bus.write_eprom(joint.servo_id, OPEN)
        calibration = _measure(bus, ask, say, done, sleep, show or _now_and_then(say))
        with deferred_signals():  # servos and file belong together
            for measured in calibration.joints:
                for name, (old, new) in bus.write_eprom(measured.servo_id, measured.registers).items():
                    say(f"{measured.name}: {name} {old} -> {new}")
            save(calibration)
            before.clear()
    return calibration


@contextmanager
def _put_back(bus: Bus, say: Say, sleep: Callable[[float], None]) -> Iterator[dict[int, dict[str, int]]]:
    """Yield servo -> registers as they were, to be filled; what is in it when the block fails is written back."""
    before: dict[int, dict[str, int]] = {}
    try:
        yield before
    except BaseException as error:  # a signal as well: an arm without limits matches no calibration
        lost = _write_back(bus, before, say, sleep)
        if lost:
            why = str(error) or type(error).__name__
            remedy = f"Mend that, then put them back: soarm restore-registers --port {bus.port}"
            raise BusError("\n  ".join([f"{why}. These could not be put back:", *lost]) + f"\n{remedy}") from error
        raise


def _write_back(bus: Bus, before: dict[int, dict[str, int]], say: Say, sleep: Callable[[float], None]) -> list[str]:
    """Write registers back, over a cable that is plugged in again as well; return in words what was not."""
    left, lost, tries = dict(before), [], iter(range(_TRIES))
    with ExitStack() as stack:
        try:
            while left:
                if not bus.line.is_open:
                    say(f"the port {bus.port} was lost: plug the cable in again, and the servos' registers are restored")
                    bus = stack.enter_context(_plugged_in_again(bus, tries, sleep))
                with deferred_signals():
                    lost += _write_while_open(bus, left)
        except (PortError, KeyboardInterrupt):  # nobody plugged it in, or wants to wait for it
            pass
    return lost + [f"servo {servo_id} had {registers} (the port was lost)" for servo_id, registers in left.items()]


def _write_while_open(bus: Bus, left: dict[int, dict[str, int]]) -> list[str]:
    """Write registers, and take out of `left` what was written or refused; return in words what was refused."""
    refused = []
    for servo_id, registers in list(left.items()):
        try:
            bus.write_eprom(servo_id, registers)
        except BusError as trouble:
            if not bus.line.is_open:
                break
            refused.append(f"servo {servo_id} had {registers} ({trouble})")
        del left[servo_id]
    return refused


def _plugged_in_again(bus: Bus, tries: Iterator[int], sleep: Callable[[float], None]) -> Bus:
    """Return the bus on the port as soon as it can be opened; PortError when there are no tries left."""
    while next(tries, None) is not None:
        try:
            return Bus.open(bus.port, bus.servo_ids, timeout_s=bus.line.timeout_s)
        except PortError:
            sleep(_TRY_S)
    raise PortError(f"{bus.port} did not come back within {_TRIES * _TRY_S:.0f} s")


def _measure(bus: Bus, ask: Ask, say: Say, done: Callable[[], bool], sleep: Callable[[float], None], show: Say) -> Calibration:
    sweep = Sweep()
    ask(_FOLD)
    sweep.feed(_ticks(bus))
    say(
        "Move every joint slowly from stop to stop, one after the other; Enter when all are done. How far each was moved, and "
        "how far it goes [deg]:"
    )
    _sweep(sweep, bus, done, sleep, show)
    while faults := sweep.faults():
        say("\n  ".join(["not yet:", *faults.values()]))
        say("The other joints are done. Move these again, slowly, from stop to stop; Enter when done, Ctrl-C gives up.")
        sweep.begin_again(faults)
        _sweep(sweep, bus, done, sleep, show)
        if max(sweep.spans[i] for i in faults) < TURN_TICKS:
            sweep.check()  # nobody moves them
    signs = [_sign(bus, i, ask, say) for i in range(arm.N_JOINTS)]
    firmware = [f"{bus.read(j.servo_id, 'firmware_major')}.{bus.read(j.servo_id, 'firmware_minor')}" for j in arm.JOINTS]
    calibration = sweep.calibration(signs, firmware)
    _hold_against_rest(sweep.rest_errors(calibration), ask, say)
    return calibration


def _sweep(sweep: Sweep, bus: Bus, done: Callable[[], bool], sleep: Callable[[float], None], show: Say) -> None:
    """Read the joints until the person is done."""
    while not done():
        sweep.feed(_ticks(bus))
        if sweep.n % _SHOWN_EVERY == 0:
            degrees = zip(_SHORT, sweep.spans / TICKS_PER_DEG, SPAN_TICKS / TICKS_PER_DEG, strict=True)
            show(" ".join(f"{name} {moved:.0f}/{most:.0f}" for name, moved, most in degrees))
        sleep(_SAMPLE_S)


def _now_and_then(say: Say) -> Say:
    """Return what says every tenth of the lines that it is shown."""
    n = itertools.count(1)

    def show(text: str) -> None:
        if next(n) % 10 == 0:
            say(text)

    return show


def _hold_against_rest(errors: NDArray[np.float64], ask: Ask, say: Say) -> None:
    found = [f"{name} {error:+.1f} {unit}" for name, error, unit in zip(arm.JOINT_NAMES, errors, arm.UNITS, strict=True)]
    say(f"by this calibration the rest pose was missed by: {', '.join(found)}")
    far = [found[i] for i in np.flatnonzero(np.abs(errors) > REST_TOLERANCE)]
    if not far:
        return
    fault = (
        f"{', '.join(far)} away from the rest pose, more than {REST_TOLERANCE:g}: the arm was not folded, a stop was not "
        "reached in the sweep, the joint was turned the other way, or its horn sits a tooth off (14.4 degrees)"
    )
    if ask(f"{fault}. Enter to give up and change nothing, `{_KEEP}` to keep it all the same. ").strip() != _KEEP:
        raise CalibrationError(f"{fault}. Calibrate again")


def _sign(bus: Bus, i: int, ask: Ask, say: Say) -> int:
    joint = arm.JOINTS[i]
    ask(f"Put {joint.name} near the middle of its range, then press Enter. ")
    before = bus.read(joint.servo_id, "present_position")
    for left in reversed(range(_TURNS)):
        ask(f"Turn {joint.name} a little {POSITIVE[joint.name]}, hold it there, then press Enter. ")
        try:
            return sign_of(before, bus.read(joint.servo_id, "present_position"))
        except CalibrationError as error:
            if not left:
                raise CalibrationError(f"{joint.name}: {error}. Calibrate again") from None
            say(f"{joint.name}: {error}")
    raise AssertionError("the last turn returns or raises")


def _ticks(bus: Bus) -> list[int]:
    readings = bus.sync_read()
    silent = [j.name for j in arm.JOINTS if j.servo_id not in readings or readings[j.servo_id].misses > 10]
    if silent:
        raise BusError(
            f"{', '.join(silent)} fell silent during the sweep; look at the cables (`soarm doctor`), and begin again"
        )
    return [readings[joint.servo_id].telemetry.position_ticks for joint in arm.JOINTS]
