"""Compare ACT with ACT + residual on the same scenes: data/train_act, data/train_residual -> data/compare (rows, report)."""

from __future__ import annotations

import datetime

import numpy as np

from soarm.base import load_base
from soarm.evaluation.evaluator import EvaluationParams, blocks_of, evaluate, provenance_of
from soarm.evaluation.paired import CompareParams, compare
from soarm.evaluation.results import Results, find
from soarm.evaluation.summary import summarise
from soarm.eye import trials
from soarm.eye.world import environments, eye_of
from soarm.policies import ChunkedPolicy
from soarm.policy import BatchPolicy
from soarm.report import clips, desk, gallery, tables
from soarm.report import comparison as report
from soarm.residual import actor as residual_actor
from soarm.residual.controller import residual_policy
from soarm.seeds import scene_seeds
from soarm.sim.params import SimParams
from soarm.spec import require_fitting
from soarm.stage import command, open_stage


def main() -> None:
    """Run the stage."""
    with open_stage("compare") as run:
        params = run.params("compare", CompareParams)
        how, sim = run.params("eval_base", EvaluationParams), run.params("sim", SimParams)
        act_folder, residual_folder = run.input("train_act"), run.input("train_residual")
        act = load_base(act_folder)
        actor, spec = residual_actor.load(residual_folder)
        require_fitting({"data/train_act": act.spec, "data/train_residual": spec}, sim.spec)
        eye = run.input("train_eye")
        make_env, world = environments(sim, eye), trials.world_of(sim, eye)
        seeds = scene_seeds("test")[: params.n_scenes]

        def rows(policy: BatchPolicy, name: str, provenance: dict[str, str]) -> Results:
            env, away_m = make_env(how.n_rows, how.n_threads), how.knocked_away_m
            blocks = [run.track(one, description=f"evaluating {name}") for one in blocks_of(seeds, how.blocks).values()]
            return Results.joined([evaluate(env, policy, one, knocked_away_m=away_m, provenance=provenance) for one in blocks])

        provenance = provenance_of(act_folder, world, how)
        base = find(run.input("eval_base"), provenance, seeds)
        source = "data/eval_base" if base is not None else "evaluated again"
        alone = ChunkedPolicy(act, act.spec, how.n_rows)
        if base is None:
            base = rows(alone, "ACT", provenance)
        corrected = residual_policy(act, actor, spec, how.n_rows)
        residual = rows(corrected, "ACT + residual", provenance_of(residual_folder, world, how))
        others = trials.without_the_eye(sim, eye, corrected, spec.cameras, seeds, params.n_leak_scenes, how, run.track)
        result = compare(base, residual, np.random.default_rng(run.seed), params.bootstrap_resamples)

        base.save(run.out, "base")
        residual.save(run.out, "residual")
        curves = {"train_act": run.curves("train_act"), "train_residual": run.curves("train_residual")}
        summaries = {"eye": result.residual, **{way: summarise(one) for way, one in others.items()}}
        results = [*gallery.of_comparison(base, residual, result), *gallery.of_trials(summaries)]
        training = gallery.of_training({name: tables.curves(path) for name, path in curves.items()})
        gallery.save_all([*results, *training], run.out / "figures")
        scenes = clips.choose(base, residual)
        shot = clips.shoot(scenes, sim, (alone, corrected), run.out / "clips", eye_of(sim, eye))
        films = [(run.out / "clips" / clip.file_name, clip) for clip in run.track(shot, len(scenes), description="filming")]
        origin = report.Origin(
            datetime.datetime.now(datetime.UTC).date(), run.git_rev, run.task.name, run.profile, run.seed, source
        )
        under_a_desk = desk.section(desk.load(run.input("gauntlet")))
        page = report.render(base, residual, result, results, training, films, origin, [under_a_desk])
        (run.out / "report.html").write_text(page, encoding="utf-8")
        for path in [run.out / "report.html", *sorted(run.out.glob("figures/*.png")), *sorted(run.out.glob("clips/*.mp4"))]:
            run.artifact(path)
        without = {"without_the_eye": trials.compared(residual, others)} if others else {}
        run.finish({**result.to_dict(), "base_rows": source, **without}, result.headline())


if __name__ == "__main__":
    command(main, __doc__)
