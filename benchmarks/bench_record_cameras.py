"""Does recording cameras at a control rate lose a picture, and what do the videos cost?

    python benchmarks/bench_record_cameras.py                          two cameras of 96 x 96 and of 640 x 480, 20 s each
    python benchmarks/bench_record_cameras.py --seconds 600 --sizes 640x480
    python benchmarks/bench_record_cameras.py --codec av1

Pictures come at 30 Hz on the clock, as in a session, and are encoded while they come; episodes of 20 s are saved in between.
Printed per size: steps, pictures lost (rows without their picture, after everything was read back), pictures that waited for
an encoder and for how long, the longest step, CPU time per step of both cameras together, size per picture, and PSNR.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from soarm import spec
from soarm.dataset.reader import Dataset
from soarm.dataset.recorder import Recorder
from soarm.dataset.video import USUAL, Encoding

HZ = 30
EPISODE_STEPS = 20 * HZ
LOOP = 64
"""Pictures that are shown over and over, forwards: drawing them must not be what is measured."""
MARKS = 16
"""Shades of the mark by which a picture is known again."""
CAMERAS = ("front", "wrist")
HEAD = "| size | steps | lost | waited | waited s | late steps | longest ms | CPU ms a step | kB a picture | PSNR dB |"


def main() -> None:
    """Record, read back and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--sizes", nargs="+", default=["96x96", "640x480"])
    parser.add_argument("--codec", choices=list(USUAL), default="h264")
    args = parser.parse_args()
    print(f"{HEAD}\n{'|---' * (HEAD.count('|') - 1)}|")
    for size in args.sizes:
        width, height = map(int, size.split("x"))
        with tempfile.TemporaryDirectory() as folder:
            cells = measure(Path(folder) / "d", width, height, args.seconds, USUAL[args.codec])
            print(f"| 2 x {size} | {cells} |", flush=True)


def measure(path: Path, width: int, height: int, seconds: int, encoding: Encoding) -> str:
    """Record for so many seconds and return the cells of a row of the table, but for the first."""
    keys = [f"{spec.IMAGES}.{name}" for name in CAMERAS]
    features = {
        spec.STATE: spec.JOINT_FEATURE,
        **dict.fromkeys(keys, spec.Feature.image(height, width)),
        spec.ACTION: spec.JOINT_FEATURE,
    }
    shown = {key: scenes(width, height, seed) for seed, key in enumerate(keys)}
    joints = np.random.default_rng(0).normal(size=(EPISODE_STEPS, 6)).astype(np.float32)
    late, longest_s, n_steps, cpu_s = 0, 0.0, seconds * HZ, time.process_time()
    with Recorder.create(path, features, HZ, "so100_follower", "measure", encoding) as recorder:
        due_s = time.monotonic()
        done = 0
        for step in range(n_steps):
            due_s += 1 / HZ
            start_s = time.monotonic()
            recorder.add_pictures({key: pictures[step % LOOP] for key, pictures in shown.items()})
            done += 1
            if done == EPISODE_STEPS or step == n_steps - 1:
                recorder.save_episode({spec.STATE: joints[:done]}, joints[:done])
                done, due_s = 0, time.monotonic()  # a person sets the scene meanwhile
                continue
            longest_s = max(longest_s, time.monotonic() - start_s)
            late += time.monotonic() > due_s
            time.sleep(max(0.0, due_s - time.monotonic()))
        cpu_s, waiting = time.process_time() - cpu_s, recorder.waiting
    dataset = Dataset.open(path)
    size = sum(file.stat().st_size for file in path.rglob("*.mp4"))
    lost, psnr = compare(dataset, shown)
    cells = [
        n_steps,
        lost,
        waiting.waited,
        f"{waiting.waited_s:.2f}",
        late,
        f"{1e3 * longest_s:.1f}",
        f"{1e3 * cpu_s / n_steps:.2f}",
    ]
    return " | ".join(map(str, [*cells, f"{size / 1e3 / n_steps / len(keys):.2f}", f"{psnr:.1f}"]))


def scenes(width: int, height: int, seed: int) -> NDArray[np.uint8]:
    """Return pictures like a camera's: a smooth table with some grain, and things that move, (LOOP, H, W, 3)."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width] / max(width, height)
    table = 120 + 60 * np.stack([np.sin(4 * x + y), np.cos(3 * y - x), np.sin(2 * x * y)], axis=-1)
    pictures = np.empty((LOOP, height, width, 3), np.uint8)
    for t in range(LOOP):
        picture = table + rng.normal(scale=2.0, size=table.shape)
        for colour, phase in (((200, 40, 40), 0.0), ((40, 60, 200), 2.0)):
            centre = 0.5 + 0.3 * np.array([np.cos(2 * np.pi * t / LOOP + phase), np.sin(2 * np.pi * t / LOOP + phase)])
            inside = (np.abs(x - centre[0]) < 0.08) & (np.abs(y - centre[1] * height / max(width, height)) < 0.08)
            picture[inside] = colour
        pictures[t] = np.clip(picture, 0, 255)
        marked(pictures[t])[:] = 20 + 12 * (t % MARKS)
    return pictures


def compare(dataset: Dataset, shown: dict[str, NDArray[np.uint8]]) -> tuple[int, float]:
    """Return how many pictures do not bear their step's mark, and the PSNR of a fiftieth of them [dB]."""
    lost, errors = 0, []
    for key, pictures in shown.items():
        for rows in np.array_split(np.arange(dataset.n_frames), -(-dataset.n_frames // 100)):
            found = dataset.pictures[key].gather(rows)
            for row, picture in zip(rows.tolist(), found, strict=True):
                lost += round((float(marked(picture).mean()) - 20) / 12) != row % MARKS
                if row % 50 == 0:
                    errors.append(np.square(picture - pictures[row % LOOP].astype(np.float32)).mean())
    return lost, float(10 * np.log10(255**2 / np.mean(errors)))


def marked(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the corner whose shade says which picture of the loop it is."""
    return picture[: picture.shape[0] // 6, : picture.shape[1] // 6]


if __name__ == "__main__":
    main()
