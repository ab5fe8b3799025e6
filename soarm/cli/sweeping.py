"""The search for parameters."""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import Annotated

import typer

from soarm.cli.command import CHAIN, Json, command, loading, whole, write_json

logger = logging.getLogger(__name__)


@command(CHAIN, "soarm sweep train_residual --search 'learner.actor_lr=1e-4..1e-3 log' --trials 20")
def sweep(
    stage: Annotated[
        str, typer.Argument(help="Which: `train_residual`, by success on validation scenes, or `train_act`, by L1.")
    ],
    search: Annotated[
        list[str],
        typer.Option(
            "--search",
            "-s",
            metavar="NAME=VALUES",
            help="A parameter and what it may be: `LOW..HIGH`, `LOW..HIGH log`, `A | B | C`, or one value for all trials.",
        ),
    ],
    trials: Annotated[int, whole(1, 100_000, "How many trials the sweep is to have, those of all processes together.")] = 20,
    name: Annotated[
        str | None, typer.Option(help="Of the sweep, and its folder in `runs/sweeps`; the stage's by default.")
    ] = None,
    storage: Annotated[
        str | None,
        typer.Option(help="A file, or the URL of a database that many machines reach; `runs/sweeps/NAME/journal.log`."),
    ] = None,
    show: Annotated[bool, typer.Option("--show", help="Start no trial: show those there are, of all processes.")] = False,
    as_json: Json = False,
) -> int:
    """Search for parameters of a training stage with Optuna, on validation scenes, and print how to reproduce the best.

    The first trial is `params.yaml` as it stands. Trials that fall behind are stopped early. Type the same command again to go
    on after a kill, or in another shell to run two trials at once.
    """
    name = name or stage
    if not re.fullmatch(r"[\w-][\w.-]*", name):
        raise typer.BadParameter(f"--name is {name[:40]!r}; it must be letters, digits and ._-, for it names a folder")
    with loading():
        from soarm.sweep import swept
    found = swept.find(stage)
    with loading("sweep"):
        from soarm.sweep import outcome
        from soarm.sweep.running import Sweep
    opened = Sweep.open(found, search, name, storage, Path.cwd(), begin=not show)
    status = 0 if show else opened.run(trials)
    if as_json:
        write_json(outcome.as_data(found, opened.basis, opened.store.study, opened.store.trials()))
    else:
        logger.info("%s", "\n".join(["", *opened.lines()]))
    return status
