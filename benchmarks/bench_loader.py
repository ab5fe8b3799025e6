"""How many samples a second come out of a dataset with cameras, here and, where it is installed, with LeRobot's loader?

    python benchmarks/bench_loader.py                          two cameras of 128 x 96, chunks of 50, one core
    python benchmarks/bench_loader.py --sizes 640x480 --chunk 100
    PYTHONPATH=. python benchmarks/bench_loader.py             in an environment with LeRobot (docs/dataset.md)

A sample is what ACT trains on: joints, a picture of each camera as float32 (3, H, W) in 0..1, and a chunk of actions with
its padding; rows are drawn at random, in batches of 8. Both loaders read the same files with one thread, and PyAV decodes in
both.
"""

# ruff: noqa: E402 - LeRobot reads its cache folder when it is imported, so that is set before

from __future__ import annotations

import argparse
import importlib
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

_SCRATCH = tempfile.mkdtemp(prefix="bench_loader_")
os.environ.update(OMP_NUM_THREADS="1", HF_HUB_OFFLINE="1", HF_HOME=_SCRATCH, HF_DATASETS_CACHE=f"{_SCRATCH}/datasets")

import numpy as np
from bench_record_cameras import LOOP, scenes

from soarm import spec
from soarm.dataset.pictures import Cached, fill
from soarm.dataset.reader import Dataset
from soarm.dataset.recorder import Recorder

BATCH = 8
FPS = 30
EPISODES, STEPS = 10, 150
CACHE_BYTES = 4 << 30
CAMERAS = tuple(f"{spec.IMAGES}.{name}" for name in ("front", "wrist"))


def main() -> None:
    """Make datasets and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", default=["128x96"])
    parser.add_argument("--chunk", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=10.0)
    args = parser.parse_args()
    print("| size | loader | samples/s of CPU time | samples/s |\n|---|---|---|---|")
    for size in args.sizes:
        width, height = map(int, size.split("x"))
        path = record(Path(_SCRATCH) / size, width, height)
        for name, make in (("soarm, decoding", decoding), ("soarm, cached", cached), ("LeRobot", lerobot)):
            samples = make(path, args.chunk)
            if samples is not None:
                by_cpu, by_clock = rate(samples, args.seconds)
                print(f"| 2 x {size} | {name} | {by_cpu:,.0f} | {by_clock:,.0f} |", flush=True)


def record(path: Path, width: int, height: int) -> Path:
    """Record episodes of two cameras."""
    pictures = {key: spec.Feature.image(height, width) for key in CAMERAS}
    features = {spec.STATE: spec.JOINT_FEATURE, **pictures, spec.ACTION: spec.JOINT_FEATURE}
    seen = {key: scenes(width, height, seed) for seed, key in enumerate(CAMERAS)}
    with Recorder.create(path, features, FPS, "so100_follower", "measure") as recorder:
        for episode in range(EPISODES):
            joints = np.random.default_rng(episode).normal(size=(STEPS, 12))
            for t in range(STEPS):
                recorder.add_pictures({key: shown[(t + 7 * episode) % LOOP] for key, shown in seen.items()})
            recorder.save_episode({spec.STATE: joints[:, :6]}, joints[:, 6:])
    return path


def rate(samples: Iterator[int], seconds: float) -> tuple[float, float]:
    """Return samples per second of CPU time, and per second."""
    next(samples)
    start_s, cpu_s, n = time.monotonic(), time.process_time(), 0
    while time.monotonic() - start_s < seconds:
        n += next(samples)
    return n / (time.process_time() - cpu_s), n / (time.monotonic() - start_s)


def decoding(path: Path, chunk: int) -> Iterator[int]:
    """Yield batches of ours in which every picture is decoded."""
    dataset = Dataset.open(path)
    return batches(dataset, {key: dataset.pictures[key].gather for key in CAMERAS}, chunk)


def cached(path: Path, chunk: int) -> Iterator[int]:
    """Yield batches of ours from a cache that holds all pictures."""
    dataset = Dataset.open(path)
    caches = {key: Cached(dataset.pictures[key], CACHE_BYTES) for key in CAMERAS}
    fill(list(caches.values()))
    return batches(dataset, {key: cache.gather for key, cache in caches.items()}, chunk)


def batches(dataset: Dataset, gather: dict[str, Callable[..., Any]], chunk: int) -> Iterator[int]:
    """Yield the size of each batch that was made."""
    rng, ends = np.random.default_rng(0), np.repeat(dataset.episode_starts[1:], np.diff(dataset.episode_starts))
    while True:
        rows = rng.integers(0, dataset.n_frames, BATCH)
        steps = rows[:, None] + np.arange(chunk)  # (B, chunk)
        batch = {key: dataset.columns[spec.ACTION][np.minimum(steps, ends[rows][:, None] - 1)] for key in (spec.ACTION,)}
        batch |= {spec.STATE: dataset.columns[spec.STATE][rows], "action_is_pad": steps >= ends[rows][:, None]}
        for key, get in gather.items():
            pictures = get(rows).astype(np.float32) / np.float32(255)  # (B, H, W, 3)
            batch[key] = np.ascontiguousarray(pictures.transpose(0, 3, 1, 2))
        yield len(batch[spec.STATE])


def lerobot(path: Path, chunk: int) -> Iterator[int] | None:
    """Yield batches of LeRobot's loader; None where LeRobot is not installed."""
    try:
        torch = importlib.import_module("torch")
        module = importlib.import_module("lerobot.datasets.lerobot_dataset")
    except ImportError:
        return None
    torch.set_num_threads(1)
    windows = {spec.ACTION: [i / FPS for i in range(chunk)]}
    dataset = module.LeRobotDataset("local/measured", root=path, delta_timestamps=windows, video_backend="pyav")
    loader = torch.utils.data.DataLoader(dataset, BATCH, shuffle=True, num_workers=0)

    def endless() -> Iterator[int]:
        while True:
            for batch in loader:
                yield len(batch[spec.STATE])

    return endless()


if __name__ == "__main__":
    main()
