"""Commands that run stages of the chain through DVC: what can be reproduced has one truth, `dvc repro`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from soarm.cli.command import CHAIN, command, loading, whole

Sets = Annotated[
    list[str] | None,
    typer.Option("--set", "-S", metavar="NAME=VALUE", help="Change a parameter of params.yaml: base.record.n_episodes=50."),
]
Profile = Annotated[str | None, typer.Option(help="Profile of params.yaml, `ci` for a quick try.")]
TaskName = Annotated[str | None, typer.Option("--task", help="Which task: a key of `tasks` in params.yaml.")]
Seed = Annotated[int | None, whole(0, 2**31 - 1, "Seed of the run.")]
DatasetFolder = Annotated[
    Path | None, typer.Option("--dataset", help="Folder of the demonstrations to train on, in place of data/record.")
]
Temp = Annotated[
    bool,
    typer.Option(
        "--temp",
        help="Work in a copy of the repository; `dvc exp apply` brings the results. Without it, "
        "changed parameters are written into params.yaml and the results here are replaced.",
    ),
]
Force = Annotated[bool, typer.Option("--force", help="Run stages although nothing they depend on has changed.")]


def _add(name: str, stages: list[str], text: str, example: str) -> None:
    """Add a command that runs stages, and what they depend on where that has changed."""

    def body(
        sets: Sets = None,
        profile: Profile = None,
        task: TaskName = None,
        seed: Seed = None,
        dataset: DatasetFolder = None,
        temp: Temp = False,
        force: Force = False,
    ) -> int:
        with loading():
            from soarm.reproduce import Changes, reproduce
        return reproduce(stages, Changes(sets or [], profile, task, seed, dataset), temp=temp, force=force)

    body.__doc__ = text
    command(CHAIN, example, name=name)(body)


_add("repro", [], "Run the whole chain: every stage whose inputs have changed.", "soarm repro --profile ci")
_add("record", ["record"], "Record scripted demonstrations in the simulator.", "soarm record -S base.record.n_episodes=50")
_add("train", ["train_act"], "Train ACT on demonstrations.", "soarm train --dataset datasets/mine")
_add("reach", ["reach"], "Measure how far a residual must reach.", "soarm reach")
_add("rl-train", ["train_residual"], "Train the residual on the frozen ACT.", "soarm rl-train --seed 1")
_add("export", ["export"], "Export ACT and residual to an ONNX bundle, equal to torch.", "soarm export")
