"""Train ACT on demonstrations: `dataset` of params.yaml -> data/train_act (config.json, model.safetensors)."""

from __future__ import annotations

from typing import Any

from soarm.act.params import TrainActParams
from soarm.act.training import train
from soarm.base import save_base
from soarm.dataset.reader import Dataset
from soarm.spec import require_fitting
from soarm.stage import command, open_stage


def main() -> None:
    """Run the stage."""
    with open_stage("train_act") as run:
        params = run.params("train_act", TrainActParams)
        dataset = Dataset.open(run.dataset(), run.dataset_units)
        require_fitting({str(dataset.path): dataset.spec}, run.task.spec(run.control_hz()))
        given: dict[str, Any] = {
            "seed": run.seed,
            "eye": run.input_if_any("train_eye"),
            "scratch": run.scratch,
            "log": run.log,
            "track": run.track,
        }
        result = train(dataset.with_cache(), params, **given, task=run.task.name)
        save_base(result.model, run.out)
        run.finish(result.metrics, headline={"l1_deg": result.metrics["val_l1_deg"]})


if __name__ == "__main__":
    command(main, __doc__)
