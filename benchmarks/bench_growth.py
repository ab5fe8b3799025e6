"""What growth costs: a dataset of more episodes, a store of more runs, a study on more workers.

    python benchmarks/bench_growth.py dataset --folder DIR      10 to 10,000 episodes on the disk of DIR: 5 minutes, 0.4 GB
    python benchmarks/bench_growth.py mlflow --folder DIR       stores of 10 and 1,000 runs: 12 minutes
    python benchmarks/bench_growth.py study CLONE               eight runs on 1, 2 and 4 workers: 8 minutes

`--json` names a file that the part lays its rows into; `docs/draw_growth.py` draws `docs/growth.json`. CLONE is a clone with
the profile `ci` committed and `dvc repro reach` done; what its `data/study` holds is deleted. What is measured runs in a
process of its own, so that its memory is its own.
"""

from __future__ import annotations

import argparse
import csv
import functools
import json
import logging
import math
import multiprocessing
import os
import resource
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from soarm import params, spec
from soarm.cli.data import info, verify
from soarm.cli.study import study as study_command
from soarm.cluster import attended, local, pipeline
from soarm.dataset.layout import ROBOT_TYPE
from soarm.dataset.reader import Dataset
from soarm.dataset.recorder import Recorder
from soarm.ownership import digest
from soarm.process import Process
from soarm.tasks.pick_place import TASK
from soarm.tracking import mlflow_parent
from soarm.tracking.mlflow_tracker import MlflowTracker
from soarm.tracking.standing import standing
from soarm.tracking.store import Store
from soarm.tracking.tracker import Provenance
from soarm.view.show import show_page

ROOT = Path(__file__).parents[1]
FEATURES = {spec.STATE: spec.JOINT_FEATURE, spec.ENVIRONMENT_STATE: TASK.objects, spec.ACTION: spec.JOINT_FEATURE}
FPS = 30
STAGES = ("record", "train_act", "eval_base", "reach", "train_residual", "gauntlet", "compare", "export", "deploy_check")
VARIANTS = ("residual", "no_penalty")
Row = dict[str, Any]


def main() -> None:
    """Measure a part and print its table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = parser.add_subparsers(dest="part", required=True)
    add = functools.partial(_part, parts)
    add("dataset", [10, 100, 1000, 10_000], "--frames", 96, "frames per episode")
    add("mlflow", [10, 1000], "--repeats", 5, "of what is asked, for the median")
    add("study", [1, 2, 4], "--seeds", 4, "runs of each of the variants: " + " ".join(VARIANTS)).add_argument(
        "clone", type=Path
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        measure = {"dataset": dataset, "mlflow": store, "study": study}[options.part]
        rows = measure(Path(folder).resolve(), options)
    _print(rows)
    if options.json is not None:
        kept = json.loads(options.json.read_text(encoding="utf-8")) if options.json.exists() else {}
        options.json.write_text(json.dumps(kept | {options.part: rows}, indent=2) + "\n", encoding="utf-8")


def _part(parts: Any, name: str, sizes: Sequence[int], option: str, default: int, told: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = parts.add_parser(name)
    parser.add_argument("--sizes", type=int, nargs="+", default=sizes)
    parser.add_argument(option, type=int, default=default, help=told)
    parser.add_argument("--folder", type=Path, help="where temporary files are written")
    parser.add_argument("--json", type=Path, help="file to lay the rows into")
    return parser


def _print(rows: Sequence[Row]) -> None:
    """Print a line per measured thing, a column per size."""
    for key in rows[0]:
        print(f"{key:24s}", *(f"{row[key]:12.4g}" if isinstance(row[key], float) else f"{row[key]:12d}" for row in rows))


def alone(function: Callable[..., Row], *arguments: Any) -> Row:
    """Call a function in a process of its own."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def timed(call: Callable[[], object]) -> float:
    """Return how long a call takes [s]."""
    begun = time.perf_counter()
    call()
    return time.perf_counter() - begun


def _memory_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


# A dataset of more episodes


def dataset(folder: Path, options: argparse.Namespace) -> list[Row]:
    """Record datasets and look at them."""
    return [_dataset(folder / str(n), n, options.frames) for n in options.sizes]


def _dataset(folder: Path, n_episodes: int, n_frames: int) -> Row:
    path = folder / "dataset"
    row = {"episodes": n_episodes, "frames": n_episodes * n_frames, **alone(_record, path, n_episodes, n_frames)}
    files = [file for file in path.rglob("*") if file.is_file()]
    row |= {"files": len(files), "mb": sum(file.stat().st_size for file in files) / 1e6}
    for look in (_open, _verify, _info, _view):
        row |= alone(look, path)
    row["digest_s"] = timed(lambda: digest(path))
    for words in (["git", "init", "-q"], [sys.executable, "-m", "dvc", "init", "-q"]):
        subprocess.run(words, cwd=folder, check=True)
    row["dvc_add_s"] = timed(
        lambda: subprocess.run([sys.executable, "-m", "dvc", "add", "-q", "dataset"], cwd=folder, check=True)
    )
    shutil.rmtree(folder)
    return row


def _record(path: Path, n_episodes: int, n_frames: int) -> Row:
    """Record episodes of swinging joints, as noisy as an encoder is."""
    rng = np.random.default_rng(0)
    recorder = Recorder.create(path, FEATURES, FPS, ROBOT_TYPE, "Put the cube into the bin.")
    phase = np.arange(n_frames)[:, None] / FPS * np.linspace(1.0, 3.0, 19)
    cost_s = np.empty(n_episodes)
    for i in range(n_episodes):
        rows = 30.0 * np.sin(phase + rng.uniform(0.0, 2 * np.pi, 19)) + rng.normal(scale=0.05, size=(n_frames, 19))
        observed = {spec.STATE: rows[:, :6], spec.ENVIRONMENT_STATE: rows[:, 6:13]}
        cost_s[i] = timed(functools.partial(recorder.save_episode, observed, rows[:, 13:]))
    finalize_s = timed(recorder.finalize)
    return {
        "save_ms_first": float(np.median(cost_s[:10])) * 1e3,
        "save_ms_last": float(np.median(cost_s[-10:])) * 1e3,
        "save_s": float(cost_s.sum()),
        "finalize_s": finalize_s,
        "record_memory_mb": _memory_mb(),
    }


def _open(path: Path) -> Row:
    opened_s = [timed(lambda: Dataset.open(path)) for _ in range(3)]
    found = Dataset.open(path)
    derived_s = timed(lambda: (found.stats, found.hash))
    return {"open_s": statistics.median(opened_s), "stats_hash_s": derived_s, "open_memory_mb": _memory_mb()}


def _verify(path: Path) -> Row:
    logging.disable(logging.CRITICAL)  # it tells what looks wrong in this motion
    verified_s = [timed(lambda: verify(path)) for _ in range(3)]
    return {"verify_s": statistics.median(verified_s), "verify_memory_mb": _memory_mb()}


def _info(path: Path) -> Row:
    return {"info_s": statistics.median([timed(lambda: info(path)) for _ in range(3)])}


def _view(path: Path) -> Row:
    return {"view_s": timed(lambda: show_page(path, browser=False)), "view_memory_mb": _memory_mb()}


# A store of more runs


def store(folder: Path, options: argparse.Namespace) -> list[Row]:
    """Fill stores of MLflow with reproductions, and ask them."""
    return [_store(folder / str(n), n, options.repeats) for n in options.sizes]


def _store(folder: Path, n_runs: int, repeats: int) -> Row:
    (folder / "mlflow").mkdir(parents=True)
    row = {"runs": n_runs, **alone(_fill, folder, n_runs), **_served(folder, repeats)}
    more = [alone(_one_more, folder, n_runs + i) for i in range(repeats)]
    return row | {key: statistics.median(one[key] for one in more) for key in more[0]}


def _fill(folder: Path, n_runs: int) -> Row:
    """Log reproductions, ten runs each: nine stages with what this repository's own logged, and the run above them."""
    found = standing(ROOT, {"profile": "default", "task": "pick_place", "dataset": "data/record"}, ())
    setattr(mlflow_parent, "standing", lambda *_: found)  # noqa: B010 - the same every time
    filled_s = timed(lambda: [_log(folder, stage, i) for i in range(n_runs // 10) for stage in STAGES])
    return {"fill_s_per_run": filled_s / n_runs, "database_mb": _database(folder).stat().st_size / 1e6}


def _one_more(folder: Path, number: int) -> Row:
    """Log the training of another reproduction."""
    import_s = timed(lambda: __import__("mlflow"))
    return {"import_s": import_s, **_log(folder, "train_residual", number), "log_memory_mb": _memory_mb()}


def _log(folder: Path, stage: str, number: int) -> Row:
    sections = _sections()
    provenance = Provenance(stage, f"{number:040x}", "default", 0, f"{number:08x}", ROOT)
    made = Store(f"sqlite:///{_database(folder)}", (folder / "artifacts").as_uri())
    begun = time.perf_counter()
    tracker = MlflowTracker(provenance, made)
    opened = time.perf_counter()
    tracker.params("sim", sections["sim"])
    tracker.params(stage, sections.get(stage, {}))
    for step, metrics in _curves(stage):
        tracker.log(step, metrics)
    tracker.summary(json.loads((ROOT / "data" / "metrics" / f"{stage}.json").read_text(encoding="utf-8")))
    logged = time.perf_counter()
    tracker.close("FINISHED")
    return {"open_s": opened - begun, "log_s": logged - opened, "close_s": time.perf_counter() - logged}


@functools.cache
def _sections() -> Mapping[str, Mapping[str, Any]]:
    return params.load(ROOT / "params.yaml").sections


@functools.cache
def _curves(stage: str) -> Sequence[tuple[int, Mapping[str, float]]]:
    """Return what a stage logged over steps in this repository."""
    found: dict[int, dict[str, float]] = {}
    for path in sorted((ROOT / "data" / "live" / stage / "plots" / "metrics").glob("*.tsv")):
        with path.open(encoding="utf-8") as file:
            for line in csv.DictReader(file, delimiter="\t"):
                value = float(line[path.stem] or math.nan)
                found.setdefault(int(line["step"]), {})[path.stem] = value
    return sorted(found.items())


def _database(folder: Path) -> Path:
    return folder / "mlflow" / "mlflow.db"


def _served(folder: Path, repeats: int) -> Row:
    """Start `soarm ui` and ask what its pages ask: the reproductions, best first, and all runs."""
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        port = trial.getsockname()[1]
    environment = {**os.environ, "MLFLOW_TRACKING_URI": f"sqlite:///{_database(folder)}"}
    words = [sys.executable, "-m", "soarm", "ui", "--no-open", "--port", str(port)]
    begun = time.perf_counter()
    quiet = subprocess.DEVNULL
    server = subprocess.Popen(words, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=quiet, text=True)
    assert server.stdout is not None
    try:
        address = next(line for line in server.stdout if line.startswith("the reproductions"))
        row = {"ui_start_s": time.perf_counter() - begun}
        experiment = address.partition("experiments/")[2].partition("/")[0]
        best_first = {"order_by": ["metrics.`success_residual` DESC"], "filter": "tags.kind = 'reproduction'"}
        for name, asked in (("ui_list_s", {"max_results": 100, **best_first}), ("ui_all_s", {"max_results": 1000})):
            body = json.dumps({"experiment_ids": [experiment], **asked}).encode()
            request = urllib.request.Request(
                f"http://127.0.0.1:{port}/api/2.0/mlflow/runs/search", body, {"Content-Type": "application/json"}
            )
            row[name] = statistics.median(timed(lambda asks=request: _answer(asks)) for _ in range(repeats))  # type: ignore[misc]
        return row
    finally:
        server.terminate()
        server.wait()


def _answer(request: urllib.request.Request) -> None:
    with urllib.request.urlopen(request, timeout=60.0) as answer:
        assert json.load(answer)["runs"]


# A study on more workers


def study(_: Path, options: argparse.Namespace) -> list[Row]:
    """Run the same part of the study on more and more workers."""
    names = [f"{variant}-{seed}" for variant in VARIANTS for seed in range(options.seeds)]
    rows = [alone(_study, options.clone.resolve(), names, workers) for workers in options.sizes]
    again = alone(_enter_again, options.clone.resolve(), options.seeds)
    return [row | again for row in rows]


def _study(clone: Path, names: Sequence[str], workers: int) -> Row:
    """Run a part of the study that never ran, and tell where the time goes."""
    os.chdir(clone)
    os.environ["SOARM_TRACKING"] = "off"
    for done in (clone / "data" / "study", *clone.glob("data/.scratch/study.*"), *clone.glob("data/.written/study.*")):
        shutil.rmtree(done, ignore_errors=True) if done.is_dir() else done.unlink(missing_ok=True)
    subprocess.run(["git", "checkout", "-q", "HEAD", "--", "study/dvc.lock"], check=True)
    spent: dict[str, list[float]] = {}
    begun: dict[str, float] = {}

    def process(words: Sequence[str], folder: Path, log: Path, environment: Mapping[str, str]) -> Process:
        begun[log.stem] = time.time()
        return Process(words, folder, log, environment)

    setattr(local, "Process", process)  # noqa: B010
    for module, name in ((pipeline, "pending"), (pipeline, "enter"), (attended, "run_all")):
        setattr(module, name, _noting(spent.setdefault(name, []), getattr(module, name)))
    wall_s = timed(lambda: _succeed(study_command(list(names), workers, None)))
    ended = {name: (clone / "data" / "study" / name / "metrics.json").stat().st_mtime for name in names}
    (status_s,), (runs_s,) = spent["pending"], spent["run_all"]
    return {
        "workers": workers,
        "runs": len(names),
        "wall_s": wall_s,
        "status_s": status_s,
        "runs_s": runs_s,
        "run_s": statistics.median(ended[name] - begun[name] for name in names),
        "enter_s": sum(spent["enter"]),
        "enter_calls": len(spent["enter"]),
        "enter_last_s": spent["enter"][-1],
        "chain_and_table_s": wall_s - status_s - runs_s,
    }


def _enter_again(clone: Path, seeds: int) -> Row:
    """Enter results while nothing else runs: of one run, and of all."""
    targets = [f"{pipeline.FILE}:{name}{seed}" for name in ("residual@", "ablation@no_penalty-") for seed in range(seeds)]
    return {
        "enter_one_alone_s": timed(lambda: pipeline.enter(clone, targets[:1])),
        "enter_all_alone_s": timed(lambda: pipeline.enter(clone, targets)),
    }


def _noting(spent: list[float], call: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that notes how long each of its calls takes [s]."""

    @functools.wraps(call)
    def noted(*arguments: Any) -> Any:
        given: list[Any] = []
        spent.append(timed(lambda: given.append(call(*arguments))))
        return given[0]

    return noted


def _succeed(status: int) -> None:
    if status:
        raise SystemExit(f"the study ended with status {status}")


if __name__ == "__main__":
    main()
