"""One run of the study: a variant and a training seed -> data/study/<variant>-<seed> (curve, rows of base and policy)."""

from __future__ import annotations

import argparse
import functools

from soarm.act.params import TrainActParams
from soarm.base import load_base
from soarm.dataset.reader import Dataset
from soarm.recording import RecordParams
from soarm.residual.reach import load_bound
from soarm.residual.training import TrainResidualParams
from soarm.sim.batch_env import BatchSim
from soarm.sim.params import SimParams
from soarm.spec import require_fitting
from soarm.stage import open_stage
from soarm.study import run as study
from soarm.study.method import MethodInput
from soarm.study.methods import METHODS
from soarm.study.variants import StudyParams, params_of, rechunked, require_seed


def main() -> None:
    """Run the stage."""
    parser = argparse.ArgumentParser(prog="python -m stages.study", description=__doc__)
    parser.add_argument("variant", help="a line of study.variants in params.yaml")
    parser.add_argument("seed", type=int, help="training seed, 0..9")
    given = parser.parse_args()
    name, seed = given.variant, require_seed(given.seed)
    with open_stage("study", part=f"{name}-{seed}") as run:
        params = run.params(
            "study", StudyParams, depends_on=lambda params: (params.variant(name), params.budget(name), params.test)
        )
        variant = params.variant(name)
        method = study.find_method(variant, name, METHODS)
        sim, training = run.params("sim", SimParams), run.params("train_residual", TrainResidualParams)
        record, train_act = run.params("record", RecordParams), run.params("train_act", TrainActParams)
        folder, dataset, reach = run.input("train_act"), run.dataset(), run.input("reach")
        act, demonstrations = load_base(folder), Dataset.open(dataset, run.dataset_units)
        require_fitting({str(dataset): demonstrations.spec, "data/train_act": act.spec}, sim.spec)
        inputs = MethodInput(
            sim=sim,
            base=rechunked(act, variant, name),
            demonstrations=demonstrations,
            params=params_of(variant, name, training, params.budget(name)),
            bound=tuple(variant.bound_factor * bound for bound in load_bound(reach)),
            record=record,
            train_act=train_act,
            seed=seed,
            scratch=run.scratch,
            log=run.log,
            track=run.track,
            options=variant.options,
        )
        make_env = functools.partial(BatchSim, sim, n_threads=params.test.n_threads)
        made = study.run(method, inputs, make_env, params.test, run.track)
        made.save(run.out)
        run.finish({"variant": name, "label": variant.label, "training_seed": seed, **made.metrics})


if __name__ == "__main__":
    main()
