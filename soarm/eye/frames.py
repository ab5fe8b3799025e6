"""Pictures of moments, drawn by several processes into files: an interrupted drawing goes on where it stopped."""

from __future__ import annotations

import concurrent.futures
import multiprocessing
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from soarm.eye.moments import Moments
from soarm.sim.cameras import PolicyCameras
from soarm.sim.params import SimParams

BLOCK = 1000
"""Frames in a file."""
Frames = Mapping[str, NDArray[np.uint8]]
"""Camera -> pictures, (N, H, W, 3)."""
Track = Callable[[Iterable[None], int, str], Iterable[None]]


def draw(
    sim: SimParams,
    moments: Moments,
    look_seeds: range,
    folder: Path,
    n_workers: int,
    track: Track = lambda blocks, total, description: blocks,
) -> Frames:
    """Draw what every camera of `sim.cameras` sees of every moment, each with a look of its own.

    Args:
        sim: Cameras and looks.
        moments: What to draw.
        look_seeds: A seed per moment (`soarm.sim.look.draw_look`).
        folder: For the files; must belong to these arguments alone.
        n_workers: Processes that draw.
        track: Wraps the blocks to show progress; takes them, their number and a description.
    """
    folder.mkdir(parents=True, exist_ok=True)
    starts = range(0, len(moments.qpos), BLOCK)
    missing = [first for first in starts if not _file(folder, first).exists()]
    for _ in track(_drawn(sim, moments, look_seeds, folder, missing, n_workers), len(missing), "drawing frames"):
        pass
    blocks = [np.load(_file(folder, first)) for first in starts]
    return {name: np.concatenate([block[name] for block in blocks]) for name in sim.cameras}


def _drawn(
    sim: SimParams, moments: Moments, look_seeds: range, folder: Path, starts: list[int], n_workers: int
) -> Iterator[None]:
    """Draw blocks and yield as they are done."""
    jobs = [(sim, moments, look_seeds, first, _file(folder, first)) for first in starts]
    jobs = [(sim, Moments(*(p[f : f + BLOCK] for p in moments)), look_seeds[f : f + BLOCK], path) for _, _, _, f, path in jobs]
    if n_workers == 1 or len(jobs) <= 1:
        yield from (_draw_block(*job) for job in jobs)
        return
    spawn = multiprocessing.get_context("spawn")  # a renderer does not survive a fork
    with concurrent.futures.ProcessPoolExecutor(min(n_workers, len(jobs)), spawn) as pool:
        for done in concurrent.futures.as_completed([pool.submit(_draw_block, *job) for job in jobs]):
            yield done.result()


def _draw_block(sim: SimParams, moments: Moments, look_seeds: range, path: Path) -> None:
    cameras = _cameras(sim)
    pictures = cameras.render_rows(moments.qpos, moments.mocap_pos)
    partial = path.with_suffix(".partial")
    with partial.open("wb") as file:
        np.savez(file, **pictures)
    partial.replace(path)


_OPEN: dict[str, PolicyCameras] = {}


def _cameras(sim: SimParams) -> PolicyCameras:
    """Return this process's renderer."""
    key = repr(sim)
    if key not in _OPEN:
        _OPEN[key] = PolicyCameras(sim)
    return _OPEN[key]


def _file(folder: Path, first: int) -> Path:
    return folder / f"frames-{first:07d}.npz"
