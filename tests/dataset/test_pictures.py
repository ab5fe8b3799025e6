"""Random access to the pictures of a dataset, and the cache before it."""

from __future__ import annotations

import dataclasses
import json
import pickle
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from soarm import spec
from soarm.dataset import edit, pictures
from soarm.dataset.pictures import Cached, fill
from soarm.dataset.reader import Dataset
from soarm.dataset.recorder import Recorder
from soarm.errors import DatasetError

FRONT = "observation.images.front"
ROWS = np.array([14, 3, 3, 0, 9, 8, 7, 14])


def _png(picture: np.ndarray) -> bytes:
    codec = av.CodecContext.create("png", "w")
    codec.width, codec.height, codec.pix_fmt = picture.shape[1], picture.shape[0], "rgb24"
    codec.time_base = Fraction(1, 30)
    return b"".join(bytes(packet) for packet in codec.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))


@pytest.fixture
def with_images(tmp_path, record) -> tuple[Path, np.ndarray]:
    """A dataset with images, flags and text in its rows, as LeRobot records it without videos, and its pictures."""
    path = record(tmp_path / "pictured")
    (path / "meta/soarm.json").unlink()
    info = json.loads((path / "meta/info.json").read_text())
    info["features"][FRONT] = {"dtype": "image", "shape": [3, 8, 12], "names": ["channels", "height", "width"]}
    info["features"]["next.done"] = {"dtype": "bool", "shape": [1], "names": None}
    info["features"]["said"] = {"dtype": "string", "shape": [1], "names": None}
    (path / "meta/info.json").write_text(json.dumps(info))
    images = np.random.default_rng(0).integers(0, 256, (15, 8, 12, 3), np.uint8)
    cells = [{"bytes": _png(image), "path": None} for image in images]
    file = path / "data/chunk-000/file-000.parquet"
    table = pq.read_table(file)
    table = table.append_column(FRONT, pa.array(cells, pa.struct([("bytes", pa.binary()), ("path", pa.string())])))
    table = table.append_column("next.done", pa.array([i % 4 == 3 for i in range(15)]))
    table = table.append_column("said", pa.array([f"row {i}" for i in range(15)]))
    pq.write_table(table, file, row_group_size=6)  # not one per episode, as after LeRobot's tools
    return path, images


def test_rows_come_in_the_order_they_are_asked_for(tmp_path, record_film):
    found = Dataset.open(record_film(tmp_path / "d")).pictures[FRONT]
    every = found.gather(np.arange(15))

    assert (len(found), found.shape, every.dtype) == (15, (32, 48, 3), np.uint8)
    assert np.array_equal(found.gather(ROWS), every[ROWS])
    assert found.gather(np.array([], np.int64)).shape == (0, 32, 48, 3)
    with pytest.raises(IndexError, match=r"rows 3\.\.15 are asked for; there are 0\.\.14"):
        found.gather(np.array([3, 15]))


def test_a_video_that_is_missing_or_of_another_size_is_named(tmp_path, record_film):
    path = record_film(tmp_path / "d")
    front, wrist = (path / f"videos/{key}/chunk-000/file-000.mp4" for key in (FRONT, "observation.images.wrist"))
    front.write_bytes(wrist.read_bytes())
    wrist.unlink()
    found = Dataset.open(path).pictures

    with pytest.raises(DatasetError, match=r"front/chunk-000/file-000.mp4 has pictures of \(32, 32, 3\); info.json says"):
        found[FRONT].gather(ROWS)
    with pytest.raises(DatasetError, match=r"wrist/chunk-000/file-000.mp4 is missing"):
        found["observation.images.wrist"].gather(ROWS)


def test_images_in_the_rows_are_read_by_row(with_images):
    path, images = with_images
    found = Dataset.open(path).pictures[FRONT]

    assert found.shape == (8, 12, 3)
    assert np.array_equal(found.gather(ROWS), images[ROWS])


def test_edits_copy_images_flags_and_text_as_they_are(tmp_path, with_images):
    path, images = with_images
    shorter = edit.delete_episodes(path, [1], tmp_path / "shorter")
    rows = pq.read_table(tmp_path / "shorter/data/chunk-000/file-000.parquet")
    kept = np.r_[:4, 9:15]

    assert np.array_equal(shorter.pictures[FRONT].gather(np.arange(10)), images[kept])
    assert rows["said"].to_pylist() == [f"row {i}" for i in kept]
    assert rows["next.done"].to_pylist() == [i % 4 == 3 for i in kept]
    assert rows.column_names[-5:] == ["timestamp", "frame_index", "episode_index", "index", "task_index"]
    assert shorter.hash != Dataset.open(path).hash
    with pytest.raises(DatasetError, match=r"holds features that soarm does not record: {'observation.images.front': 'image'"):
        Recorder.resume(path)
    again = edit.merge([tmp_path / "shorter"], tmp_path / "again")
    assert again.hash == shorter.hash


def test_statistics_of_images_are_computed_where_nobody_has(with_images):
    path, images = with_images
    edit.recompute_statistics(path)
    stats = json.loads((path / "meta/stats.json").read_text())[FRONT]

    assert np.ravel(stats["std"]) == pytest.approx((images.reshape(-1, 3) / 255).std(axis=0), rel=1e-6)
    assert stats["count"] == [15]


@pytest.mark.parametrize(("places", "on_disk"), [(4, True), (15, False), (1000, True)])
def test_a_cache_gives_the_same_pictures_and_decodes_less(tmp_path, record_film, on_disk, places):
    source = Dataset.open(record_film(tmp_path / "d")).pictures[FRONT]
    every = source.gather(np.arange(15))
    cached = Cached(source, places * 32 * 48 * 3, tmp_path if on_disk else None)
    rng = np.random.default_rng(0)
    for _ in range(20):
        rows = rng.integers(0, 15, 6)
        assert np.array_equal(cached.gather(rows), every[rows])

    assert (len(cached), cached.shape) == (15, (32, 48, 3))
    assert cached.decoded <= 15 or places == 4
    assert [path.name for path in tmp_path.iterdir()] == ["d"]


def test_a_cache_is_filled_ahead_with_what_fits(tmp_path, record_film, monkeypatch):
    monkeypatch.setattr(pictures, "_AT_ONCE", 4)
    dataset = Dataset.open(record_film(tmp_path / "d"))
    caches = [Cached(source, 10 * int(np.prod(source.shape))) for source in dataset.pictures.values()]
    fill(caches)
    for cached, source in zip(caches, dataset.pictures.values(), strict=True):
        cached.gather(np.arange(10))

        assert cached.decoded == 10
        assert np.array_equal(cached.gather(ROWS), source.gather(ROWS))


def test_a_dataset_with_a_cache_decodes_each_picture_once_and_goes_to_other_processes_without_them(tmp_path, record_film):
    dataset = Dataset.open(record_film(tmp_path / "d"))
    cached = dataset.with_cache()
    for _ in range(3):
        assert np.array_equal(cached.pictures[FRONT].gather(ROWS), dataset.pictures[FRONT].gather(ROWS))

    assert cached.pictures[FRONT].decoded == len(np.unique(ROWS))
    assert not hasattr(dataset.pictures[FRONT], "decoded")
    assert cached.hash == dataset.hash
    assert len(pickle.dumps(cached.pictures[FRONT])) < 10_000


def test_another_picture_is_another_dataset(tmp_path, record_film, start_filming, film):
    path = record_film(tmp_path / "d", range(2))
    with start_filming(tmp_path / "other") as recorder:
        for number in range(2):
            observations, actions = film(number)
            changed = observations[FRONT].copy()
            changed[0, :8] += 60 * number
            recorder.save_episode({**observations, FRONT: changed}, actions)

    assert Dataset.open(path).hash != Dataset.open(tmp_path / "other").hash
    assert np.array_equal(Dataset.open(path).columns[spec.STATE], Dataset.open(tmp_path / "other").columns[spec.STATE])


def test_pictures_of_another_size_are_not_added_to_a_dataset(tmp_path, record_film):
    path = record_film(tmp_path / "d")
    old = Dataset.open(path).spec
    (height, width, _) = old.features[FRONT].shape
    now = dataclasses.replace(old, features={**old.features, FRONT: spec.Feature.image(height + 2, width)})

    with pytest.raises(DatasetError, match=rf"pictures of {FRONT} are {width}x{height}; now they are {width}x{height + 2}"):
        Recorder.resume(path, like=now)
