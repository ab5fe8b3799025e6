"""Evaluate ACT on held-out scenes: data/train_act -> data/eval_base (a row per episode, figures)."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from pathlib import Path

from soarm.base import load_base
from soarm.evaluation.evaluator import EvaluationParams, blocks_of, evaluate, provenance_of
from soarm.evaluation.results import Results
from soarm.evaluation.summary import summarise
from soarm.eye.trials import world_of
from soarm.eye.world import environments
from soarm.policies import ChunkedPolicy
from soarm.report import gallery
from soarm.seeds import scene_seeds
from soarm.sim.params import SimParams
from soarm.spec import require_fitting
from soarm.stage import command, open_stage


def main(part: str | None = None) -> None:
    """Run the stage, or make one of its blocks of scenes."""
    with open_stage("eval_base", part=part) as run:
        params = run.params("eval_base", EvaluationParams)
        sim = run.params("sim", SimParams)
        folder, eye = run.input("train_act"), run.input("train_eye")
        act = load_base(folder)
        require_fitting({"data/train_act": act.spec}, sim.spec)
        blocks = blocks_of(scene_seeds("test")[: params.n_scenes], params.blocks)

        def evaluated(seeds: Sequence[int], out: Path) -> None:
            evaluate(
                environments(sim, eye)(params.n_rows, params.n_threads),
                ChunkedPolicy(act, act.spec, params.n_rows),
                run.track(seeds, description="evaluating ACT"),
                knocked_away_m=params.knocked_away_m,
                provenance=provenance_of(folder, world_of(sim, eye), params),
            ).save(out)

        wanted, made = run.parts.wanted(blocks), run.parts.made
        results = Results.joined([made(one, functools.partial(evaluated, blocks[one]), Results.load) for one in wanted])
        summary = summarise(results)
        if part is not None:
            run.finish_part(dataclasses.asdict(summary))
            return
        results.save(run.out)
        gallery.save_all(gallery.of_policy(results, summary), run.out / "figures")
        for path in [run.out / "episodes.csv", *sorted((run.out / "figures").glob("*.png"))]:
            run.artifact(path)
        low, high = summary.success_ci95
        headline = {"success": summary.success_rate, "low": low, "high": high, "n": summary.n_scenes}
        run.finish(dataclasses.asdict(summary), headline)


if __name__ == "__main__":
    command(main, __doc__)
