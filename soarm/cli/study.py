"""The command that runs the study, many runs at once: in processes of this machine, or on a Ray cluster."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from soarm.cli.command import CHAIN, RayAddress, Workers, command, loading, require_one_kind


@command(CHAIN, "soarm study residual no_penalty --workers 2")
def study(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            help="Groups, variants or single runs of `study/dvc.yaml`: ablation, ppo, no_penalty-0. All by default."
        ),
    ] = None,
    workers: Workers = None,
    ray: RayAddress = None,
) -> int:
    """Run the study: every variant and training seed that is not up to date, many at once.

    The chain's stages come first, where something has changed, and the table of all runs last. A run that was stopped or lost
    goes on from its checkpoint. Without --workers and --ray as many run at once as this machine has processors.
    """
    require_one_kind(workers, ray)
    with loading():
        from soarm.cluster.study import require_possible, run_study
        from soarm.reproduce import Changes, reproduce
    require_possible(Path.cwd(), names or [], ray)  # before a chain is trained for nothing
    status = reproduce(["reach"], Changes())
    if not status:
        status = run_study(Path.cwd(), names or [], workers or os.cpu_count() or 1, ray)
    return status or reproduce(["study/dvc.yaml:study_summary"], Changes(), alone=True)
