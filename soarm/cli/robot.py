"""Commands to set up an arm and to drive it."""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

import typer

from soarm.cli.command import DRIVE, SETUP, Json, command, loading, number, whole, write_json
from soarm.errors import HardwareError
from soarm.signals import raised_once

logger = logging.getLogger(__name__)
Port = Annotated[str, typer.Option(help="Serial port, as `soarm find-port` names it.")]
Source = Annotated[Path, typer.Argument(help="File to read.")]
Target = Annotated[Path, typer.Argument(help="File to write.")]


@contextlib.contextmanager
def _attended(name: str) -> Iterator[None]:
    """Let the first signal end a procedure, which puts back what it changed, and say that it has to be begun again."""
    remedy = f"`soarm {name}` was not finished, begin it again"
    try:
        with raised_once():
            yield
    except EOFError:
        raise HardwareError(f"the input ended before a question was answered; {remedy}") from None
    except KeyboardInterrupt as error:
        error.add_note(remedy)
        raise


def _ask(text: str) -> str:
    """Show a question beside the result, where standard output is for a program, and wait for Enter."""
    sys.stderr.write(text)
    sys.stderr.flush()
    return input()


@command(SETUP, "soarm find-port")
def find_port(
    also: Annotated[list[str] | None, typer.Option(help="A port that the system does not list, as a twin's link.")] = None,
    as_json: Json = False,
) -> int:
    """Find the arm's serial port: unplug the adapter, and see which port it was."""
    with loading():
        from soarm.hardware import procedures
    with _attended("find-port"):
        port = procedures.find_port(also or [], _ask if as_json else input)
    if as_json:
        write_json({"port": port})
    else:
        logger.info("the arm is on %s; plug it in again", port)
    return 0


@command(SETUP, "soarm setup-motors --port PORT")
def setup_motors(port: Port) -> int:
    """Give new servos their ids, one at a time."""
    with loading():
        from soarm.hardware import procedures
    with _attended("setup-motors"):
        procedures.setup_motors(port, input)
    return 0


@command(SETUP, "soarm calibrate --port PORT arm.json")
def calibrate(
    port: Port,
    target: Annotated[Path, typer.Argument(help="File for the calibration; one that is there is kept beside it.")],
) -> int:
    """Measure zero and range of every joint, by hand."""
    with loading():
        from soarm.hardware import procedures
    with _attended("calibrate"):
        calibration = procedures.calibrate(port, target, input)
    logger.info("wrote %s (hash %s); check it against a known pose: soarm check-pose", target, calibration.hash[:12])
    return 0


@command(SETUP, "soarm check-pose --port PORT --calibration arm.json --rest")
def check_pose(
    port: Port,
    calibration: Annotated[Path, typer.Option(help="The calibration to check.")],
    pose: Annotated[
        tuple[float, float, float, float, float, float],
        number(-360, 360, "Of the six joints [deg, percent]; all middles by default."),
    ] = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0),
    rest: Annotated[bool, typer.Option("--rest", help="The folded pose instead.")] = False,
) -> int:
    """Check a calibration against a known pose, into which the arm is put by hand."""
    with loading():
        from soarm.hardware import procedures
        from soarm.hardware.calibration import Calibration
    with _attended("check-pose"):
        return procedures.check_pose(port, Calibration.load(calibration), None if rest else pose, input)


@command(SETUP, "soarm doctor --port PORT --calibration arm.json")
def doctor(
    port: Port,
    calibration: Annotated[Path | None, typer.Option(help="What the servos' limits and offsets are compared with.")] = None,
    settings: Annotated[Path | None, typer.Option(help="JSON that names the servos' part, for their supply.")] = None,
    as_json: Json = False,
) -> int:
    """Read every servo, and report what is wrong."""
    with loading():
        from soarm.hardware import procedures
        from soarm.hardware.calibration import Calibration
        from soarm.hardware.config import ArmConfig
    measured = None if calibration is None else Calibration.load(calibration)
    config = None if settings is None else ArmConfig.load(settings)
    with _attended("doctor"):
        found = procedures.examine(port, measured, config)
    if as_json:
        servos = [finding._asdict() for finding in found.findings]
        write_json({"servos": servos, "warnings": found.warnings, "faults": found.faults})
        return 1 if found.faults else 0
    for finding in found.findings:
        logger.info("%s", finding.line())
    for text in found.warnings:
        logger.warning("%s", text)
    for text in found.faults:
        logger.error("%s", text)
    if not found.faults:
        logger.info("nothing is wrong with this arm, as far as its servos can say")
    return 1 if found.faults else 0


@command(SETUP, "soarm release --port PORT")
def release(port: Port) -> int:
    """Switch torque off, and report which servo did not confirm it."""
    with loading():
        from soarm.hardware import procedures
    with _attended("release"):
        return procedures.release(port)


@command(SETUP, "soarm restore-registers --port PORT")
def restore_registers(
    port: Port,
    file: Annotated[
        Path | None, typer.Argument(help="One of `soarm/registers` in `~/.local/state`; the newest that fits by default.")
    ] = None,
) -> int:
    """Write back into the servos what was saved before it was overwritten."""
    with loading():
        from soarm.hardware import procedures
    with _attended("restore-registers"):
        return procedures.restore_registers(port, file, input)


@command(SETUP, "soarm import-calibration lerobot.json arm.json")
def import_calibration(source: Source, target: Target) -> int:
    """Convert a calibration of LeRobot into one of soarm."""
    with loading():
        from soarm.hardware.lerobot_file import read_lerobot
    calibration = read_lerobot(source)
    calibration.save(target)
    logger.info("wrote %s (hash %s)", target, calibration.hash[:12])
    return 0


@command(SETUP, "soarm export-calibration arm.json lerobot.json")
def export_calibration(source: Source, target: Target) -> int:
    """Convert a calibration of soarm into one of LeRobot."""
    with loading():
        from soarm.hardware.calibration import Calibration
        from soarm.hardware.lerobot_file import write_lerobot
    calibration = Calibration.load(source)
    write_lerobot(calibration, target)
    logger.info("wrote %s (hash %s)", target, calibration.hash[:12])
    return 0


@command(DRIVE, "soarm check data/export")
def check(
    bundle: Annotated[Path, typer.Argument(help="Folder that `soarm export` wrote.")],
    calls: Annotated[int, whole(1, 1_000_000, "How many calls to time.")] = 500,
    as_json: Json = False,
) -> int:
    """Verify a bundle, show its specification, and time it on this machine."""
    with loading():
        from soarm.runtime.bundle import Bundle, spec_json
        from soarm.runtime.latency import measure
    opened = Bundle.open(bundle)
    if as_json:
        latency = {name: one._asdict() for name, one in measure(opened, calls).items()}
        write_json({"files": sorted(opened.checksums), "spec": opened.spec.to_dict(), "latency": latency, "calls": calls})
        return 0
    logger.info("%s is whole: %s", bundle, ", ".join(sorted(opened.checksums)))
    logger.info("%s", spec_json(opened.spec).rstrip())
    if opened.training_arm is not None:
        logger.info("trained on %s", opened.training_arm)
    for name, camera in ({} if opened.mounting is None else opened.mounting.cameras).items():
        logger.info("camera %s: %s", name, camera.words())
    for name, one in measure(opened, calls).items():
        logger.info("%-8s median %.3f ms, 99 %% under %.3f ms (%d calls, one arm)", name, *one, calls)
    return 0


@command(DRIVE, "soarm drive data/export --port PORT --calibration arm.json --objects objects.json --log run.log")
def drive(
    bundle: Annotated[Path, typer.Argument(help="Folder that `soarm export` wrote.")],
    port: Annotated[str, typer.Option(help="Serial port of the arm, or of `soarm twin`.")],
    calibration: Annotated[Path, typer.Option(help="Of the arm.")],
    settings: Annotated[Path | None, typer.Option(help="JSON with gains, part, park (`soarm.hardware.config`).")] = None,
    limits: Annotated[Path | None, typer.Option(help="JSON with limits of the safety chain (`soarm.runtime.limits`).")] = None,
    objects: Annotated[Path | None, typer.Option(help="File that somebody keeps fresh (`soarm.runtime.objects`).")] = None,
    place: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=X,Y[,YAW]",
            help="In the place of --objects: where a thing of the task lies [m, m, deg]: cube=0.0,-0.2,15.",
        ),
    ] = None,
    camera: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=DEVICE",
            help="A camera of the policy: number, path or address of OpenCV, or a file kept fresh: front=pictures/front.ppm.",
        ),
    ] = None,
    which: Annotated[
        Literal["base", "residual"] | None, typer.Option(help="ACT alone, or with its residual; the best there is by default.")
    ] = None,
    seconds: Annotated[float, number(0.001, 86_400, "How long at most [s].")] = 10.0,
    keep_going: Annotated[bool, typer.Option("--keep-going", help="Do not end when the task is done.")] = False,
    bus_hz: Annotated[int | None, whole(1, 1000, "Commands per second; twice the policy's rate by default.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Read, infer and log; send nothing.")] = False,
    allow: Annotated[
        list[str] | None, typer.Option(metavar="features|rate|gains|torque", help="A check that may fail.")
    ] = None,
    log: Annotated[Path | None, typer.Option(help="File for the log; must not exist.")] = None,
    no_deadman: Annotated[bool, typer.Option("--no-deadman", help="No process softens the arm if this one dies.")] = False,
    no_park: Annotated[bool, typer.Option("--no-park", help="Switch torque off where the arm is: it will fall.")] = False,
) -> int:
    """Let a bundle drive an arm: hold, start, safety chain, and park at the end, whatever ends it."""
    with loading():
        from soarm.hardware.calibration import Calibration
        from soarm.hardware.config import DEFAULT, ArmConfig
        from soarm.runtime import senses
        from soarm.runtime.bundle import RESIDUAL, Bundle
        from soarm.runtime.drive import DriveConfig, run
    opened = Bundle.open(bundle)
    config = DEFAULT if settings is None else ArmConfig.load(settings)
    with senses.opened(opened, objects, place or [], camera or []) as sensors:
        what = DriveConfig(
            opened,
            which or ("residual" if RESIDUAL in opened.sessions else "base"),
            sensors,
            seconds,
            bus_hz,
            dry_run,
            allow or (),
            log,
            not no_deadman,
            not no_park,
            limits,
            keep_going=keep_going,
        )
        report = run(what, port, Calibration.load(calibration), config)
    for line in report.lines():
        logger.info("%s", line)
    return 0 if report.ended_well else 1
