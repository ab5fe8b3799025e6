"""Whole runs of `soarm drive` on `soarm twin`, by the commands themselves: is the task done, when, and is the arm parked?

    python benchmarks/bench_drive.py data/export --scenes 26                       # held-out scenes, as the commands stand
    python benchmarks/bench_drive.py data/export --scenes 26 --servo-model position        # with the servos of the training
    python benchmarks/bench_drive.py data/export --scenes 60 --ruler               # things measured in the place of --objects

"parked" is what the driver says; "overloads" counts complaints of servos in the whole run, and those after its end.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from soarm.runtime import log
from soarm.runtime.bundle import Bundle
from soarm.seeds import scene_seeds
from soarm.tasks.task import Task


class Row(NamedTuple):
    """What came of a scene: whether it is solved as the simulator has it, the rest as log and exit status have it."""

    solved: bool
    said_s: float | None
    cause: str
    parked: bool
    overloads: int
    overloads_after: int
    status: int
    whole_s: float


def one(bundle: Path, task: Task, scene: int, options: argparse.Namespace, folder: Path) -> Row:
    """Run the commands on a scene."""
    port, objects, calibration = folder / f"arm{scene}", folder / f"objects{scene}.json", folder / "arm.json"
    twin = [sys.executable, "-u", "-m", "soarm", "twin", "--port", str(port), "--objects", str(objects)]
    twin += ["--servo-model", options.servo_model]
    twin += ["--calibration", str(calibration), "--scene", str(scene)]
    with subprocess.Popen(twin, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        while not objects.exists():
            assert process.poll() is None, "the twin could not be started"
            time.sleep(0.02)
        began_s = time.monotonic()
        drive = [sys.executable, "-m", "soarm", "drive", str(bundle), "--port", str(port), "--log", f"{port}.log"]
        drive += ["--calibration", str(calibration), *_where(task, objects, ruler=options.ruler), *options.rest]
        done = subprocess.run(drive, capture_output=True, text=True, check=False)
        whole_s = time.monotonic() - began_s
        process.terminate()
        said = process.stdout.read()
    if options.show:
        print(done.stdout)
    return _row(Path(f"{port}.log"), task, done, solved=task.goal.words in said, whole_s=whole_s)


def _where(task: Task, objects: Path, *, ruler: bool) -> list[str]:
    """Return the options that say where things are."""
    if not ruler:
        return ["--objects", str(objects)]
    seen, words = json.loads(objects.read_text())["objects"], []
    for name, at in task.elements.items():
        words += [f"--{name}", str(seen[at["x"]]), str(seen[at["y"]])]
        if "yaw4_cos" in at:
            words.append(str(math.degrees(math.atan2(seen[at["yaw4_sin"]], seen[at["yaw4_cos"]]) / 4)))
    return words


def _row(path: Path, task: Task, done: subprocess.CompletedProcess[str], *, solved: bool, whole_s: float) -> Row:
    """Read the log; a command that was refused has none."""
    if not path.exists():
        return Row(solved, None, done.stdout.strip().splitlines()[-1], False, 0, 0, done.returncode, whole_s)
    texts = [str(event["text"]) for event in log.read(path).events]
    times = {str(event["text"]): float(event["t_s"]) for event in log.read(path).events}
    end = next((i for i, text in enumerate(texts) if text.startswith("loop: the run ended")), len(texts))
    said_s = times.get(f"loop: {task.goal.words}")
    overload = ["OVERLOAD" in text.upper() for text in texts]
    return Row(
        solved,
        None if said_s is None else said_s - times["loop: the run begins"],
        texts[end].rpartition("ended: ")[2] if end < len(texts) else "no run",
        any(text.endswith("parked") for text in texts),
        sum(overload),
        sum(overload[end:]),
        done.returncode,
        whole_s,
    )


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--scenes", type=int, default=26)
    parser.add_argument("--servo-model", choices=["position", "sts3215"], default="sts3215")
    parser.add_argument("--ruler", action="store_true", help="measure the objects once, at the start")
    parser.add_argument("--show", action="store_true", help="what the commands say")
    parser.add_argument("rest", nargs="*", help="after --: further options of `soarm drive`")
    options = parser.parse_args()
    rows, task = [], Bundle.open(options.bundle).task
    with tempfile.TemporaryDirectory() as folder:
        print("scene  solved  said [s]  parked  overloads  after  status  whole [s]  cause")
        for scene in scene_seeds("validation")[: options.scenes]:
            row = one(options.bundle, task, scene, options, Path(folder))
            rows.append(row)
            said = "-" if row.said_s is None else f"{row.said_s:.2f}"
            print(
                f"{scene:5d}  {row.solved!s:6}  {said:>8}  {row.parked!s:6}  {row.overloads:9d}  {row.overloads_after:5d}  "
                f"{row.status:6d}  {row.whole_s:9.1f}  {row.cause}",
                flush=True,
            )
    times = [row.said_s for row in rows if row.said_s is not None]
    overloaded, after = (sum(getattr(row, name) > 0 for row in rows) for name in ("overloads", "overloads_after"))
    print(
        f"{sum(row.solved for row in rows)} of {len(rows)} solved, {len(times)} said so"
        f"{f' (median {statistics.median(times):.2f} s)' if times else ''}; {sum(row.parked for row in rows)} parked; "
        f"overloads in {overloaded} runs, after the end in {after}; load {os.getloadavg()[0]:.1f}"
    )


if __name__ == "__main__":
    main()
