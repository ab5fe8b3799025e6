"""How far a residual must reach: data/train_act -> data/reach (the residual's bound, ceilings of bounds)."""

from __future__ import annotations

import functools

from soarm.act import checkpoint
from soarm.policies import ChunkedPolicy
from soarm.policy import PerRow
from soarm.recording import RecordParams
from soarm.residual import reach
from soarm.seeds import scene_seeds
from soarm.sim.batch_env import BatchPickPlace
from soarm.sim.expert import Expert
from soarm.sim.params import SimParams
from soarm.stage import open_stage


def main() -> None:
    """Run the stage."""
    with open_stage("reach") as run:
        params = run.params("reach", reach.ReachParams)
        sim, recorded = run.params("sim", SimParams), run.params("record", RecordParams)
        act = checkpoint.load(run.input("train_act"))
        env = BatchPickPlace(sim, params.n_rows, params.n_threads)
        base = ChunkedPolicy(act, act.spec, params.n_rows)
        expert = PerRow([Expert(recorded.expert.noiseless(), sim.control_hz) for _ in range(params.n_rows)])
        at = functools.partial(reach.measure, env, base, expert, scene_seeds("validation")[: params.n_scenes])

        alone = at((0.0,) * len(params.shape), 0.0)
        ceilings = reach.sweep(at, params)
        chosen = reach.choose(ceilings, params.target)
        reach.save_bound(chosen, run.out)
        rates = {"n_scenes": params.n_scenes, "factor": chosen.factor, "bound": chosen.bound}
        run.finish({"base": alone, "ceilings": ceilings, **rates})


if __name__ == "__main__":
    main()
