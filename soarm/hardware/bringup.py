"""Bring an arm up: check that it is the one that was calibrated, and switch its torque on without a jump."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager

from soarm import arm
from soarm.errors import BusError, FaultError, PortError
from soarm.hardware import doctor
from soarm.hardware.bus import TIMEOUT_S, Bus
from soarm.hardware.calibration import Calibration, JointCalibration
from soarm.hardware.config import ArmConfig
from soarm.hardware.registers import LATCHED, NOTHING, Status
from soarm.hardware.torque import torque_off

OUTSIDE_TICKS = 40
"""A joint may stand this far outside its measured range when torque comes on; the servo pulls it in."""
_TRIES = 5
_PATIENCE_S = 0.1
HELD_TICKS = 12
"""A joint may give way this much when torque comes on: backlash, and the dead zone."""


OFF_S = 0.4
"""For proving that torque is off [s]."""


class StillLiveError(FaultError):
    """Torque came on, something went wrong, and a servo did not confirm that its torque is off again."""


def open_bus(port: str, calibration: Calibration, config: ArmConfig, now: Callable[[], float]) -> Bus:
    """Open the bus of an arm; see `Bus.open`."""
    ids = calibration.servo_ids
    timeout_s = TIMEOUT_S if config.timeout_s is None else config.timeout_s
    return Bus.open(port, ids, timeout_s=timeout_s, now=now)


def reopen(port: str, calibration: Calibration, config: ArmConfig, now: Callable[[], float]) -> Bus:
    """Open the bus of an arm whose port was lost, and hear every servo; where one is silent the port is closed again.

    Raises:
        PortError: The port cannot be opened.
        FaultError: A servo stayed silent.
    """
    bus = open_bus(port, calibration, config, now)
    try:
        require_heard(bus, calibration)
    except BaseException:
        bus.close()
        raise
    return bus


def require_fit(
    bus: Bus,
    calibration: Calibration,
    config: ArmConfig,
    forgive: Status = NOTHING,
    note: Callable[[str], None] = lambda _: None,
) -> tuple[bool, ...]:
    """Ask every servo who it is, and refuse an arm that must not be driven.

    Args:
        bus: Of the arm.
        calibration: Of the arm.
        config: Its settings.
        forgive: Complaints that are about to be cleared.
        note: Takes what is odd but no fault, in words.

    Returns:
        Which servos have torque now, in the order of the joints.

    Raises:
        FaultError: A servo is silent, of another model or calibration, badly supplied, hot, or complains; names every fault.
    """
    findings = doctor.examine(bus, calibration, forgive)
    faults = [f"{finding.joint} (servo {finding.servo_id}): {text}" for finding in findings for text in finding.faults]
    faults += doctor.of_all(findings)
    faults += doctor.against_settings(findings, config)
    if faults:
        raise FaultError("\n  ".join([f"the arm on {bus.port} must not be driven:", *faults]))
    for finding in findings:
        for text in finding.oddities:
            note(f"{finding.joint} (servo {finding.servo_id}): {text}")
    return tuple(finding.values["torque_enable"] == 1 for finding in findings)


@contextmanager
def patience(bus: Bus) -> Iterator[None]:
    """Give every question in this block more time: nothing moves meanwhile, and a hiccup must not look like a dead servo."""
    usual_s = bus.line.timeout_s
    bus.line.timeout_s = max(usual_s, _PATIENCE_S)
    try:
        yield
    finally:
        bus.line.timeout_s = usual_s


def require_heard(bus: Bus, calibration: Calibration) -> None:
    """Read until every servo was heard once, so that there is a number of each, however old it may get.

    Raises:
        FaultError: A servo stayed silent.
    """
    for _ in range(_TRIES):
        readings = bus.sync_read()
        silent = [joint.name for joint in calibration.joints if joint.servo_id not in readings]
        if not silent:
            return
    raise FaultError(f"{', '.join(silent)} did not answer in {_TRIES} cycles; `soarm doctor` says more")


def identify(bus: Bus, calibration: Calibration, config: ArmConfig, note: Callable[[str], None]) -> tuple[bool, ...]:
    """Ask servos of an arm that is new here who they are, and hear each once; see `require_fit` and `require_heard`."""
    with patience(bus):
        torque = require_fit(bus, calibration, config, note=note)
        require_heard(bus, calibration)
    return torque


def fresh_ticks(bus: Bus, calibration: Calibration) -> dict[int, int]:
    """Return servo -> present position, all read now [ticks].

    Raises:
        FaultError: A servo is silent, or stands far outside its measured range.
    """
    readings = bus.sync_read()
    silent = [j.name for j in calibration.joints if j.servo_id not in readings or readings[j.servo_id].misses]
    if silent:
        raise FaultError(
            f"{', '.join(silent)} did not answer; the arm is not moved without knowing where it is. `soarm doctor`"
        )
    ticks = {joint.servo_id: readings[joint.servo_id].telemetry.position_ticks for joint in calibration.joints}
    faults = [fault for joint in calibration.joints if (fault := _outside(joint, ticks[joint.servo_id]))]
    if faults:
        raise FaultError("; ".join(faults))
    return ticks


def write_gains(
    bus: Bus, calibration: Calibration, config: ArmConfig, joints: Collection[int] = range(arm.N_JOINTS)
) -> list[str]:
    """Bring the gains of some joints' servos to those of the settings, writing only what differs; their torque must be off.

    Returns:
        What was changed in EPROM, in words.
    """
    changed = []
    for i in joints:
        joint = calibration.joints[i]
        for name, (old, new) in bus.write_eprom(joint.servo_id, config.gains.eprom(i)).items():
            changed.append(f"{joint.name}: {name} {old} -> {new}")
    return changed


def require_gains(bus: Bus, calibration: Calibration, config: ArmConfig) -> None:
    """Refuse servos that already have torque, with other gains than those of the settings: they cannot be changed now.

    Raises:
        FaultError: Names every difference.
    """
    wrong = []
    for i, joint in enumerate(calibration.joints):
        for name, wanted in config.gains.eprom(i).items():
            found = bus.read(joint.servo_id, name)
            if found != wanted:
                wrong.append(f"{joint.name}: {name} is {found}, not {wanted}")
    if wrong:
        raise FaultError(
            "the arm has torque already, and its gains are not those of the settings; they are written with torque off. "
            "Support the arm and release it (`soarm release`):\n  " + "\n  ".join(wrong)
        )


def write_ram(bus: Bus, calibration: Calibration, config: ArmConfig) -> None:
    """Write what a servo forgets without power: torque limit, acceleration, speed."""
    for i, joint in enumerate(calibration.joints):
        for name, value in config.gains.ram(i).items():
            bus.write(joint.servo_id, name, value)


def torque_on(bus: Bus, calibration: Calibration, joints: Collection[int] = range(arm.N_JOINTS)) -> dict[int, int]:
    """Switch torque on where the arm is: every goal is the present position before its torque comes, and is read back.

    Args:
        bus: Of the arm.
        calibration: Of the arm.
        joints: Which; the others are neither written to nor released.

    Returns:
        Servo -> goal [ticks].

    Raises:
        FaultError: A servo did not take its goal or its torque, complains, or moved; torque is off again.
        BusError: A servo fell silent, or the port was lost; torque is off again, but for a lost port.
        StillLiveError: As one of these, and servos that had been given torque did not confirm that it is off again.
        KeyboardInterrupt: As any other exception passes through, once torque is off again; who kept it is logged.
    """
    chosen = [calibration.joints[i] for i in joints]
    given: list[JointCalibration] = []
    try:
        goals = _set_goals(bus, calibration, chosen)
        for joint in chosen:
            given.append(joint)
            bus.write(joint.servo_id, "torque_enable", 1)
            if bus.read(joint.servo_id, "torque_enable") != 1:
                raise FaultError(f"{joint.name} (servo {joint.servo_id}) did not switch its torque on; power it off and on")
        after = fresh_ticks(bus, calibration)
        moved = [j.name for j in chosen if abs(after[j.servo_id] - goals[j.servo_id]) > OUTSIDE_TICKS + HELD_TICKS]
        if moved:
            raise FaultError(
                f"{', '.join(moved)} moved when torque came on; torque is off again. Check it with `soarm doctor`"
            )
    except PortError:
        raise
    except BaseException as error:  # Ctrl-C as well: the caller would not know who is live
        unproved = torque_off(bus.line, tuple(joint.servo_id for joint in chosen), OFF_S)
        live = [f"{joint.name} (servo {joint.servo_id})" for joint in given if joint.servo_id in unproved]
        if live and isinstance(error, FaultError | BusError):
            raise StillLiveError(f"{error}. {', '.join(live)} may still be live: cut the power") from error
        raise
    return goals


def _set_goals(bus: Bus, calibration: Calibration, joints: Collection[JointCalibration]) -> dict[int, int]:
    """Make the present position the goal of servos without torque, read back."""
    here = fresh_ticks(bus, calibration)
    goals = {}
    for joint in joints:
        low, high = joint.range_ticks
        goals[joint.servo_id] = goal = min(max(here[joint.servo_id], low), high)
        bus.write(joint.servo_id, "goal_position", goal)
        found = bus.read(joint.servo_id, "goal_position")
        if found != goal:
            raise FaultError(
                f"{joint.name} (servo {joint.servo_id}) was given the goal {goal} and holds {found}: its position limits "
                "are not those of the calibration. Torque stays off; `soarm doctor` says more"
            )
        complaint = bus.status[joint.servo_id] & LATCHED
        if complaint:
            raise FaultError(
                f"{joint.name} (servo {joint.servo_id}) reports {complaint.name} with its torque off, which should have ended "
                "it. Its torque stays off; support the arm, and power it off and on"
            )
    return goals


def unlatch(bus: Bus, calibration: Calibration, joints: Collection[int]) -> None:
    """Let servos go and take them back at once, one by one, which ends a latched overload; the others keep holding.

    Raises:
        FaultError: A servo does not confirm that its torque is off, or does not come back; see `torque_on`.
        BusError: A servo is silent.
    """
    for i in joints:
        live = torque_off(bus.line, (calibration.joints[i].servo_id,), OFF_S)
        if live:
            raise FaultError(f"the servos {list(live)} do not confirm that their torque is off; cut their power")
        torque_on(bus, calibration, (i,))


def make_hold(bus: Bus, calibration: Calibration, config: ArmConfig) -> list[str]:
    """Make a limp arm hold where it is: gains first, then torque; see `write_gains` and `torque_on`."""
    with patience(bus):
        changed = write_gains(bus, calibration, config)
        write_ram(bus, calibration, config)
        torque_on(bus, calibration)
    return changed


def adopt(bus: Bus, calibration: Calibration, config: ArmConfig) -> None:
    """Take over an arm that had its torque before: see `require_gains` and `write_ram`."""
    with patience(bus):
        require_gains(bus, calibration, config)
        write_ram(bus, calibration, config)


def recover(bus: Bus, calibration: Calibration, config: ArmConfig, *, clear: bool) -> None:
    """Make an arm hold again after a fault. A servo that has torque keeps it, but for one whose overload is to be cleared.

    Args:
        bus: Of the arm.
        calibration: Of the arm.
        config: Its settings.
        clear: Let a servo that has latched an overload go for a moment, which clears it.

    Raises:
        FaultError: The arm is not fit, or a servo does not do what it is sent; the others hold as before.
        BusError: A servo is silent.
    """
    with patience(bus):
        torque = require_fit(bus, calibration, config, LATCHED if clear else NOTHING)
        latched = [i for i, joint in enumerate(calibration.joints) if bus.status[joint.servo_id] & LATCHED]
        off = [i for i, on in enumerate(torque) if not on]
        write_gains(bus, calibration, config, off)
        write_ram(bus, calibration, config)
        torque_on(bus, calibration, [i for i in off if i not in latched])
        unlatch(bus, calibration, latched)


def _outside(joint: JointCalibration, ticks: int) -> str | None:
    low, high = joint.range_ticks
    beyond = max(low - ticks, ticks - high)
    if beyond <= OUTSIDE_TICKS:
        return None
    return (
        f"{joint.name} (servo {joint.servo_id}) stands at {ticks}, {beyond} ticks outside its measured range {low}..{high}: "
        "move it inside by hand, or calibrate it again"
    )
