"""A trial of a sweep, to the stage that runs as one: a folder of its own for what it reads and writes.

`soarm sweep` names the folder in the environment, as `dvc exp run` names its experiment.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

FOLDER = "SOARM_TRIAL"
"""Environment variable: the folder of the trial, absolute."""


class Trial(NamedTuple):
    """A trial of a sweep.

    Attributes:
        folder: Holds `params.yaml`, and `data` with what the stage writes. It is named after the trial's number and lies in a
            folder that is named after the sweep.
    """

    folder: Path

    @property
    def sweep(self) -> str:
        """Name of the sweep."""
        return self.folder.parent.name

    @property
    def name(self) -> str:
        """Name of the trial: "trial 3"."""
        return f"trial {self.folder.name}"


def running_trial() -> Trial | None:
    """Return the trial that this process runs; None where it runs none."""
    folder = os.environ.get(FOLDER)
    return Trial(Path(folder)) if folder else None
