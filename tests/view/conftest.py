"""Small datasets to look at: with objects, and as LeRobot records them with a camera, as a video or as images."""

from __future__ import annotations

import json
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from soarm import spec
from soarm.dataset.layout import ROBOT_TYPE
from soarm.dataset.recorder import Recorder

DATA, EPISODES = "data/chunk-000/file-000.parquet", "meta/episodes/chunk-000/file-000.parquet"
CAMERA = "observation.images.front"
LENGTHS = (40, 60, 50)
WIDTH, HEIGHT = 64, 48


def brightness(index: int) -> int:
    """Return the grey of a camera's frame, which tells its place in the dataset."""
    return 20 + (index * 7) % 200


def write(path: Path) -> Path:
    """Record episodes in which every joint moves smoothly and the action runs ahead."""
    features = {spec.STATE: spec.JOINT_FEATURE, spec.ACTION: spec.JOINT_FEATURE}
    with Recorder.create(path, features, 30, ROBOT_TYPE, "Put the cube into the bin.") as recorder:
        for number, length in enumerate(LENGTHS):
            phase = np.arange(length + 3)[:, None] / 15.0 + np.arange(6) + 2.0
            motion = (20.0 + number) * np.sin(phase) + 30.0
            recorder.save_episode({spec.STATE: motion[:-3]}, motion[3:])
    return path


def change_info(path: Path, change: Callable[[dict], object]) -> None:
    """Edit a dataset's info.json."""
    info = json.loads((path / "meta/info.json").read_text())
    change(info)
    (path / "meta/info.json").write_text(json.dumps(info))


def encode(frames: list[np.ndarray], target: Path, codec: str, **options: str) -> None:
    """Write frames as a film of 30 frames per second, or one frame as an image."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(target), "w", format="image2" if codec == "png" else None) as container:
        stream = container.add_stream(codec, rate=Fraction(30), options=options)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "rgb24" if codec == "png" else "yuv420p"
        stream.codec_context.thread_count = 1
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())


def _frames() -> list[np.ndarray]:
    return [np.full((HEIGHT, WIDTH, 3), brightness(i), np.uint8) for i in range(sum(LENGTHS))]


def _as_lerobot(path: Path, dtype: str) -> None:
    (path / "meta/soarm.json").unlink()
    camera = {"dtype": dtype, "shape": [HEIGHT, WIDTH, 3], "names": ["height", "width", "channels"]}
    change_info(path, lambda info: info["features"].update({CAMERA: camera}))


@pytest.fixture(scope="session")
def with_video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset without units whose camera is a video; the last episode is in a file of its own."""
    path = write(tmp_path_factory.mktemp("video") / "filmed")
    _as_lerobot(path, "video")
    frames, cut = _frames(), sum(LENGTHS[:-1])
    encode(frames[:cut], path / f"videos/{CAMERA}/chunk-000/file-000.mp4", "libx264", g="12")
    encode(frames[cut:], path / f"videos/{CAMERA}/chunk-000/file-001.mp4", "libx264", g="12")
    columns = {"chunk_index": [0, 0, 0], "file_index": [0, 0, 1], "from_timestamp": [0.0, LENGTHS[0] / 30, 0.0]}
    table = pq.read_table(path / EPISODES)
    for name, values in columns.items():
        table = table.append_column(f"videos/{CAMERA}/{name}", pa.array(values))
    pq.write_table(table, path / EPISODES)
    return path


@pytest.fixture(scope="session")
def with_images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with the camera's frames as PNG in the rows."""
    path = write(tmp_path_factory.mktemp("images") / "pictured")
    _as_lerobot(path, "image")
    cells = []
    for frame in _frames():
        encode([frame], path.parent / "frame.png", "png")
        cells.append({"bytes": (path.parent / "frame.png").read_bytes(), "path": None})
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    table = pq.read_table(path / DATA).append_column(CAMERA, pa.array(cells, kind))
    pq.write_table(table, path / DATA, row_group_size=35)  # not one per episode, as after LeRobot's tools
    return path
