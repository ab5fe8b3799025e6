"""Train ACT on the recorded demonstrations: data/record -> data/train_act (config.json, model.safetensors)."""

from __future__ import annotations

from soarm.act import checkpoint
from soarm.act.trainer import TrainActParams
from soarm.act.training import train
from soarm.dataset.reader import Dataset
from soarm.stage import open_stage


def main() -> None:
    """Run the stage."""
    with open_stage("train_act") as run:
        params = run.params("train_act", TrainActParams)
        dataset = Dataset.open(run.input("record"))
        result = train(dataset, params, seed=run.seed, scratch=run.scratch, log=run.log, track=run.track)
        checkpoint.save(result.model, run.out)
        run.finish(result.metrics)


if __name__ == "__main__":
    main()
