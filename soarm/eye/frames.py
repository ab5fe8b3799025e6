"""Pictures of moments, drawn by several processes into files: an interrupted drawing goes on where it stopped."""

from __future__ import annotations

import concurrent.futures
import io
import multiprocessing
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from soarm.errors import CheckpointError
from soarm.eye.moments import Moments
from soarm.sim.cameras import PolicyCameras
from soarm.sim.look import draw_look
from soarm.sim.params import SimParams
from soarm.smallfile import write_atomically

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
    sim: SimParams, moments: Moments, look_seeds: range, folder: Path, starts: Sequence[int], n_workers: int
) -> Iterator[None]:
    """Draw blocks and yield as they are done."""
    blocks = [(first, slice(first, first + BLOCK)) for first in starts]
    jobs = [_Job(sim, moments.take(rows), look_seeds[rows], _file(folder, first)) for first, rows in blocks]
    if n_workers == 1 or len(jobs) <= 1:
        for job in jobs:
            _draw_block(job)
            yield
        return
    spawn = multiprocessing.get_context("spawn")  # a renderer does not survive a fork
    with concurrent.futures.ProcessPoolExecutor(min(n_workers, len(jobs)), spawn) as pool:
        for done in concurrent.futures.as_completed([pool.submit(_draw_block, job) for job in jobs]):
            done.result()
            yield


class _Job(NamedTuple):
    sim: SimParams
    moments: Moments
    look_seeds: range
    path: Path


def _draw_block(job: _Job) -> None:
    looks = [draw_look(job.sim, seed) for seed in job.look_seeds]
    pictures = _cameras(job.sim).render_rows(job.moments.qpos, job.moments.mocap_pos, looks)
    content = io.BytesIO()
    np.savez(content, allow_pickle=False, **pictures)
    write_atomically(job.path, content.getvalue(), CheckpointError)


_OPEN: dict[str, PolicyCameras] = {}


def _cameras(sim: SimParams) -> PolicyCameras:
    """Return this process's renderer."""
    key = repr(sim)
    if key not in _OPEN:
        _OPEN[key] = PolicyCameras(sim)
    return _OPEN[key]


def _file(folder: Path, first: int) -> Path:
    return folder / f"frames-{first:07d}.npz"
