"""The command that evaluates a bundle on an arm: blind, paired, resumable."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from soarm.cli.command import DRIVE, command, loading, number, whole
from soarm.errors import MissingPackageError
from soarm.signals import raised_once

if TYPE_CHECKING:
    from soarm.hardware.config import ArmConfig
    from soarm.proof.folder import ProofFolder
    from soarm.proof.trial import Setup
    from soarm.runtime.bundle import Bundle

logger = logging.getLogger(__name__)
_INTERRUPTED = 130


@command(DRIVE, "soarm prove data/export --folder proof --port PORT --calibration arm.json")
def prove(
    bundle: Annotated[Path | None, typer.Argument(help="Folder that `soarm export` wrote; left out with --report.")] = None,
    folder: Annotated[Path, typer.Option(help="Of the evaluation: begun where it does not exist, else continued.")] = Path(
        "proof"
    ),
    port: Annotated[str | None, typer.Option(help="Serial port of the arm; without it and --twin nothing moves.")] = None,
    calibration: Annotated[Path | None, typer.Option(help="Of the arm.")] = None,
    spots: Annotated[int | None, whole(2, 100, "Places to draw, 20 by default; each is tried by both policies.")] = None,
    seed: Annotated[int | None, whole(0, 999, "What places and order are drawn from; 0 by default.")] = None,
    seconds: Annotated[float | None, number(0.1, 3600, "How long a trial lasts at most [s]; 10 by default.")] = None,
    paper: Annotated[
        Literal["a4", "a3", "letter"] | None, typer.Option(help="What the sheet is printed on; A4 by default.")
    ] = None,
    settings: Annotated[Path | None, typer.Option(help="JSON with gains, part, park (`soarm.hardware.config`).")] = None,
    limits: Annotated[Path | None, typer.Option(help="JSON with limits of the safety chain (`soarm.runtime.limits`).")] = None,
    objects: Annotated[
        Path | None,
        typer.Option(help="File that a tracker keeps fresh; without it things lie on their spots until the hand takes them."),
    ] = None,
    camera: Annotated[
        list[str] | None, typer.Option(metavar="NAME=DEVICE", help="A camera of the policy, as for `soarm drive`.")
    ] = None,
    allow: Annotated[
        list[str] | None, typer.Option(metavar="features|rate|gains|torque", help="A check that may fail.")
    ] = None,
    no_deadman: Annotated[bool, typer.Option("--no-deadman", help="No process softens the arm if this one dies.")] = False,
    twin: Annotated[
        bool, typer.Option("--twin", help="In the place of --port: the simulated arm in lockstep, which judges for itself.")
    ] = False,
    servo_model: Annotated[
        Literal["position", "sts3215"], typer.Option(help="How the twin's servos make torque.")
    ] = "sts3215",
    tracked: Annotated[
        bool, typer.Option("--tracked", help="The twin tells where things are at every step, as a tracker would.")
    ] = False,
    off_mm: Annotated[float, number(0, 50, "How far off the twin's hand puts the thing, standard deviation [mm].")] = 2.0,
    params: Annotated[
        Path | None, typer.Option(help="Says where things may lie; `params.yaml` here, or else the package's.")
    ] = None,
    report: Annotated[Path | None, typer.Option(help="Folder of an evaluation whose report is to be made.")] = None,
    unblind: Annotated[bool, typer.Option("--unblind", help="With --report: look before the end, which is recorded.")] = False,
) -> int:
    """Measure the success of a bundle's two policies on an arm: blind and paired, with places that are drawn and printed.

    Without --port it draws the places and writes the sheet to print. Then each trial asks for the things to be put on a
    numbered spot, runs one of the two policies, unnamed, and takes success, failure or discard by one key. It may be ended and
    continued at any time, and ends with the report of `soarm rl-eval`.
    """
    if report is not None:
        if bundle is not None or port is not None or twin:
            raise typer.BadParameter("--report FOLDER makes a report and runs nothing; leave BUNDLE, --port and --twin out")
        return _reported(report, unblind=unblind)
    if bundle is None:
        raise typer.BadParameter("BUNDLE is missing: a folder that `soarm export` wrote; or give --report FOLDER")
    if unblind:
        raise typer.BadParameter("--unblind goes with --report")
    if port is not None and (twin or calibration is None):
        raise typer.BadParameter("--port needs --calibration, and no --twin")
    with loading():
        from soarm.hardware.config import DEFAULT, ArmConfig
        from soarm.proof import start, tally
        from soarm.runtime.bundle import Bundle
    opened = Bundle.open(bundle)
    begun = start.begin(folder, opened, spots=spots, seed=seed, seconds=seconds, params=params, paper=paper)
    n_done, n = begun.n_done, len(begun.plan.trials)
    logger.info("%s: %d spots, seed %d; %d of %d trials are done", folder, n // 2, begun.plan.seed, n_done, n)
    logger.info("%s", tally.can_show(n // 2))
    config = DEFAULT if settings is None else ArmConfig.load(settings)
    if twin:
        twin_settings = {"settings": start.content_of(settings)}
        done = _rehearse(begun, opened, config, params, servo_model, twin_settings, tracked=tracked, off_mm=off_mm)
        return _ended(begun, folder) if done else _INTERRUPTED
    if port is None or calibration is None:
        logger.info(
            "print %s at 100 %% and lay it under the arm; then go on with --port and --calibration", folder / "sheet.html"
        )
        return 0
    with loading():
        from soarm.hardware.calibration import Calibration
        from soarm.proof import person, trial
    person.require_terminal()  # before the first session fixes its conditions
    mounted = Calibration.load(calibration)
    begun.require_conditions(start.conditions_on(opened, mounted, objects, settings, limits))
    sensed, seconds_each = start.senses_on(opened, objects, camera or []), begun.plan.seconds
    setup = trial.Setup(opened, port, mounted, config, sensed, seconds_each, limits, allow or (), deadman=not no_deadman)
    if not _attended(begun, setup):
        logger.info("all that was judged is saved; the same command goes on")
        return 0
    return _ended(begun, folder)


def _attended(begun: ProofFolder, setup: Setup) -> bool:
    """Run the trials on an arm, with a person at the terminal; return whether all are done."""
    with loading():
        from soarm.proof import person, session, trial
    logger.info(
        "Ctrl-C ends a run: the arm holds, parks and is released; at a question it ends the session, and nothing is lost"
    )

    def say(text: str) -> None:
        logger.info("%s", text)

    with _quiet(), raised_once():
        return session.run(begun, person.AtTerminal(setup.bundle.task, say), trial.runner(setup), say)


def _rehearse(
    begun: ProofFolder,
    bundle: Bundle,
    config: ArmConfig,
    params: Path | None,
    servo_model: Literal["position", "sts3215"],
    conditions: dict[str, str],
    *,
    tracked: bool,
    off_mm: float,
) -> bool:
    """Run the trials on the twin; return whether all are done."""
    with loading("twin"):
        from soarm.proof import rehearsal, session, trial
    sim, knocked_away_m = rehearsal.world(bundle, params)
    seen = "told at every step" if tracked else "on their spots"
    conditions |= {"arm": f"twin, {servo_model}", "objects": seen, "hand": f"off by {off_mm:g} mm"}
    begun.require_conditions(conditions)
    hand = rehearsal.Hand(off_mm / 1000, rehearsal.OFF_DEG if off_mm else 0.0)
    with (
        _quiet(),
        rehearsal.opened(bundle, sim, begun.plan.seconds, servo_model, config, tracked=tracked) as (simulated, setup),
    ):
        someone = rehearsal.Simulated(simulated, begun.plan.seed, hand, knocked_away_m)
        return session.run(begun, someone, trial.runner(setup), lambda text: logger.info("%s", text))


def _ended(begun: ProofFolder, folder: Path) -> int:
    """Say what came out, now that all trials are done, and make the report where its packages are."""
    with loading():
        from soarm.proof import tally
    for line in tally.lines(begun):
        logger.info("%s", line)
    try:
        return _reported(folder, unblind=False)
    except MissingPackageError as error:
        logger.info("the report: %s, or copy %s to where it is, and there `soarm prove --report %s`", error, folder, folder)
        return 0


def _reported(folder: Path, *, unblind: bool) -> int:
    with loading():
        from soarm.proof import report, start
        from soarm.proof.folder import ProofFolder
    begun = ProofFolder.open(folder)
    start.require_whole(begun, unblind=unblind)
    page, finding = report.write(begun)
    logger.info("%s", finding)
    logger.info("report: %s", page)
    return 0


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Let arm and runtime say what goes wrong, once, and nothing else: neither a number nor a word tells which policy acts."""
    said: set[str] = set()

    def is_new(record: logging.LogRecord) -> bool:
        text = record.getMessage()
        return text not in said and not said.add(text)  # type: ignore[func-returns-value]

    loggers = [logging.getLogger(name) for name in ("soarm.hardware", "soarm.runtime")]
    gate = logging.getLogger("soarm.runtime.drive")
    levels = [one.level for one in loggers]
    for one in loggers:
        one.setLevel(logging.WARNING)
    gate.addFilter(is_new)
    try:
        yield
    finally:
        gate.removeFilter(is_new)
        for one, level in zip(loggers, levels, strict=True):
            one.setLevel(level)
