"""Commands for datasets and for the logs of runs."""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import Annotated, Literal

import typer

from soarm.cli.command import DATA, Json, app, command, loading, numbers, write_json

logger = logging.getLogger(__name__)
dataset = typer.Typer(no_args_is_help=True)
app.add_typer(
    dataset, name="dataset", rich_help_panel=DATA, help="Look at a LeRobot v3.0 dataset, verify it, or make another one of it."
)
Folder = Annotated[Path, typer.Argument(help="The dataset's folder, which holds `meta/`.")]
NewFolder = Annotated[Path, typer.Argument(help="A folder that is absent or empty.")]
LogFile = Annotated[Path, typer.Argument(help="The log that `soarm drive` wrote.")]


def _part(text: str) -> tuple[str, float | range]:
    """Read "train=0.8" as a share, "train=0:40" as episodes."""
    name, _, value = text.partition("=")
    try:
        if ":" in value:
            return name, range(*map(int, value.split(":", 1)))
        if name and 0 < float(value) <= 1:
            return name, float(value)
    except ValueError:
        pass
    raise typer.BadParameter(f"it is {text[:40]!r}; it must be NAME=SHARE or NAME=FIRST:END, as in train=0.8 or val=40:50")


@command(DATA, "soarm dataset info data/record", of=dataset)
def info(path: Folder, as_json: Json = False) -> int:
    """Show what a dataset holds, in which units, and what it can be used for."""
    with loading("twin"):
        from soarm.dataset import overview
    if as_json:
        write_json(overview.facts(path))
    else:
        for line in overview.page(path):
            logger.info("%s", line)
    return 0


@command(DATA, "soarm dataset verify datasets/mine --strict", of=dataset)
def verify(
    path: Folder,
    strict: Annotated[bool, typer.Option("--strict", help="Exit status 1 also for what only looks wrong.")] = False,
    as_json: Json = False,
) -> int:
    """List everything that is wrong with a dataset's files, or looks wrong in its motion."""
    with loading("twin"):
        from soarm.dataset import checks, overview, quality, reader, video_checks
    found = checks.examine(path)
    found.faults += video_checks.faults(found)
    suspicious = [] if found.faults else quality.findings(reader.from_contents(path, found))
    status = 1 if found.faults or (strict and suspicious) else 0
    if as_json:
        write_json({"faults": found.faults, "suspicious": suspicious})
        return status
    for fault in found.faults:
        logger.error("%s", fault)
    if found.faults:
        logger.error("%s: %s", path, overview.counted(len(found.faults), "fault"))
        return status
    logger.info("%s: nothing is wrong with its files, as far as they say", path)
    for line in suspicious:
        logger.warning("%s", line)
    logger.info("%s: %s wrong in its motion", path, overview.counted(len(suspicious), "thing looks", "things look"))
    return status


@command(DATA, "soarm dataset convert datasets/theirs datasets/in_degrees --calibration follower.json", of=dataset)
def convert(
    source: Annotated[Path, typer.Argument(help="A dataset in unknown units; it stays as it is.")],
    destination: NewFolder,
    calibration: Annotated[
        Path | None, typer.Option(help="Of the follower when it was recorded: joints are converted from -100..100.")
    ] = None,
    units: Annotated[Literal["degrees"] | None, typer.Option(help="Only says that it is in degrees.")] = None,
) -> int:
    """Write a copy in degrees that says so."""
    with loading("twin"):
        from soarm import ownership
        from soarm.dataset import conversion, overview
    if (calibration is None) == (units is None):
        raise typer.BadParameter("say either --calibration or --units")
    ownership.require_free(destination)
    made = conversion.convert(source, destination, calibration)
    logger.info("%s: %s in degrees; %s is as it was", made.path, overview.counted(made.n_episodes, "episode"), source)
    return 0


@command(DATA, "soarm dataset shrink datasets/theirs datasets/small --size 96x72", of=dataset)
def shrink(
    source: Annotated[Path, typer.Argument(help="A dataset with cameras; it stays as it is.")],
    destination: NewFolder,
    size: Annotated[str, typer.Option(metavar="WxH", help="Of the new pictures; even numbers.")],
) -> int:
    """Write a copy with smaller pictures, cropped and averaged as `soarm drive` does with a camera's."""
    with loading("twin"):
        from soarm import ownership
        from soarm.dataset import overview, shrinking
        from soarm.runtime.fitting import Fitting
    if (match := re.fullmatch(r"(\d{1,4})x(\d{1,4})", size)) is None:
        raise typer.BadParameter(f"--size is {size[:40]!r}; it must be WIDTHxHEIGHT in pixels, as in 96x72")
    ownership.require_free(destination)
    made = shrinking.shrink(source, destination, int(match[2]), int(match[1]), Fitting)
    logger.info(
        "%s: %s with pictures of %s; %s is as it was", made.path, overview.counted(made.n_episodes, "episode"), size, source
    )
    return 0


@command(DATA, "soarm dataset merge datasets/monday datasets/tuesday --into datasets/both", of=dataset)
def merge(
    sources: Annotated[list[Path], typer.Argument(help="Datasets of one robot, with the same features, units and rate.")],
    into: Annotated[Path, typer.Option(help="A folder that is absent or empty.")],
) -> int:
    """Write the episodes of several datasets into a new one; held-out episodes stay held out."""
    with loading("twin"):
        from soarm import ownership
        from soarm.dataset import edit, overview
    ownership.require_free(into)
    made = edit.merge(sources, into)
    of = overview.counted(len(sources), "dataset")
    logger.info("%s: %s of %s", made.path, overview.counted(made.n_episodes, "episode"), of)
    return 0


@command(DATA, "soarm dataset delete datasets/mine datasets/better --episodes 3,7-9", of=dataset)
def delete(
    source: Annotated[Path, typer.Argument(help="The dataset; it stays as it is.")],
    destination: NewFolder,
    episodes: Annotated[str, typer.Option(metavar="N,N-N", help="Which episodes to leave out, from 0: 3,7-9.")],
) -> int:
    """Write a copy without some episodes; those behind them move up."""
    with loading("twin"):
        from soarm import ownership
        from soarm.dataset import edit, overview
    ownership.require_free(destination)
    made = edit.delete_episodes(source, numbers(episodes), destination)
    logger.info("%s: %s; %s is as it was", made.path, overview.counted(made.n_episodes, "episode"), source)
    return 0


@command(DATA, "soarm dataset split datasets/mine datasets/parts --part train=0.8 --part val=0.2", of=dataset)
def split(
    source: Annotated[Path, typer.Argument(help="The dataset; it stays as it is.")],
    destination: NewFolder,
    part: Annotated[list[str], typer.Option(metavar="NAME=SHARE", help="A part: its share, or its episodes as FIRST:END.")],
) -> int:
    """Write consecutive episodes into datasets of their own, each in a folder of its name."""
    with loading("twin"):
        from soarm import ownership
        from soarm.dataset import edit, overview
    ownership.require_free(destination)
    parts = [_part(text) for text in part]
    if len(names := dict(parts)) < len(parts):
        raise typer.BadParameter(f"each part needs a name of its own; the names are {', '.join(name for name, _ in parts)}")
    for name, made in edit.split(source, destination, names).items():
        logger.info("%s: %s", destination / name, overview.counted(made.n_episodes, "episode"))
    return 0


@command(DATA, "soarm show-log run.log")
def show_log(log: LogFile, as_json: Json = False) -> int:
    """Show what happened in a run."""
    with loading():
        from soarm.runtime.log import read
        from soarm.runtime.log_summary import summarise
    summary = summarise(read(log))
    if as_json:
        write_json(summary)
        return 0
    for line in summary.lines():
        logger.info("%s", line)
    return 0


@command(DATA, "soarm replay-log run.log --calibration arm.json")
def replay_log(
    log: LogFile,
    calibration: Annotated[Path | None, typer.Option(help="Of the arm it was written on, to compare ticks as well.")] = None,
) -> int:
    """Put a log through the safety chain again, and compare it to the bit."""
    with loading():
        from soarm.hardware.calibration import Calibration
        from soarm.runtime.log import read
        from soarm.runtime.replay import replay
    found = replay(read(log), None if calibration is None else Calibration.load(calibration))
    if found.differing:
        logger.error("%d of %d ticks differ, the first is %d", len(found.differing), found.n_ticks, found.differing[0])
        return 1
    logger.info("%d ticks, each the same to the bit", found.n_ticks)
    return 0
