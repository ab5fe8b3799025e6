"""How far a residual must reach: data/train_act -> data/reach (the residual's bound, ceilings of bounds)."""

from __future__ import annotations

from soarm.base import load_base
from soarm.policies import ChunkedPolicy
from soarm.recording import Demonstrator, RecordParams
from soarm.report import gallery, tables
from soarm.residual import reach
from soarm.seeds import scene_seeds
from soarm.sim.batch_env import BatchSim
from soarm.sim.params import SimParams
from soarm.spec import require_fitting
from soarm.stage import command, open_stage


def main() -> None:
    """Run the stage."""
    with open_stage("reach") as run:
        params = run.params("reach", reach.ReachParams)
        sim, recorded = run.params("sim", SimParams), run.params("record", RecordParams)
        act = load_base(run.input("train_act"))
        require_fitting({"data/train_act": act.spec}, sim.spec)
        env = BatchSim(sim.told(act.spec.cameras), params.n_rows, params.n_threads)
        base = ChunkedPolicy(act, act.spec, params.n_rows)
        expert = Demonstrator(env, sim, recorded.expert.noiseless())
        seeds = scene_seeds("validation")[: params.n_scenes]

        def at(bound: reach.Bound, factor: float) -> reach.OracleResult:
            scenes = run.track(seeds, description=f"reaching {[round(one, 1) for one in bound]}")
            return reach.measure(env, base, expert, scenes, bound, factor)

        alone = reach.measure_base(env, base, run.track(seeds, description="ACT alone"))
        swept = reach.sweep(at, params)
        chosen = reach.at_factor(at, params, reach.fitted_factor([alone, *swept], params.target))
        bound = reach.with_margin(chosen, params.margin)
        reach.save_bound(bound, chosen, run.out)
        measured = sorted([alone, chosen, *(one for one in swept if one.factor != chosen.factor)], key=lambda one: one.factor)
        ceilings = tables.ceilings(measured, chosen.factor)
        joints = tables.joint_ceilings(reach.per_joint(at, chosen.bound, params.joint_factors))
        gallery.save_all(gallery.of_reach(ceilings, joints), run.out / "figures")
        for path in sorted((run.out / "figures").glob("*.png")):
            run.artifact(path)
        names = [f"q{100 * quantile:g}" for quantile in reach.QUANTILES]
        run.finish(
            {
                "n_scenes": params.n_scenes,
                "base": ceilings[0],
                "ceilings": ceilings[1:],
                "joints": joints,
                "factor": chosen.factor,
                "ceiling": chosen.success_rate,
                "reach": chosen.bound,
                "bound": bound,
                "wanted": dict(zip(names, chosen.wanted, strict=True)),
                "saturated": chosen.saturated,
            },
            headline={"success": chosen.success_rate, "base": alone.success_rate, "n": params.n_scenes},
        )


if __name__ == "__main__":
    command(main, __doc__)
