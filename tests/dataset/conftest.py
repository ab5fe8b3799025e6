"""Small recordings, and what a folder holds."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from soarm import spec
from soarm.dataset import layout
from soarm.dataset.recorder import Recorder
from soarm.dataset.video import Encoding
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
    return lambda path: Recorder.create(path, FEATURES, 30, layout.ROBOT_TYPE, TASK)


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


CAMERAS = ("observation.images.front", "observation.images.wrist")
FILMED = {
    spec.STATE: spec.JOINT_FEATURE,
    CAMERAS[0]: spec.Feature.image(32, 48),
    CAMERAS[1]: spec.Feature.image(32, 32),
    spec.ACTION: spec.JOINT_FEATURE,
}
"""What a robot with two cameras records."""


def shades(number: int, length: int) -> np.ndarray:
    """Return the grey of each picture of an episode, which no other picture of the first six episodes has, shape (T,)."""
    return 20 + 40 * number + 3 * np.arange(length)


@pytest.fixture
def film() -> Tape:
    """Return a function number -> (observations, actions) of an episode that two cameras see."""

    def make(number: int, length: int | None = None) -> tuple[dict[str, np.ndarray], np.ndarray]:
        length = 4 + number % 3 if length is None else length
        motion = np.random.default_rng(number).normal(scale=30.0, size=(length, 12)).astype(np.float32)
        grey = shades(number, length).astype(np.uint8)[:, None, None, None]
        pictures = {key: np.broadcast_to(grey + i, (length, *FILMED[key].shape)) for i, key in enumerate(CAMERAS)}
        return {spec.STATE: motion[:, :6], **pictures}, motion[:, 6:]

    return make


@pytest.fixture
def start_filming() -> Callable[..., Recorder]:
    """Return a function that starts a recording with two cameras whose equal pictures are equal bytes."""
    return lambda path, **how: Recorder.create(path, FILMED, 30, layout.ROBOT_TYPE, TASK, Encoding(**{"simd": False, **how}))


@pytest.fixture(scope="session")
def films(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[Any, Path], Path]:
    """Return the recordings of `record_film` so far, by what they hold, and a folder for more."""
    return {}, tmp_path_factory.mktemp("films")


@pytest.fixture
def record_film(
    start_filming: Callable[..., Recorder], film: Tape, films: tuple[dict[Any, Path], Path]
) -> Callable[..., Path]:
    """Return a function that records and finalizes episodes with the given numbers, with two cameras; a copy the next time."""
    made, folder = films

    def run(path: Path, numbers: Iterable[int] = range(3)) -> Path:
        what = tuple(numbers), layout.VIDEO_FILE_MB
        if what not in made:
            with start_filming(folder / str(len(made))) as recorder:
                for number in numbers:
                    recorder.save_episode(*film(number))
            made[what] = folder / str(len(made))
        return Path(shutil.copytree(made[what], path))

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
