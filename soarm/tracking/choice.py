"""Which experiment tracker a stage writes to. Another tracker is a file beside `mlflow_tracker` and two lines here."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping

from soarm.errors import StageError
from soarm.tracking.mlflow_tracker import open_mlflow
from soarm.tracking.tracker import Provenance, Tracker

TRACKERS: Mapping[str, Callable[[Provenance], Tracker]] = {
    "off": lambda provenance: Tracker(),
    "mlflow": open_mlflow,
}


def open_tracker(provenance: Provenance) -> Tracker:
    """Return the tracker that the environment variable `SOARM_TRACKING` names, MLflow by default.

    Raises:
        StageError: There is no such tracker.
    """
    name = os.environ.get("SOARM_TRACKING", "mlflow")
    if name not in TRACKERS:
        raise StageError(f"SOARM_TRACKING is {name!r}; it must be one of {', '.join(TRACKERS)}")
    return TRACKERS[name](provenance)
