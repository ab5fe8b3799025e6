"""Small recordings, and what a folder holds."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from soarm import spec
from soarm.dataset.layout import ROBOT_TYPE
from soarm.dataset.recorder import Recorder
from soarm.tasks.pick_place import TASK

FEATURES = {
    spec.STATE: spec.JOINT_FEATURE,
    spec.ENVIRONMENT_STATE: TASK.objects,
    spec.ACTION: spec.JOINT_FEATURE,
}
TASK = "Put the cube into the bin."

Tape = Callable[..., tuple[dict[str, np.ndarray], np.ndarray]]


@pytest.fixture
def tape() -> Tape:
    """Return a function number -> (observations, actions) of an episode that no other number gives."""

    def make(number: int, length: int | None = None) -> tuple[dict[str, np.ndarray], np.ndarray]:
        rng = np.random.default_rng(number)
        length = 4 + number % 3 if length is None else length
        values = rng.normal(scale=30.0, size=(length, 19)).astype(np.float32)
        return {spec.STATE: values[:, :6], spec.ENVIRONMENT_STATE: values[:, 6:13]}, values[:, 13:]

    return make


@pytest.fixture
def start() -> Callable[[Path], Recorder]:
    """Return a function that starts a recording of the arm's usual features."""
    return lambda path: Recorder.create(path, FEATURES, 30, ROBOT_TYPE, TASK)


@pytest.fixture
def record(start: Callable[[Path], Recorder], tape: Tape) -> Callable[..., Path]:
    """Return a function that records and finalizes the episodes with the given numbers."""

    def run(path: Path, numbers: range = range(3), **kwargs: object) -> Path:
        recorder = start(path)
        for number in numbers:
            recorder.save_episode(*tape(number))
        recorder.finalize(**kwargs)
        return path

    return run


@pytest.fixture
def content() -> Callable[[Path], dict[str, bytes]]:
    """Return a function that reads all files under a folder: relative name -> bytes."""
    return lambda folder: {
        str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }


@pytest.fixture(autouse=True)
def _no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Flushing guards against a power cut, which no test can make, and takes most of the time on a busy disk."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
