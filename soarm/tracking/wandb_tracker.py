"""A stage's run in Weights & Biases or in Trackio, which have the same functions: `init`, `log`, `finish`.

Runs of one reproduction are a group. Nothing needs a network: Trackio keeps its runs in `runs/trackio` of the repository, and
W&B in `runs/wandb`, from where `wandb sync` uploads them; with `WANDB_MODE=online` it sends them at once.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from soarm.tracking.forgiving import Forgiving
from soarm.tracking.tracker import Provenance, Status, Tracker, flatten, reproduction, runs_folder

PROJECT = "soarm"


def open_wandb(provenance: Provenance) -> Tracker:
    """Open a run of W&B for a stage; where it is of no use, the tracker warns once and then does nothing."""

    def make() -> Tracker:
        import wandb

        folder = runs_folder(provenance)
        folder.mkdir(parents=True, exist_ok=True)
        os.environ.setdefault("WANDB_DIR", str(folder))
        os.environ.setdefault("WANDB_MODE", "offline")  # else it asks for a key, and a stage waits for nobody
        return WandbTracker(provenance, wandb, job_type=provenance.stage)

    return Forgiving(make, "Weights & Biases", _install("wandb"))


def open_trackio(provenance: Provenance) -> Tracker:
    """Open a run of Trackio for a stage; where it is of no use, the tracker warns once and then does nothing."""

    def make() -> Tracker:
        os.environ.setdefault("TRACKIO_DIR", str(runs_folder(provenance) / "trackio"))  # read when it is imported
        import trackio

        return WandbTracker(provenance, trackio, embed=False, auto_log_cpu=False, auto_log_gpu=False)

    return Forgiving(make, "Trackio", _install("trackio"))


class WandbTracker(Tracker):
    """A run that `init` of a module opens, with the first metrics: it takes all parameters at once.

    Args:
        provenance: What the run is identified by.
        module: wandb or trackio.
        options: Of its `init`.
    """

    def __init__(self, provenance: Provenance, module: Any, **options: Any) -> None:
        self._module, self._stage, self._step = module, provenance.stage, 0
        self._run: Any = None
        self._config: dict[str, Any] = {"profile": provenance.profile, "seed": provenance.seed, "git_rev": provenance.git_rev}
        name = f"{provenance.stage} {reproduction(provenance)}"
        self._options = {"project": PROJECT, "name": name, "group": reproduction(provenance), **options}

    def params(self, section: str, values: Mapping[str, Any]) -> None:
        """See `Tracker`."""
        self._config |= dict(flatten(values, section))

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """See `Tracker`."""
        if self._run is None:
            self._run = self._module.init(config=self._config, **self._options)
        self._step = max(self._step, step)  # W&B refuses a step that goes back
        self._run.log({f"{self._stage}/{key}": float(value) for key, value in metrics.items()}, step=self._step)

    def summary(self, metrics: Mapping[str, Any]) -> None:
        """See `Tracker`."""
        self.log(self._step, {f"final/{key}": value for key, value in flatten(metrics) if isinstance(value, int | float)})

    def close(self, status: Status) -> None:
        """See `Tracker`."""
        if self._run is not None and self._module.__name__ == "wandb":
            self._run.finish(exit_code=int(status != "FINISHED"))
        elif self._run is not None:
            self._run.finish()


def _install(package: str) -> str:
    return f"Install it (`pip install -c constraints.txt -e '.[{package}]'`), leave it out of `tracking` in params.yaml"
