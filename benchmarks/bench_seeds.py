"""The chain with other seeds: how much of its outcome is the seed's? One seed makes other demonstrations, ACT and residual.

    python benchmarks/bench_seeds.py                          # seeds 0 to 4, one after the other: 10 to 17 minutes each
    python benchmarks/bench_seeds.py --seeds 5 6 --jobs 2     # two at a time
    python benchmarks/bench_seeds.py --folder runs/seeds      # kept there; what is finished is not run again

Each seed runs the stages in a clone of HEAD without DVC and MLflow.
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
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from soarm.evaluation.statistics import wilson

ROOT = Path(__file__).parents[1]
STAGES = ("record", "train_act", "eval_base", "reach", "train_residual", "compare")


def one(seed: int, folder: Path, profile: str) -> dict[str, Any]:
    """Run the stages that are not finished, and return the metrics of each."""
    clone = folder / f"seed-{seed}"
    if not clone.exists():
        subprocess.run(["git", "clone", "-q", str(ROOT), str(clone)], check=True)
        params = clone / "params.yaml"
        text = re.sub(r"(?m)^seed: .*$", f"seed: {seed}", params.read_text(encoding="utf-8"))
        params.write_text(re.sub(r"(?m)^profile: .*$", f"profile: {profile}", text), encoding="utf-8")
        subprocess.run(["git", "rm", "-rq", "--cached", "data"], cwd=clone, check=True)
        for path in (clone / "data").rglob("*.json"):
            path.unlink()  # another seed's
    environment = {**os.environ, "PYTHONPATH": str(clone), "SOARM_TRACKING": "off"}
    for stage in STAGES:
        if not (clone / "data" / "metrics" / f"{stage}.json").exists():
            print(f"seed {seed}: {stage}", flush=True)
            with (clone / f"{stage}.log").open("w", encoding="utf-8") as log:
                command = [sys.executable, "-m", f"stages.{stage}"]
                subprocess.run(command, cwd=clone, env=environment, stdout=log, stderr=log, check=True)
    return {name: json.loads((clone / "data" / "metrics" / f"{name}.json").read_text(encoding="utf-8")) for name in STAGES}


def main() -> None:
    """Run the seeds and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--jobs", type=int, default=1, help="seeds at a time")
    parser.add_argument("--folder", type=Path, help="where the clones stay")
    parser.add_argument("--profile", default="default")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary, ThreadPoolExecutor(options.jobs) as pool:
        folder = (options.folder or Path(temporary)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        found = list(pool.map(lambda seed: one(seed, folder, options.profile), options.seeds))
    print("seed  ACT      residual (95 %)            gained  lost  reach's factor")
    rates = []
    for seed, metrics in zip(options.seeds, found, strict=True):
        compared, reach = metrics["compare"], metrics["reach"]
        n, rate = compared["n_scenes"], compared["residual"]["success_rate"]
        low, high = wilson(round(n * rate), n)
        rates.append(rate)
        print(
            f"{seed:4d}  {compared['base']['success_rate']:6.1%}  {rate:6.1%} ({low:.1%} to {high:.1%})  "
            f"{compared['gains']:6d}  {compared['regressions']:4d}  {reach['factor']:.2f}"
        )
    print(f"of {len(rates)} seeds: lowest {min(rates):.1%}, median {statistics.median(rates):.1%}, highest {max(rates):.1%}")


if __name__ == "__main__":
    main()
