"""The experiment in MLflow that all runs are in, and how its page looks when `soarm ui` opens it."""

from __future__ import annotations

import json
from typing import Any

EXPERIMENT = "soarm"
VIEW = "reproductions"
"""Name of the view: the key that MLflow's address takes as `viewStateShareKey`."""
_VIEW_TAG = f"mlflow.sharedViewState.{VIEW}"
_COLUMNS = [
    "metrics.`success_residual`",
    "metrics.`success_base`",
    "attributes.`Models`",
    *(f"metrics.`{name}`" for name in ("gains", "losses", "mcnemar_p", "wall_s")),
]
_WIDTHS = {
    "attributes.`Run Name`": 210,
    "metrics.`success_residual`": 135,
    "metrics.`success_base`": 115,
    "attributes.`Models`": 210,
}
_TAGS = {
    # What MLflow's button "Share" would keep: the best reproduction first, its stages below it on a click.
    _VIEW_TAG: json.dumps(
        {
            "searchFilter": "tags.kind = 'reproduction'",
            "orderByKey": "metrics.`success_residual`",
            "orderByAsc": False,
            "selectedColumns": _COLUMNS,
            "columnOrder": ["1", "attributes.`Run Name`", "runDateAndNestInfo", "duration", *_COLUMNS],
            "columnWidths": dict.fromkeys(_COLUMNS, 90) | _WIDTHS,
        }
    ),
    "mlflow.note.content": (
        "A run is a reproduction of the chain: `dvc repro` on one state of code and parameters, or one `dvc exp run`. "
        "**Best**: the first, by `success_residual`. **What changed**: its Parameters, unlike those of the profile `default`. "
        "**Its model**: the column Models. Its stages: its Child runs, or the filter `tags.kind = 'stage'`."
    ),
}


def open_experiment(client: Any, artifacts: str | None) -> str:
    """Return the id of the experiment, which is made if it is not there; several processes may do so at once.

    Args:
        client: MLflow's.
        artifacts: Where artifacts lie; None leaves it to the server.
    """
    from mlflow.exceptions import MlflowException

    found = client.get_experiment_by_name(EXPERIMENT)
    if found is None:
        try:
            return str(client.create_experiment(EXPERIMENT, artifact_location=artifacts, tags=_TAGS))
        except MlflowException:
            if (found := client.get_experiment_by_name(EXPERIMENT)) is None:  # no other process has made it meanwhile
                raise
    for key, value in _TAGS.items():
        if found.tags.get(key) != value:
            client.set_experiment_tag(found.experiment_id, key, value)
    return str(found.experiment_id)


def page(number: str | None) -> str:
    """Return the address of the experiment's runs within MLflow's pages; of all experiments where its id is not known."""
    return (
        "/#/experiments"
        if number is None
        else f"/#/experiments/{number}/runs?viewStateShareKey={VIEW}&workflowType=machine_learning"
    )
