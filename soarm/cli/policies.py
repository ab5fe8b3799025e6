"""Commands for trained policies outside the chain: LeRobot's checkpoints in and out, a base alone as a bundle."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated, Literal

import typer

from soarm.cli.command import CHAIN, command, loading, whole
from soarm.errors import StageError

logger = logging.getLogger(__name__)
NewFolder = Annotated[Path, typer.Argument(help="A folder that is absent or empty.")]


@command(CHAIN, "soarm import-policy pretrained_model policies/theirs --dataset datasets/theirs")
def import_policy(
    source: Annotated[Path, typer.Argument(help="LeRobot's `pretrained_model`: config.json, model.safetensors, processors.")],
    destination: NewFolder,
    dataset: Annotated[Path | None, typer.Option(help="The dataset it was trained on: its rate, names and units.")] = None,
    units: Annotated[
        Literal["degrees"] | None, typer.Option(help="Says that it takes and gives the arm's six joints, in degrees.")
    ] = None,
    fps: Annotated[int | None, whole(1, 1000, "The rate it was trained at [Hz], where no dataset says it.")] = None,
    task: Annotated[str, typer.Option(help="Whose objects its environment state tells of.")] = "pick_place",
) -> int:
    """Make a base of an ACT that LeRobot trained: the same actions."""
    with loading():
        from soarm.base import save_base
        from soarm.dataset.reader import Dataset
        from soarm.lerobot.reading import joints_in_degrees, read_policy
    _require_empty(destination)
    described = None
    if dataset is not None:
        opened = Dataset.open(dataset, units)
        opened.require_units("--units degrees")
        described = opened.spec
    elif units is not None and fps is not None:
        described = joints_in_degrees(source, fps, task)
    elif units is not None or fps is not None:
        raise typer.BadParameter("say --units and --fps both, or name the --dataset")
    base = read_policy(source, described)
    save_base(base, destination)
    logger.info("%s: a base that observes %s at %d Hz", destination, " and ".join(base.inputs), base.spec.control_hz)
    return 0


@command(CHAIN, "soarm export-policy data/train_act policies/bundle")
def export_policy(
    checkpoint: Annotated[Path, typer.Argument(help="A base: `data/train_act`, or what `soarm import-policy` wrote.")],
    destination: NewFolder,
    form: Annotated[
        Literal["bundle", "lerobot"], typer.Option("--as", help="A bundle for `soarm drive`, or LeRobot's `pretrained_model`.")
    ] = "bundle",
) -> int:
    """Export a base without a residual: as an ONNX bundle, or as LeRobot's ACT."""
    with loading():
        from soarm.base import load_base
        from soarm.export.alone import export_alone
        from soarm.lerobot.writing import write_policy
    _require_empty(destination)
    base = load_base(checkpoint)
    destination.mkdir(parents=True, exist_ok=True)
    if form == "lerobot":
        write_policy(base, destination)
        logger.info("%s: LeRobot's ACT, in degrees at %d Hz", destination, base.spec.control_hz)
    else:
        found = export_alone(base, destination)
        logger.info("%s: a bundle, within %.1e deg of %s", destination, found.max_abs_deg, checkpoint)
    return 0


def _require_empty(folder: Path) -> None:
    """Refuse a folder that holds something.

    Raises:
        StageError: It does, or is a file.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise StageError(f"{folder} exists already; name a folder that is absent or empty. Nothing was changed")
