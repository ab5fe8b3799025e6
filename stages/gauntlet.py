"""Base and residual under what a desk does, on the same scenes: data/train_act, data/train_residual -> data/gauntlet."""

from __future__ import annotations

import functools
import json
from pathlib import Path

from soarm import gauntlet
from soarm.base import load_base
from soarm.evaluation.evaluator import EvaluationParams, evaluate
from soarm.evaluation.results import Results
from soarm.evaluation.summary import summarise
from soarm.eye.world import environments
from soarm.gauntlet import UNPERTURBED, GauntletParams
from soarm.policies import ChunkedPolicy
from soarm.policy import BatchPolicy
from soarm.report import desk, gallery
from soarm.residual import actor as residual_actor
from soarm.residual.controller import residual_policy
from soarm.seeds import scene_seeds
from soarm.sim.params import SimParams
from soarm.spec import require_fitting
from soarm.stage import command, open_stage


def main(part: str | None = None) -> None:
    """Run the stage, or make one of its rows."""
    with open_stage("gauntlet", part=part) as run:
        params, how = run.params("gauntlet", GauntletParams), run.params("eval_base", EvaluationParams)
        sim = run.params("sim", SimParams)
        act = load_base(run.input("train_act"))
        actor, spec = residual_actor.load(run.input("train_residual"))
        require_fitting({"data/train_act": act.spec, "data/train_residual": spec}, sim.spec)
        policies: dict[str, BatchPolicy] = {
            "base": ChunkedPolicy(act, act.spec, how.n_rows),
            "residual": residual_policy(act, actor, spec, how.n_rows),
        }
        eye, seeds = run.input("train_eye"), scene_seeds("test")[: params.n_scenes]
        rows = gauntlet.rows_of(params, sim, run.without_profile("sim", SimParams))

        def evaluated(row: str, out: Path) -> None:
            for name, policy in policies.items():
                env = environments(rows[row].sim, eye)(how.n_rows, how.n_threads)
                scenes = seeds if part is None else run.track(seeds, description=f"{row}, {name}")
                evaluate(env, policy, scenes, knocked_away_m=how.knocked_away_m).save(out, name)

        def read(folder: Path) -> dict[str, Results]:
            return {name: Results.load(folder, name) for name in policies}

        wanted = run.track(run.parts.wanted(rows), description="the gauntlet")
        made = {row: run.parts.made(row, functools.partial(evaluated, row), read) for row in wanted}
        if part is not None:
            run.finish_part({name: summarise(results).success_rate for name, results in made[part].items()})
            return
        (folder := run.out / "rows").mkdir()
        for row, results in made.items():
            for name in policies:
                results[name].save(folder, f"{row}_{name}")
        crossed = {name: gauntlet.crossed({row: results[name] for row, results in made.items()}) for name in policies}
        table = desk.table({name: row.label for name, row in rows.items()}, crossed)
        (run.out / desk.TABLE).write_text(json.dumps(table, indent=2) + "\n", encoding="utf-8")
        gallery.save_all([desk.figure(table)], run.out / "figures")
        for path in sorted((run.out / "figures").glob("*.png")):
            run.artifact(path)
        worst = min(crossed["residual"], key=lambda name: crossed["residual"][name].summary.success_rate)
        rates = {policy: {name: one.summary.success_rate for name, one in rows.items()} for policy, rows in crossed.items()}
        by_row = {name: {policy: crossed[policy][name].to_dict() for policy in policies} for name in rows}
        headline = {"success": rates["residual"][UNPERTURBED], "worst": rates["residual"][worst]}
        headline |= {"base": rates["base"][UNPERTURBED], "n": params.n_scenes}
        run.finish({"n_scenes": params.n_scenes, "worst": worst, "rows": by_row}, headline)


if __name__ == "__main__":
    command(main, __doc__)
