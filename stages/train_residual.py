"""Train a residual on the frozen ACT: `dataset`, train_act, reach -> data/train_residual (actor, Stable-Baselines3 zip)."""

from __future__ import annotations

import functools

from soarm.base import load_base
from soarm.dataset.reader import Dataset
from soarm.eye.world import training_environments
from soarm.residual import actor
from soarm.residual.reach import load_bound
from soarm.residual.training import TrainResidualParams, train
from soarm.seeds import scene_seeds
from soarm.sim.params import SimParams
from soarm.spec import require_fitting
from soarm.stage import command, open_stage


def main() -> None:
    """Run the stage."""
    with open_stage("train_residual") as run:
        params = run.params("train_residual", TrainResidualParams)
        sim = run.params("sim", SimParams)
        demonstrations = Dataset.open(run.dataset(), run.dataset_units)
        act = load_base(run.input("train_act"))
        artefacts = {str(demonstrations.path): demonstrations.spec, "data/train_act": act.spec}
        require_fitting(artefacts, sim.spec)
        growing = sim.growing(scene_seeds("residual", run.seed), params.severity_growth)
        make_env = training_environments(growing, run.input("train_eye"), act.spec.cameras)
        result = train(
            functools.partial(make_env, n_threads=params.n_threads),
            act,
            demonstrations,
            params,
            bound=load_bound(run.input("reach")),
            seed=run.seed,
            scratch=run.scratch,
            log=run.log,
            track=run.track,
        )
        result.model.save(run.out / "residual.zip")
        actor.save(result.actor, result.spec, run.out)
        kept, base = result.metrics["validation_success"], result.metrics["validation_success_base"]
        run.finish(result.metrics, headline={"success": kept, "base": base, "n": result.metrics["n_validation_scenes"]})


if __name__ == "__main__":
    command(main, __doc__)
