"""The chain with other seeds and other tasks. A seed makes its own demonstrations, ACT and residual: how much is its doing?

    python benchmarks/bench_chain.py                              # seeds 0 to 4, one after the other: 10 to 20 minutes each
    python benchmarks/bench_chain.py --seeds 5 6 --jobs 2         # two at a time
    python benchmarks/bench_chain.py --tasks push stack --seeds 0 --deploy    # other tasks, through the emulated arm as well
    python benchmarks/bench_chain.py --folder runs/chains --keep docs/chains.json
    python benchmarks/bench_chain.py --profile desk --seeds 1 2 --jobs 2    # another profile

Each runs the stages in a clone of HEAD without DVC and MLflow. `--folder` is where the clones stay: what is finished there is
not run again. `--keep` is a file that the rows are laid into, one per task and seed; `docs/results.py` makes its table of it.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
STAGES = ("record", "train_eye", "train_act", "eval_base", "reach", "train_residual", "gauntlet", "compare")
DEPLOY = ("export", "deploy_check")


def clone_of(folder: Path, header: Mapping[str, Any]) -> Path:
    """Return a clone of HEAD with these values at the top of its params.yaml and no results; made where it does not exist."""
    clone = folder / f"{header['task']}-{header['seed']}"
    if not clone.exists():
        subprocess.run(["git", "clone", "-q", str(ROOT), str(clone)], check=True)
        params = clone / "params.yaml"
        text = params.read_text(encoding="utf-8")
        for key, value in header.items():
            text = re.sub(rf"(?m)^{key}: \S+", f"{key}: {value}", text)
        params.write_text(text, encoding="utf-8")
        subprocess.run(["git", "rm", "-rq", "--cached", "data"], cwd=clone, check=True)
        for path in (clone / "data").rglob("*.json"):
            path.unlink()  # another seed's
    return clone


def run(clone: Path, stages: tuple[str, ...]) -> dict[str, Any]:
    """Run the stages that are not finished, and return the metrics of each."""
    environment = {**os.environ, "PYTHONPATH": str(clone), "SOARM_TRACKING": "off"}
    metrics = clone / "data" / "metrics"
    for stage in stages:
        if not (metrics / f"{stage}.json").exists():
            print(f"{clone.name}: {stage}", flush=True)
            with (clone / f"{stage}.log").open("w", encoding="utf-8") as log:
                command = [sys.executable, "-m", f"stages.{stage}"]
                subprocess.run(command, cwd=clone, env=environment, stdout=log, stderr=log, check=True)
    return {name: json.loads((metrics / f"{name}.json").read_text(encoding="utf-8")) for name in stages}


def row_of(task: str, seed: int, found: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is kept of a chain's metrics."""
    compared = found["compare"]
    return {
        "task": task,
        "seed": seed,
        "git_rev": compared["git_rev"].removesuffix("-dirty"),  # task, seed and profile are set here, and nothing else
        **{key: compared[key] for key in ("profile", "n_scenes", "gains", "regressions", "mcnemar_p")},
        **{
            policy: {key: compared[policy][key] for key in ("success_rate", "success_ci95", "time_to_success_s", "failures")}
            for policy in ("base", "residual")
        },
        "expert_success_rate": found["record"]["expert_success_rate"],
        "reach_factor": found["reach"]["factor"],
        "wire_success_rate": found["deploy_check"]["wire"]["success_rate"] if "deploy_check" in found else None,
        "servo_success_rate": found["deploy_check"]["servo"]["success_rate"] if "deploy_check" in found else None,
        "wall_s": sum(one["wall_s"] for one in found.values()),
    }


def keep(path: Path, rows: list[dict[str, Any]]) -> None:
    """Lay rows into a file of them, in the place of those of the same task and seed."""
    there = json.loads(path.read_text(encoding="utf-8"))["chains"] if path.exists() else []
    merged = {(row["task"], row["seed"]): row for row in (*there, *rows)}
    text = json.dumps({"chains": [merged[key] for key in sorted(merged)]}, indent=2)
    path.write_text(text + "\n", encoding="utf-8")


def main() -> None:
    """Run the chains and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--tasks", nargs="+", default=["pick_place"])
    parser.add_argument("--deploy", action="store_true", help="export and drive the emulated arm as well")
    parser.add_argument("--jobs", type=int, default=1, help="chains at a time")
    parser.add_argument("--folder", type=Path, help="where the clones stay")
    parser.add_argument("--keep", type=Path, help="file to lay the rows into")
    parser.add_argument("--profile", default="default")
    options = parser.parse_args()
    stages, chains = STAGES + (DEPLOY if options.deploy else ()), list(product(options.tasks, options.seeds))
    with tempfile.TemporaryDirectory() as temporary, ThreadPoolExecutor(options.jobs) as pool:
        folder = (options.folder or Path(temporary)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        clones = [clone_of(folder, {"profile": options.profile, "task": task, "seed": seed}) for task, seed in chains]
        found = list(pool.map(lambda clone: run(clone, stages), clones))
    rows = [row_of(*chain, metrics) for chain, metrics in zip(chains, found, strict=True)]
    if options.keep is not None:
        keep(options.keep, rows)
    print("task        seed  ACT      residual (95 %)            gained  lost  reach's factor")
    for row in rows:
        rate, (low, high) = row["residual"]["success_rate"], row["residual"]["success_ci95"]
        print(
            f"{row['task']:10s}  {row['seed']:4d}  {row['base']['success_rate']:6.1%}  {rate:6.1%} ({low:.1%} to {high:.1%})  "
            f"{row['gains']:6d}  {row['regressions']:4d}  {row['reach_factor']:.2f}"
        )
    for (task, seed), metrics in zip(chains, found, strict=True):
        for policy in ("base", "residual"):
            rates = {name: line[policy]["success_rate"] for name, line in metrics["gauntlet"]["rows"].items()}
            print(
                f"{task}, seed {seed}, {policy}, gauntlet: " + ", ".join(f"{name} {rate:.0%}" for name, rate in rates.items())
            )
    for task in options.tasks:
        ends = [row["residual"]["success_rate"] for row in rows if row["task"] == task]
        middle = statistics.median(ends)
        print(f"{task}, {len(ends)} seeds: lowest {min(ends):.1%}, median {middle:.1%}, highest {max(ends):.1%}")


if __name__ == "__main__":
    main()
