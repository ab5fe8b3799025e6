"""Which experiment trackers a stage writes to. Another tracker is a file beside `mlflow_tracker` and two lines here."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from soarm.errors import StageError
from soarm.tracking.mlflow_tracker import open_mlflow
from soarm.tracking.tensorboard_tracker import open_tensorboard
from soarm.tracking.tracker import Provenance, Tracker
from soarm.tracking.wandb_tracker import open_trackio, open_wandb

TRACKERS: Mapping[str, Callable[[Provenance], Tracker]] = {
    "mlflow": open_mlflow,
    "tensorboard": open_tensorboard,
    "wandb": open_wandb,
    "trackio": open_trackio,
}


def open_tracker(provenance: Provenance, names: Sequence[str] = ("mlflow",)) -> Tracker:
    """Return one tracker for all of those named.

    Args:
        provenance: What the run is identified by.
        names: Of `TRACKERS`, as `tracking` in params.yaml lists them; the environment variable `SOARM_TRACKING`
            ("tensorboard,wandb", or "off") wins over them.

    Raises:
        StageError: There is no such tracker.
    """
    said = os.environ.get("SOARM_TRACKING")
    if said is not None:
        names = () if said == "off" else tuple(name.strip() for name in said.split(","))
    unknown = [name for name in names if name not in TRACKERS]
    if unknown:
        where = "`tracking` in params.yaml" if said is None else "SOARM_TRACKING"
        told = f"{where} names {', '.join(map(repr, unknown))}"
        raise StageError(f"{told}; there are {', '.join(TRACKERS)}, and `off` for none")
    return Several([TRACKERS[name](provenance) for name in dict.fromkeys(names)])


class Several(Tracker):
    """Trackers that are told the same; none is the tracker that writes nothing."""

    def __init__(self, trackers: Sequence[Tracker]) -> None:
        self.trackers = tuple(trackers)

    def _tell(self, action: str, *arguments: Any) -> None:
        for tracker in self.trackers:
            getattr(tracker, action)(*arguments)


for _action in vars(Tracker):
    if not _action.startswith("_"):
        setattr(Several, _action, functools.partialmethod(Several._tell, _action))
