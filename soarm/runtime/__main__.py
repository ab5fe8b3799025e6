"""The robot's commands; all but `check` are also `soarm COMMAND`.

python -m soarm.runtime check BUNDLE
python -m soarm.runtime drive BUNDLE --port PORT --calibration arm.json --objects objects.json --log run.log
python -m soarm.runtime drive BUNDLE --port PORT --calibration arm.json --cube 0.0 -0.2 15 --bin 0.15 -0.15 --dry-run
python -m soarm.runtime show-log run.log
python -m soarm.runtime replay-log run.log --calibration arm.json
"""

from __future__ import annotations

from soarm import entry

if __name__ == "__main__":  # before the other imports: Ctrl-C while they load ends as it does later
    entry.start("soarm.runtime.__main__")

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from soarm import arm
from soarm.errors import ObservationError, SoarmError
from soarm.hardware.calibration import Calibration
from soarm.hardware.config import DEFAULT, ArmConfig
from soarm.runtime import gate, log, replay
from soarm.runtime.bundle import RESIDUAL, Bundle, spec_json
from soarm.runtime.carried import CarriedObjects, followed
from soarm.runtime.drive import DriveConfig, run
from soarm.runtime.latency import measure
from soarm.runtime.objects import FileObjects, measured, on_the_table
from soarm.runtime.sensors import Sensor
from soarm.spec import ENVIRONMENT_STATE
from soarm.tasks.registry import TASKS
from soarm.tasks.task import Task

logger = logging.getLogger("soarm.runtime")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status: 0 where all is well, 1 where something is not."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    try:
        status: int = options.do(options)
    except SoarmError as error:
        logger.error("%s", error)
        return 1
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m soarm.runtime", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    check = commands.add_parser("check", help="verify a bundle, show its specification and time it on this machine")
    check.add_argument("bundle", type=Path, help="folder that the export stage wrote")
    check.add_argument("--calls", type=entry.whole(1, 1_000_000), default=500, help="how many calls to time (%(default)s)")
    check.set_defaults(do=_check)
    _add_drive(commands.add_parser("drive", help="let a bundle drive an arm"))
    show = commands.add_parser("show-log", help="what happened in a run")
    show.add_argument("log", type=Path)
    show.set_defaults(do=_show)
    again = commands.add_parser("replay-log", help="put a log through the safety chain again, and compare to the bit")
    again.add_argument("log", type=Path)
    again.add_argument("--calibration", type=Path, help="of the arm it was written on, to compare ticks as well")
    again.set_defaults(do=_replay)
    return parser


def _add_drive(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("bundle", type=Path, help="folder that the export stage wrote")
    parser.add_argument("--port", required=True, help="serial port of the arm, or of `soarm twin`")
    parser.add_argument("--calibration", type=Path, required=True, help="of the arm")
    parser.add_argument("--settings", type=Path, help="JSON with gains, part, park; see soarm.hardware.config.ArmConfig")
    parser.add_argument(
        "--limits", type=Path, help="JSON with velocity, acceleration, lead, table_m; see soarm.runtime.limits"
    )
    parser.add_argument("--objects", type=Path, help="file that somebody keeps fresh; see soarm.runtime.objects")
    for name, numbers in _measured().items():
        words = f"in the place of --objects: where the {name} lies [m, m{', deg' * (len(numbers) - 2)}]"
        parser.add_argument(f"--{name}", type=float, nargs=len(numbers), metavar=numbers, help=words)
    parser.add_argument("--which", choices=["base", "residual"], help="the best there is by default")
    parser.add_argument("--seconds", type=entry.number(0.001, 86_400), default=10.0, help="how long at most (%(default)s)")
    parser.add_argument("--keep-going", action="store_true", help="do not end when the task is done")
    parser.add_argument("--bus-hz", type=entry.whole(1, 1000), help="commands per second; twice the policy's rate by default")
    parser.add_argument("--dry-run", action="store_true", help="read, think and log; send nothing")
    parser.add_argument("--allow", nargs="*", default=[], help=f"checks that may fail: {', '.join(gate.CHECKS)}")
    parser.add_argument("--log", type=Path, help="file for the log; must not exist")
    parser.add_argument("--no-deadman", action="store_true", help="no process that looks after the arm if this one dies")
    parser.add_argument("--no-park", action="store_true", help="let go where it is: it will fall")
    parser.set_defaults(do=_drive)


def _check(options: argparse.Namespace) -> int:
    bundle = Bundle.open(options.bundle)
    logger.info("%s is whole: %s", options.bundle, ", ".join(sorted(bundle.checksums)))
    logger.info("%s", spec_json(bundle.spec).rstrip())
    if bundle.training_arm is not None:
        logger.info("trained on %s", bundle.training_arm)
    for name, latency in measure(bundle, options.calls).items():
        logger.info("%-8s median %.3f ms, 99 %% under %.3f ms (%d calls, one arm)", name, *latency, options.calls)
    return 0


def _drive(options: argparse.Namespace) -> int:
    bundle = Bundle.open(options.bundle)
    config = DEFAULT if options.settings is None else ArmConfig.load(options.settings)
    settings = DriveConfig(
        bundle,
        options.which or ("residual" if RESIDUAL in bundle.sessions else "base"),
        {ENVIRONMENT_STATE: _objects(options, bundle.task)},
        options.seconds,
        options.bus_hz,
        options.dry_run,
        options.allow,
        options.log,
        not options.no_deadman,
        not options.no_park,
        options.limits,
        keep_going=options.keep_going,
    )
    report = run(settings, options.port, Calibration.load(options.calibration), config)
    for line in report.lines():
        logger.info("%s", line)
    return 0 if report.ended_well else 1


def _objects(options: argparse.Namespace, task: Task) -> Sensor:
    """Return the sensor of the objects that the options describe.

    Raises:
        ObservationError: The options are not those that the task needs.
    """
    names = _measured()
    places = {name: getattr(options, name) for name in names if getattr(options, name) is not None}
    if options.objects is not None and not places:
        return FileObjects(task, options.objects)
    followed(task)
    if options.objects is None and places and set(places) == set(task.elements):
        return CarriedObjects(task, on_the_table(task, places))
    needed = " ".join(" ".join((f"--{name}", *names[name])) for name in task.elements)
    given = [f"--{name}" for name in ("objects", *names) if getattr(options, name) is not None]
    raise ObservationError(
        f"the task {task.name} needs to know where {task.subject} lie: say all of {needed}, or --objects FILE alone; given "
        f"was {', '.join(given) or 'neither'}"
    )


def _measured() -> dict[str, tuple[str, ...]]:
    """Return name of a thing, of all tasks -> the numbers that a person measures of it."""
    return {thing.name: measured(task, thing) for task in TASKS.values() for thing in task.things}


def _show(options: argparse.Namespace) -> int:
    read = log.read(options.log)
    records, header = read.records, read.header
    logger.info("%s: soarm %s, %s, %s", options.log, header.get("soarm"), header.get("started"), header.get("which"))
    for event in read.events:
        more = ", ".join(f"{name} {value}" for name, value in event.items() if name not in ("t_s", "text"))
        logger.info("%9.3f s  %s%s", event["t_s"], event["text"], f": {more}" if more else "")
    words = read.task.goal.words
    done = next((event["t_s"] for event in read.events if event["text"] == f"loop: {words}"), None)
    began = next((event["t_s"] for event in read.events if event["text"] == "loop: the run begins"), 0.0)
    if done is not None:
        logger.info("success: %s, %.1f s after the start", words, done - began)
    if len(read.moves):
        logger.info("%d steps of moves, the last at %.1f s", len(read.moves), read.moves["t_s"][-1])
    if not len(records):
        logger.info("no tick was logged")
        return 0
    late_ms, busy_ms = 1e3 * records["lateness_s"], 1e3 * records["busy_s"]
    logger.info("%d ticks in %.1f s, %d of them sent", len(records), records["t_s"][-1], int(records["sent"].sum()))
    for name, values in (("late", late_ms), ("busy", busy_ms)):
        logger.info("%-5s p50 %.2f ms, p99 %.2f ms, max %.2f ms", name, *np.percentile(values, [50, 99]), values.max())
    for i, joint in enumerate(arm.JOINT_NAMES):
        error = np.abs(records["q_sent"][:, i] - records["q_present"][:, i])
        logger.info(
            "%-14s lag mean %5.2f max %6.2f   clamped %5.1f %%   silent %d   %.1f to %.1f V   %d C   %.0f mA at most",
            joint,
            error.mean(),
            error.max(),
            100 * (records["reasons"][:, i] != 0).mean(),
            int((records["misses"][:, i] > 0).sum()),
            records["voltage_v"][:, i].min(),
            records["voltage_v"][:, i].max(),
            records["temperature_c"][:, i].max(),
            records["current_ma"][:, i].max(),
        )
    return 0


def _replay(options: argparse.Namespace) -> int:
    calibration = None if options.calibration is None else Calibration.load(options.calibration)
    found = replay.replay(log.read(options.log), calibration)
    if found.differing:
        logger.error("%d of %d ticks differ, the first is %d", len(found.differing), found.n_ticks, found.differing[0])
        return 1
    logger.info("%d ticks, each the same to the bit", found.n_ticks)
    return 0
