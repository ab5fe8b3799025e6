"""How fast the dataset is: frames written per second, cost per episode as it grows, time to finalize, to open and to show.

python benchmarks/bench_dataset.py                  1,000 episodes of 145 frames, in a temporary folder
python benchmarks/bench_dataset.py --folder DIR     on the disk of DIR (a temporary folder may be in memory)
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from pathlib import Path

import numpy as np

from soarm import spec
from soarm.dataset.layout import ROBOT_TYPE
from soarm.dataset.reader import Dataset
from soarm.dataset.recorder import Recorder
from soarm.tasks.pick_place import TASK
from soarm.view.show import show_page

FEATURES = {
    spec.STATE: spec.JOINT_FEATURE,
    spec.ENVIRONMENT_STATE: TASK.objects,
    spec.ACTION: spec.JOINT_FEATURE,
}
FPS = 30


def main() -> None:
    """Record, finalize, open; print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--episodes", type=int, default=1000)
    parser.add_argument("--frames", type=int, default=145, help="frames per episode")
    parser.add_argument("--folder", type=Path, default=None, help="where the temporary dataset is written")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        _run(Path(folder) / "dataset", args.episodes, args.frames)


def _run(path: Path, n_episodes: int, n_frames: int) -> None:
    rng = np.random.default_rng(0)
    tape = rng.normal(scale=30.0, size=(n_frames + n_episodes, 19))
    recorder = Recorder.create(path, FEATURES, FPS, ROBOT_TYPE, "Put the cube into the bin.")
    cost_ms = np.empty(n_episodes)
    for i in range(n_episodes):
        rows = tape[i : i + n_frames]
        start = time.perf_counter()
        recorder.save_episode({spec.STATE: rows[:, :6], spec.ENVIRONMENT_STATE: rows[:, 6:13]}, rows[:, 13:])
        cost_ms[i] = (time.perf_counter() - start) * 1e3
    start = time.perf_counter()
    recorder.finalize()
    finalize_s = time.perf_counter() - start
    start = time.perf_counter()
    dataset = Dataset.open(path)
    open_s = time.perf_counter() - start
    start = time.perf_counter()
    _ = dataset.stats, dataset.hash
    derive_s = time.perf_counter() - start
    start = time.perf_counter()
    page = show_page(path, browser=False)
    page_s = time.perf_counter() - start

    saved_s = cost_ms.sum() / 1e3
    n_rows = dataset.n_frames
    print(f"{n_episodes} episodes of {n_frames} frames, {n_rows} frames, on {path.parent}")
    print(f"saving              {saved_s:8.2f} s   {n_rows / saved_s:10.0f} frames/s")
    print(f"finalizing          {finalize_s:8.2f} s   {finalize_s / n_episodes * 1e3:10.2f} ms per episode")
    print(f"both                {saved_s + finalize_s:8.2f} s   {n_rows / (saved_s + finalize_s):10.0f} frames/s")
    for last in (10, 100, 1000):
        if last <= n_episodes:
            window = cost_ms[max(0, last - 10) : last]
            span = f"episode {max(1, last - 9):4}..{last:4}"
            print(f"{span}   {np.median(window):8.2f} ms median of 10, {window.max():.2f} at most")
    print(f"opening, verified   {open_s:8.2f} s   {n_rows / open_s:10.0f} frames/s")
    print(f"statistics and hash {derive_s:8.2f} s")
    print(f"page of soarm view  {page_s:8.2f} s   {page.stat().st_size / 1e6:10.2f} MB")
    print(f"memory at most      {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3:8.0f} MB")


if __name__ == "__main__":
    main()
