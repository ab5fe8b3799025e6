"""Commands that run stages of the chain through DVC: what can be reproduced has one truth, `dvc repro`."""

from __future__ import annotations

import functools
import inspect
import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

import typer

from soarm.cli.command import (
    CHAIN,
    Json,
    RayAddress,
    Workers,
    command,
    loading,
    require_one_kind,
    whole,
    write_json,
)
from soarm.errors import StageError
from soarm.smallfile import DATASET_BYTES, read_json

if TYPE_CHECKING:
    from soarm.reproduce import Changes

logger = logging.getLogger(__name__)
REPORT = Path("data/compare/report.html")
Sets = Annotated[
    list[str] | None,
    typer.Option("--set", "-S", metavar="NAME=VALUE", help="Change a parameter of `params.yaml`: base.record.n_episodes=50."),
]
Profile = Annotated[str | None, typer.Option(help="Profile of `params.yaml`, `ci` for a quick try.")]
TaskName = Annotated[str | None, typer.Option("--task", help="Which task: a key of `tasks` in `params.yaml`.")]
Seed = Annotated[int | None, whole(0, 2**31 - 1, "Seed of the run.")]
DatasetFolder = Annotated[
    Path | None, typer.Option("--dataset", help="Folder of the demonstrations to train on, in place of `data/record`.")
]
Units = Annotated[
    Literal["degrees"] | None,
    typer.Option(help="Of the dataset's joints, where it does not say them: LeRobot's."),
]
Temp = Annotated[
    bool,
    typer.Option(
        "--temp",
        help="Work in a copy of the repository; `dvc exp apply` brings the results. Without it, changed parameters are "
        "written into `params.yaml` and the results here are replaced.",
    ),
]
Force = Annotated[bool, typer.Option("--force", help="Run stages although nothing they depend on has changed.")]


Lines = Callable[[dict[str, Any]], list[str]]


class Chosen(NamedTuple):
    """The options of a command that runs a stage, as typed."""

    sets: list[str] | None
    profile: str | None
    task: str | None
    seed: int | None
    dataset: Path | None
    units: Literal["degrees"] | None
    temp: bool
    force: bool
    as_json: bool
    workers: int | None = None
    ray: str | None = None


def run_stage(name: str, stage: str | None, chosen: Chosen, lines: Lines | None = None) -> int:
    """Run a stage, and those it depends on where something has changed, and return the exit status.

    Args:
        name: Of the command.
        stage: The stage; None for the whole chain.
        chosen: The options.
        lines: What is shown of the stage's metrics in the end.
    """
    if chosen.temp and chosen.as_json:
        raise typer.BadParameter(
            "--json shows the metrics in this folder, which --temp leaves alone; `dvc metrics diff HEAD EXPERIMENT` has "
            "those of an experiment"
        )
    with loading():
        from soarm.reproduce import Changes, experiments, reproduce, told
        from soarm.sections import require_sound
    changes = Changes(chosen.sets or (), chosen.profile, chosen.task, chosen.seed, chosen.dataset, chosen.units)
    stages = [] if stage is None else [stage]
    out, check = sys.stderr if chosen.as_json else None, functools.partial(require_sound, stages=stages)
    if stage is not None and (chosen.workers, chosen.ray) != (None, None):
        if status := _share(stage, changes, chosen, functools.partial(reproduce, out=out, check=check)):
            return status
        changes = Changes()  # they are in params.yaml now
    before = experiments() if chosen.temp else set()
    status = reproduce(stages, changes, temp=chosen.temp, force=chosen.force, out=out, check=check)
    if chosen.temp and not status:
        for experiment in sorted(experiments() - before):
            logger.info("%s", "\n".join(told(experiment, stage or "compare")))
    if status or chosen.temp or not (chosen.as_json or lines):
        return status
    metrics = Path("data", "metrics", f"{stage or 'compare'}.json")
    found = read_json(metrics, StageError, f"Make it with `soarm {name} --force`", most_bytes=DATASET_BYTES)
    if chosen.as_json:
        write_json(found)
    elif lines is not None:
        logger.info("%s", "\n".join(lines(found)))
    return status


def _share(stage: str, changes: Changes, chosen: Chosen, reproduce: Callable[..., int]) -> int:
    """Have an evaluation made by many, for its stage to put together; return the exit status."""
    if chosen.temp or chosen.force:
        raise typer.BadParameter("--workers and --ray make here what is not up to date: leave --temp and --force out")
    require_one_kind(chosen.workers, chosen.ray)
    with loading():
        from soarm.cluster.attended import require_there
        from soarm.spread import inputs_of, make_parts
    require_there(chosen.ray)
    status = reproduce(inputs_of(Path.cwd(), stage), changes)
    return status or make_parts(Path.cwd(), stage, chosen.workers or 1, chosen.ray)


def _add(
    name: str, stage: str | None, text: str, example: str, lines: Lines | None = None, *, is_shared: bool = False
) -> None:
    """Add a command that runs a stage; see `run_stage`.

    Args:
        name: Of the command.
        stage: The stage; None for the whole chain.
        text: Its help.
        example: The example in its help.
        lines: What is shown of the stage's metrics in the end.
        is_shared: Whether many processes or machines can share it (`soarm.spread.STAGES`).
    """

    def body(
        sets: Sets = None,
        profile: Profile = None,
        task: TaskName = None,
        seed: Seed = None,
        dataset: DatasetFolder = None,
        units: Units = None,
        temp: Temp = False,
        force: Force = False,
        as_json: Json = False,
        workers: Workers = None,
        ray: RayAddress = None,
    ) -> int:
        chosen = Chosen(sets, profile, task, seed, dataset, units, temp, force, as_json, workers, ray)
        return run_stage(name, stage, chosen, lines)

    if not is_shared:
        signature = inspect.signature(body, eval_str=True)
        own = [one for one in signature.parameters.values() if one.name not in ("workers", "ray")]
        body.__signature__ = signature.replace(parameters=own)  # type: ignore[attr-defined]
    body.__doc__ = text
    command(CHAIN, example, name=name)(body)


def _alone(found: dict[str, Any]) -> list[str]:
    """Return how one policy did, a line per measure."""
    low, high = found["success_ci95"]
    return [
        f"{found['n_scenes']} scenes",
        f"success       {100 * found['success_rate']:.1f} % (95 %: {100 * low:.1f} to {100 * high:.1f})",
        f"return        {found['return_mean']:.2f}",
    ]


def _compared(found: dict[str, Any]) -> list[str]:
    """Return a table of base against residual: a line per measure, with the interval of the difference."""
    lines = [f"{found['n_scenes']} scenes{'':<7}{'ACT':>8}{'ACT + residual':>18}   difference (95 %)"]
    measures = (("success [%]", "success_rate", "success_rate", 100), ("return", "return_mean", "return", 1))
    for name, key, difference, scale in (*measures, ("time to success [s]", "time_to_success_s", "time_to_success_s", 1)):
        alone, both = (found[policy][key] for policy in ("base", "residual"))
        change = found["differences"][difference]
        shown = ["-" if value is None else f"{scale * value:.2f}" for value in (alone, both)]
        low, high = (f"{scale * bound:+.2f}" if bound is not None else "-" for bound in change["ci95"] or (None, None))
        mean = "-" if change["mean"] is None else f"{scale * change['mean']:+.2f}"
        lines.append(f"{name:<20}{shown[0]:>7}{shown[1]:>18}   {mean} ({low} to {high})")
    gained = f"{found['gains']} scenes gained, {found['regressions']} lost; McNemar p = {found['mcnemar_p']:.2g}"
    return [*lines, gained, f"report: {REPORT}"]


def _crossed(found: dict[str, Any]) -> list[str]:
    """Return how many scenes base and residual solve in each row of the gauntlet."""
    width = max(map(len, found["rows"]))
    lines = [f"{found['n_scenes']} scenes{'':<{width - 8}}{'ACT':>8}{'ACT + residual':>18}   lost / gained"]
    for name, row in found["rows"].items():
        base, residual = row["base"], row["residual"]
        rates = f"{100 * base['success_rate']:>8.0f}{100 * residual['success_rate']:>18.0f}"
        lines.append(f"{name:<{width + 2}}{rates}   {residual['lost']} / {residual['gained']}")
    return lines


_add("repro", None, "Run the whole chain: every stage whose inputs have changed.", "soarm repro --profile ci")
_add("record", "record", "Record demonstrations in the simulator.", "soarm record -S base.record.n_episodes=50")
_add("train", "train_act", "Train ACT on demonstrations.", "soarm train --dataset datasets/mine")
_add("eval", "eval_base", "Evaluate ACT on held-out scenes.", "soarm eval --json", _alone, is_shared=True)
_add("reach", "reach", "Measure how far a residual must reach.", "soarm reach")
_add(
    "gauntlet",
    "gauntlet",
    "Run base and residual under what a desk does, on the same scenes.",
    "soarm gauntlet",
    _crossed,
    is_shared=True,
)
_add("rl-eval", "compare", "Compare ACT with ACT and residual on the same held-out scenes.", "soarm rl-eval", _compared)
_add("export", "export", "Export ACT and residual to an ONNX bundle, equal to torch.", "soarm export")


@command(CHAIN, "soarm report --open")
def report(
    show: Annotated[bool, typer.Option("--open", help="Open it in a browser.")] = False,
    as_json: Json = False,
) -> int:
    """Print where the report of the comparison is; with --open, open it in a browser."""
    if not REPORT.is_file():
        raise StageError(
            f"there is no report yet: no {REPORT} here. `soarm rl-eval` makes it, and so does `dvc repro`, the whole chain"
        )
    path = REPORT.resolve()
    if as_json:
        write_json({"report": str(path)})
    else:
        sys.stdout.write(f"{path}\n")
    if show:
        with loading():
            import webbrowser
        if not webbrowser.open(path.as_uri()):
            raise StageError(f"no browser can be opened here; open {path} in one, or copy it: it is one file")
    return 0
