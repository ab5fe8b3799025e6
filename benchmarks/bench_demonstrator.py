"""How many scenes the scripted demonstrator of each task solves, without its noise and with it.

    python benchmarks/bench_demonstrator.py [--task NAME ...] [--scenes 300] [--rows 50]

Scenes are the first of the test split, so that no number of theirs was tuned on; parameters are those of params.yaml.

    | task       | noise   | solved    | time to success [s], median and longest | failures |
"""

from __future__ import annotations

import argparse
from pathlib import Path
from statistics import median

from soarm import params
from soarm.evaluation.evaluator import evaluate
from soarm.evaluation.summary import summarise
from soarm.policy import VectorPolicy
from soarm.recording import RecordParams
from soarm.seeds import scene_seeds
from soarm.sim.batch_env import BatchSim
from soarm.sim.params import SimParams
from soarm.tasks.registry import TASKS


def main() -> None:
    """Print one line per task and kind of demonstrator."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", nargs="+", choices=TASKS, default=list(TASKS))
    parser.add_argument("--scenes", type=int, default=300, help="of the test split (%(default)s)")
    parser.add_argument("--rows", type=int, default=50, help="episodes at once (%(default)s)")
    options = parser.parse_args()
    for name in options.task:
        loaded = params.load(Path("params.yaml"), name)
        sim, habits = loaded.section("sim", SimParams), loaded.section("record", RecordParams).expert
        knocked_away_m = loaded.sections["eval_base"]["knocked_away_m"]
        for noise, expert in (("without", habits.noiseless()), ("with", habits)):
            policy = VectorPolicy([sim.sim_task.expert(expert, sim.control_hz) for _ in range(options.rows)])
            scenes = scene_seeds("test")[: options.scenes]
            results = evaluate(BatchSim(sim, options.rows, n_threads=2), policy, scenes, knocked_away_m=knocked_away_m)
            summary = summarise(results)
            solved = [row.time_to_success_s for row in results.rows if row.success]
            times = f"{median(solved):.1f}, {max(solved):.1f}" if solved else "none"
            failures = {failure: n for failure, n in summary.failures.items() if n}
            print(f"| {name} | {noise} | {len(solved)} of {options.scenes} | {times} | {failures or 'none'} |", flush=True)


if __name__ == "__main__":
    main()
