"""Commands that find out what an arm is made of."""

from __future__ import annotations

import dataclasses
import logging
import os
from pathlib import Path
from typing import Annotated, Literal

import typer

from soarm.cli.command import DATA, DRIVE, Json, command, loading, number, write_json
from soarm.cli.robot import Port
from soarm.cli.sim import ParamsFile

logger = logging.getLogger(__name__)


@command(DRIVE, "soarm excite --port PORT --calibration arm.json swing.log")
def excite(
    port: Port,
    calibration: Annotated[Path, typer.Option(help="Of the arm.")],
    log: Annotated[Path, typer.Argument(help="File for the log; must not exist.")],
    settings: Annotated[Path | None, typer.Option(help="JSON with gains, part, park (`soarm.hardware.config`).")] = None,
    limits: Annotated[Path | None, typer.Option(help="JSON with limits of the safety chain (`soarm.runtime.limits`).")] = None,
    seconds: Annotated[float, number(10, 120, "How long [s].")] = 60.0,
    size: Annotated[float, number(0.2, 1, "Share of the full swing.")] = 1.0,
    no_deadman: Annotated[bool, typer.Option("--no-deadman", help="No process softens the arm if this one dies.")] = False,
) -> int:
    """Swing every joint in the air, slowly and fast, for a log from which `soarm identify` tells what the arm is made of.

    Clear the table first: the hand stays above it, and knows nothing that stands on it. The arm parks at the end, as after
    `soarm drive`.
    """
    with loading():
        from soarm.hardware.calibration import Calibration
        from soarm.hardware.config import DEFAULT, ArmConfig
        from soarm.runtime.excite import ExciteConfig
        from soarm.runtime.excite import excite as swing
    how = ExciteConfig(log, seconds, size=size, limits=limits, deadman=not no_deadman)
    report = swing(how, port, Calibration.load(calibration), DEFAULT if settings is None else ArmConfig.load(settings))
    for line in report.lines():
        logger.info("%s", line)
    return 0 if report.ended_well else 1


@command(DATA, "soarm identify swing.log --law sts3215 --output identified")
def identify(
    logs: Annotated[list[Path], typer.Argument(help="Logs of `soarm excite` or `soarm drive`, all of one arm.")],
    law: Annotated[
        Literal["position", "sts3215"] | None,
        typer.Option(help="How the simulator's servos make torque; as `sim.servos.law` of the params by default."),
    ] = None,
    output: Annotated[Path | None, typer.Option(help="Folder for settings, numbers and a figure.")] = None,
    params: ParamsFile = None,
    as_json: Json = False,
) -> int:
    """Fit the simulator's arm to logs: stiffness, damping and friction of each joint, inertia of the motors, delay.

    Prints the settings of `params.yaml` under which the simulator moves as the arm did, and how much of the gap that explains
    on parts of the logs that the fit did not see. What the logs do not determine stays as it is, and is named.
    """
    with loading("twin"):
        from soarm import params as params_file
        from soarm.identification import account, identified
        from soarm.identification.settings import settings, snippet
        from soarm.runtime.log import read
        from soarm.sim.params import SimParams
    if output is not None:
        with loading("pipeline"):  # before the fit, which takes minutes
            from soarm.identification.figure import write
    sim = params_file.load(params or params_file.here_or_packaged()).section("sim", SimParams)
    if law is not None:
        sim = dataclasses.replace(sim, servos=dataclasses.replace(sim.servos, law=law))
    if sim.servos.law == "either":
        raise typer.BadParameter("sim.servos.law of the params is either of two; say which one is fitted: --law sts3215")
    runs = [read(path) for path in logs]
    sim = identified.as_logged(sim, runs)
    result = identified.identify(runs, sim, n_threads=os.cpu_count() or 1, each=_say)
    found = settings(sim, result.fitted.physics)
    told = {**account.to_dict(result), "settings": found}
    if output is not None:
        write(result, told, snippet(found), output)
    if as_json:
        write_json(told)
        return 0
    for line in account.lines(result):
        logger.info("%s", line)
    logger.info("for a profile of params.yaml:\n%s", snippet(found))
    if output is not None:
        logger.info("wrote settings.yaml, identified.json and gap.svg into %s", output)
    return 0


def _say(n: int, gap: float) -> None:
    logger.info("step %d: the gap is %.3f deg", n, gap)
