"""`soarm twin`: an SO-ARM100 in MuJoCo behind an emulated servo bus, for everybody who has no arm at hand.

    soarm twin --port /tmp/arm --objects /tmp/objects.json --calibration arm.json
    soarm doctor --port /tmp/arm --calibration arm.json                         # in another shell, as with a real arm
    soarm twin --port /tmp/arm --law sts3215 --volts 5 --fault sag:value=4.2,at_s=20
    soarm twin --port /tmp/arm --port /tmp/leader --lead sweep --calibration arm.json   # one that leads, and moves by itself
    soarm twin --port /tmp/arm --new --lead calibrate                           # to practise setup-motors and calibrate

The port takes whatever takes a serial port: this project's commands, LeRobot's, Feetech's. It runs until Ctrl-C, SIGTERM or
SIGHUP; SIGUSR1 pulls the arm's cable, and plugs it in again. Where there is no params.yaml, the one that came with the package
describes the simulator.
"""

from __future__ import annotations

from soarm import entry

if __name__ == "__main__":  # before the other imports: Ctrl-C while they load ends as it does later
    entry.start("soarm.twin.__main__")

import argparse
import contextlib
import dataclasses
import json
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import NamedTuple

from soarm import params as params_file
from soarm.errors import SoarmError, TwinError
from soarm.hardware.calibration import Calibration
from soarm.signals import STOP_SIGNALS, handled_by
from soarm.sim.params import SimParams
from soarm.smallfile import require_writable, write_atomically
from soarm.twin.faults import ON_REPLIES, ON_THE_ARM, Fault
from soarm.twin.leading import Motion
from soarm.twin.servo import FirmwareAssumptions
from soarm.twin.twin import Twin, TwinConfig
from soarm.twin.wire_log import WireLog

logger = logging.getLogger("soarm.twin")
_LOOK_S = 1.0 / 60
_ASSUMPTIONS = {
    "torque_at_power_up": "servos start with torque",
    "goal_enables_torque": "writing a goal switches torque on",
    "sync_read_after_missing": "servos after a silent one still answer a SYNC READ",
    "return_delay": "register 7 delays replies",
    "torque_limit_obeyed": "register 48 is obeyed at run time",
}
"""What is not settled about real servos, in words: a switch each, on or off."""


def main(arguments: Sequence[str] | None = None, wait: Callable[[float], None] = time.sleep) -> int:
    """Run the command line and return its exit status: 0 after a signal, 1 where the twin cannot be set up.

    Args:
        arguments: Without the program's name; None takes those of the process.
        wait: Waits so many seconds.
    """
    options = _options(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    try:
        with _told() as told, contextlib.ExitStack() as stack:
            if options.objects is not None:
                require_writable(options.objects, TwinError)
            log = None if options.wire_log is None else stack.enter_context(_wire_log(options.wire_log))
            sim = params_file.load(options.params or params_file.here_or_packaged()).section("sim", SimParams)
            twin = stack.enter_context(Twin.start(sim, _config(options, log)))
            twin.reset(options.scene)
            for fault in map(Fault.parse, options.fault):
                twin.inject(fault)
            motion = _motion(options, twin)
            for name, port in zip(("arm", "leader"), twin.ports, strict=False):
                logger.info("%s on %s", name, port)
            logger.info("kill -USR1 %d pulls the arm's cable, and plugs it in again", os.getpid())
            logger.info("scene %d, law %s, %.1f V; Ctrl-C ends it", options.scene, options.law, options.volts)
            _watch(twin, options.objects, motion, wait, told)
    except SoarmError as error:
        logger.error("%s", error)
        return 1
    except KeyboardInterrupt:
        pass
    logger.info("the twin is gone")
    return 0


class _Told(NamedTuple):
    """What signals ask for.

    Attributes:
        stop: To end: Ctrl-C, SIGTERM and SIGHUP; none of them may keep the links from being taken away.
        cable: To pull the arm's cable, or to plug it in again: SIGUSR1.
    """

    stop: threading.Event
    cable: threading.Event


@contextlib.contextmanager
def _told() -> Iterator[_Told]:
    told = _Told(threading.Event(), threading.Event())

    def note(signum: int, frame: FrameType | None) -> None:
        (told.cable if signum == signal.SIGUSR1 else told.stop).set()

    with handled_by(note, (*STOP_SIGNALS, signal.SIGUSR1)):
        yield told


def _wire_log(path: Path) -> WireLog:
    try:
        return WireLog(path)
    except (OSError, ValueError) as error:
        raise TwinError(
            f"{path} cannot be written ({getattr(error, 'strerror', None) or error}); choose another place for --wire-log"
        ) from None


def _motion(options: argparse.Namespace, twin: Twin) -> Motion | None:
    """Return how the leader moves, None without one; it starts where the arm is."""
    if len(options.port) < 2 or options.lead == "calibrate":
        return None
    if options.lead == "sweep":
        return Motion.sweep(twin.q())
    return Motion([0.0], [twin.q()]) if options.lead == "still" else Motion.load(Path(options.lead))


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = _parser()
    options = parser.parse_args(arguments)
    if len(options.port) > 2:
        parser.error(f"{len(options.port)} ports were given; there is one arm, and one that leads")
    if options.lead not in ("still", "calibrate") and len(options.port) < 2:
        parser.error("--lead needs a second --port, for the arm that leads")
    return options


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="soarm twin", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--port", type=Path, action="append", default=[], help="link to the port; a second one for a leader")
    parser.add_argument("--objects", type=Path, help="file that says where the objects are, for `soarm drive --objects`")
    parser.add_argument("--calibration", type=Path, help="how the servos are mounted; written if it does not exist")
    parser.add_argument("--scene", type=entry.whole(0, 2**31 - 1), default=0, help="seed of the scene (%(default)s)")
    parser.add_argument("--law", choices=["position", "sts3215"], default="sts3215", help="the servos (%(default)s)")
    parser.add_argument("--volts", type=entry.number(0, 25.4), default=7.4, help="of the supply (%(default)s)")
    parser.add_argument("--clock", choices=["wall", "lockstep"], default="wall", help="what moves it (%(default)s)")
    parser.add_argument("--usb-delay", type=entry.number(0, 10), default=0.001, help="of the adapter [s] (%(default)s)")
    for name, words in _ASSUMPTIONS.items():
        usual = getattr(FirmwareAssumptions(), name)
        parser.add_argument(
            f"--{name.replace('_', '-')}",
            action=argparse.BooleanOptionalAction,
            default=usual,
            help=f"{words}; not settled ({'yes' if usual else 'no'})",
        )
    parser.add_argument(
        "--lead",
        default="still",
        metavar="still|sweep|calibrate|FILE",
        help="how the leader moves (soarm.twin.leading); calibrate: every limp arm is held as `soarm calibrate` asks",
    )
    parser.add_argument(
        "--new", action="store_true", help="servos from the factory, plugged in one at a time for setup-motors"
    )
    parser.add_argument("--wire-log", type=Path, help="file for every byte of the arm's line")
    kinds = ", ".join([*ON_REPLIES, *ON_THE_ARM])
    parser.add_argument(
        "--fault", action="append", default=[], help=f"as in mute:servo_id=3,at_s=10,count=5; any number of: {kinds}"
    )
    parser.add_argument(
        "--stranger",
        type=entry.whole(0, 253),
        action="append",
        default=[],
        metavar="ID",
        help="one more servo; with an id of 1 to 6 a second one",
    )
    parser.add_argument("--params", type=Path, help="where the simulator is described (params.yaml, or the package's)")
    return parser


def _config(options: argparse.Namespace, wire_log: WireLog | None) -> TwinConfig:
    file = options.calibration
    if file is not None and not file.exists():
        Calibration.nominal().save(file)
        logger.info("wrote the twin's calibration to %s", file)
    return TwinConfig(
        law=options.law,
        clock=options.clock,
        volts=options.volts,
        calibration=Calibration.nominal() if file is None else Calibration.load(file),
        new=options.new,
        hand=options.lead == "calibrate",
        extra_servos=tuple(options.stranger),
        arms=2 if len(options.port) > 1 else 1,
        line_timing=options.clock == "wall",
        usb_delay_s=options.usb_delay if options.clock == "wall" else 0.0,
        assumptions=FirmwareAssumptions(
            **{field.name: getattr(options, field.name) for field in dataclasses.fields(FirmwareAssumptions)}
        ),
        paths=tuple(options.port),
        wire_log=wire_log,
    )


def _watch(twin: Twin, objects: Path | None, motion: Motion | None, wait: Callable[[float], None], told: _Told) -> None:
    """Keep the file of objects fresh, move the leader, pull the cable, and say once when the task is done."""
    said, plugged = False, True
    while twin.running:
        if motion is not None:
            twin.lead(motion(twin.time_s()))
        wait(_LOOK_S)
        if told.stop.is_set():
            return
        if told.cable.is_set():
            told.cable.clear()
            plugged = not plugged
            (twin.replug if plugged else twin.unplug)()
            logger.info("the arm's cable is %s", "plugged in again" if plugged else "pulled; SIGUSR1 plugs it in again")
        if objects is not None:
            write_atomically(
                objects, json.dumps({"task": twin.task.name, "objects": twin.objects().tolist()}), TwinError, durable=False
            )
        outcome = twin.outcome()
        if outcome is not None and outcome.terminated and not said:
            logger.info("%s, after %.1f s", twin.task.goal.words, twin.time_s())
            said = True
    raise TwinError("the twin stopped serving its port; what went wrong stands above")
