"""Cameras as videos: no picture is lost while recording, no edit encodes one anew, and what is missing is named."""

from __future__ import annotations

import json
import os
import shutil
import time
import zipfile
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from soarm import spec
from soarm.dataset import checks, edit, encoder, journal, layout, remux, video, video_checks
from soarm.dataset.reader import Dataset
from soarm.dataset.recorder import Recorder
from soarm.dataset.statistics import PixelCounts
from soarm.dataset.video import Encoding
from soarm.errors import DatasetError, ObservationError

FRONT, WRIST = "observation.images.front", "observation.images.wrist"
EPISODES = "meta/episodes/chunk-000/file-000.parquet"
TOLERANCE = 3  # of a grey in a video
THEIRS = Path(__file__).with_name("fixtures") / "lerobot-0.4.4-video.zip"
"""What `lerobot-record` makes: state, action and one camera."""


def greys(dataset: Dataset, key: str = FRONT) -> list[int]:
    """Return the grey of every picture of a camera."""
    return [round(float(picture.mean())) for picture in dataset.pictures[key].gather(np.arange(dataset.n_frames))]


def shown(*episodes: tuple[int, int]) -> list[int]:
    """Return the greys that `film` gave the pictures of episodes: number and length of each."""
    return [20 + 40 * number + 3 * t for number, length in episodes for t in range(length)]


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def columns(path: Path) -> dict[str, list]:
    return pq.read_table(path / EPISODES).to_pydict()


def test_pictures_are_read_back_before_and_after_the_recording_is_finished(tmp_path, start_filming, film):
    recorder = start_filming(tmp_path / "d")
    for number in range(3):
        recorder.save_episode(*film(number))
    cut_off = Dataset.open(tmp_path / "d")
    hash_, seen = cut_off.hash, {key: cut_off.pictures[key].gather(np.arange(15)) for key in (FRONT, WRIST)}
    recorder.finalize()
    dataset = Dataset.open(tmp_path / "d")

    for key, i in ((FRONT, 0), (WRIST, 1)):
        expected = [grey + i for grey in shown((0, 4), (1, 5), (2, 6))]
        assert greys(dataset, key) == pytest.approx(expected, abs=TOLERANCE)
        assert np.array_equal(dataset.pictures[key].gather(np.arange(15)), seen[key])
    assert dataset.hash == hash_
    assert dataset.cameras == (FRONT, WRIST)
    assert dataset.spec.features[WRIST] == spec.Feature.image(32, 32)
    assert not list((tmp_path / "d").rglob("recording"))


def test_pictures_that_come_step_by_step_give_the_bytes_of_those_that_come_at_once(
    tmp_path, start_filming, film, record_film, content
):
    with start_filming(tmp_path / "d") as recorder:
        for number in range(3):
            observations, actions = film(number)
            recorder.add_pictures({FRONT: np.zeros((32, 48, 3), np.uint8), WRIST: np.zeros((32, 32, 3), np.uint8)})
            recorder.drop_episode()
            for t in range(len(actions)):
                recorder.add_pictures({key: observations[key][t] for key in (FRONT, WRIST)})
            recorder.save_episode({spec.STATE: observations[spec.STATE]}, actions)

    assert recorder.waiting.pictures == 2 * (15 + 3)
    assert content(tmp_path / "d") == content(record_film(tmp_path / "whole"))


def test_the_files_say_what_lerobot_s_say(tmp_path, record_film):
    path = record_film(tmp_path / "d")
    info, stats = (json.loads((path / f"meta/{name}.json").read_text()) for name in ("info", "stats"))
    table = pq.read_table(path / EPISODES)

    assert info["features"][FRONT] == {
        "dtype": "video",
        "shape": [32, 48, 3],
        "names": ["height", "width", "channels"],
        "info": {
            "video.height": 32,
            "video.width": 48,
            "video.codec": "h264",
            "video.pix_fmt": "yuv420p",
            "video.is_depth_map": False,
            "video.fps": 30,
            "video.channels": 3,
            "has_audio": False,
        },
    }
    assert info["video_path"] == layout.VIDEO_PATH
    assert table[f"videos/{FRONT}/from_timestamp"].to_pylist() == [0.0, 4 / 30, 9 / 30]
    assert table[f"videos/{FRONT}/to_timestamp"].to_pylist() == [4 / 30, 9 / 30, 15 / 30]
    assert table.schema.field(f"stats/{FRONT}/mean").type == pa.list_(pa.list_(pa.list_(pa.float64())))
    assert np.shape(stats[FRONT]["mean"]) == (3, 1, 1)
    assert stats[FRONT]["count"] == [15]
    assert stats[FRONT]["min"][0][0][0] == pytest.approx(20 / 255)
    assert stats[FRONT]["mean"][2][0][0] == pytest.approx(np.mean(shown((0, 4), (1, 5), (2, 6))) / 255)
    assert stats[FRONT]["std"][1][0][0] == pytest.approx(np.std(shown((0, 4), (1, 5), (2, 6))) / 255)


@pytest.mark.parametrize("codec", ["h264", "av1"])
def test_the_codec_that_is_declared_is_the_one_that_is_written(tmp_path, record_film, codec):
    if codec == "av1":
        features = {spec.STATE: spec.JOINT_FEATURE, FRONT: spec.Feature.image(64, 64), spec.ACTION: spec.JOINT_FEATURE}
        with Recorder.create(tmp_path / "d", features, 30, "so100_follower", "go", Encoding("av1", 30)) as recorder:
            recorder.save_episode(
                {spec.STATE: np.zeros((3, 6)), FRONT: np.full((3, 64, 64, 3), 90, np.uint8)}, np.zeros((3, 6))
            )
    else:
        record_film(tmp_path / "d", range(1))
    declared = json.loads((tmp_path / "d/meta/info.json").read_text())["features"][FRONT]["info"]["video.codec"]

    assert declared == codec
    with av.open(str(tmp_path / f"d/videos/{FRONT}/chunk-000/file-000.mp4")) as container:
        assert container.streams.video[0].codec_context.codec.canonical_name == codec
    assert Dataset.open(tmp_path / "d").pictures[FRONT].gather(np.array([2])).mean() == pytest.approx(
        90 if codec == "av1" else 26, abs=TOLERANCE
    )


def test_statistics_of_pictures_are_those_of_numpy_but_for_between_ranks():
    pictures = np.random.default_rng(0).integers(0, 256, (5, 12, 10, 3), np.uint8)
    counts = PixelCounts()
    for picture in pictures:
        counts.add(picture)
    found, values = counts.summarise(), pictures.reshape(-1, 3) / 255

    assert found["count"].tolist() == [5]
    for name, expected in (("mean", values.mean(0)), ("std", values.std(0)), ("min", values.min(0)), ("max", values.max(0))):
        assert found[name].reshape(3) == pytest.approx(expected)
    assert found["q10"].reshape(3) == pytest.approx(np.quantile(values, 0.1, axis=0, method="lower"))


def test_a_full_video_is_followed_by_another_and_clips_are_cut_out_of_it_again(tmp_path, monkeypatch, record_film, content):
    monkeypatch.setattr(layout, "VIDEO_FILE_MB", 2e-3)
    path = record_film(tmp_path / "d", range(5))
    monkeypatch.undo()
    dataset = Dataset.open(path)
    edit.delete_episodes(path, [0, 3], tmp_path / "shorter")

    assert len(list((path / f"videos/{FRONT}").rglob("*.mp4"))) > 1
    assert greys(dataset) == pytest.approx(shown((0, 4), (1, 5), (2, 6), (3, 4), (4, 5)), abs=TOLERANCE)
    kept = np.r_[4:15, 19:24]
    assert np.array_equal(
        Dataset.open(tmp_path / "shorter").pictures[WRIST].gather(np.arange(16)), dataset.pictures[WRIST].gather(kept)
    )


def test_edits_give_the_bytes_of_one_recording(tmp_path, record_film, film, content):
    whole = record_film(tmp_path / "whole", range(4))
    record_film(tmp_path / "appended", range(3))
    with Recorder.resume(tmp_path / "appended", encoding=Encoding(simd=False)) as recorder:
        recorder.save_episode(*film(3))
    edit.delete_episodes(record_film(tmp_path / "more", [0, 5, 1, 2, 3]), [1])
    parts = [record_film(tmp_path / "first", range(2)), record_film(tmp_path / "second", range(2, 4))]
    edit.merge(parts, tmp_path / "merged")
    edit.split(tmp_path / "merged", tmp_path / "parts", {"a": range(2), "b": range(2, 4)})

    assert content(tmp_path / "appended") == content(whole)
    assert content(tmp_path / "more") == content(whole)
    assert content(tmp_path / "merged") == content(whole)
    assert content(tmp_path / "parts/b") == content(parts[1])
    edit.recompute_statistics(whole)
    assert checks.examine(whole).faults == []
    assert json.loads((whole / "meta/stats.json").read_text())[FRONT]["mean"][0][0][0] == pytest.approx(
        np.mean(shown((0, 4), (1, 5), (2, 6), (3, 4))) / 255, abs=0.01
    )


def _encoded_anew(path: Path, shades: list[int], **options: str) -> None:
    """Write a film in one go, as LeRobot's tools do, so that episodes begin between key frames."""
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=Fraction(30), options={"crf": "10", **options})
        stream.height, stream.width, stream.pix_fmt = 32, 48, "yuv420p"
        for grey in shades:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.full((32, 48, 3), grey, np.uint8), format="rgb24")))
        container.mux(stream.encode())


@pytest.mark.parametrize("options", [{"g": "4", "bf": "0"}, {"g": "12", "bf": "2", "b_strategy": "0"}, {"g": "250"}])
def test_an_episode_between_key_frames_keeps_its_pictures(tmp_path, record_film, options):
    path = record_film(tmp_path / "d", range(3))
    _encoded_anew(path / f"videos/{FRONT}/chunk-000/file-000.mp4", shown((0, 4), (1, 5), (2, 6)), **options)
    before = Dataset.open(path).pictures[FRONT].gather(np.arange(15))
    twice = edit.merge(
        [edit.delete_episodes(path, [0], tmp_path / "one").path, record_film(tmp_path / "two", [3])], tmp_path / "m"
    )

    assert before[:, 0, 0, 0] == pytest.approx(shown((0, 4), (1, 5), (2, 6)), abs=2 * TOLERANCE)
    assert np.array_equal(twice.pictures[FRONT].gather(np.arange(11)), before[4:])
    assert greys(twice)[11:] == pytest.approx(shown((3, 4)), abs=TOLERANCE)
    assert video_checks.faults(checks.examine(tmp_path / "m")) == []


def test_a_film_of_lerobot_s_is_edited_and_appended_to(tmp_path):
    zipfile.ZipFile(THEIRS).extractall(tmp_path / "theirs")
    before = Dataset.open(tmp_path / "theirs")
    seen = before.pictures[FRONT].gather(np.arange(114))
    shorter = edit.delete_episodes(tmp_path / "theirs", [1], tmp_path / "shorter")
    with Recorder.resume(tmp_path / "theirs") as recorder:
        picture = np.full((48, 64, 3), 200, np.uint8)
        recorder.add_pictures({FRONT: picture})
        recorder.add_pictures({FRONT: picture})
        recorder.save_episode({spec.STATE: np.zeros((2, 6))}, np.zeros((2, 6)))
    after = Dataset.open(tmp_path / "theirs")

    assert np.array_equal(shorter.pictures[FRONT].gather(np.arange(83)), seen[np.r_[:25, 56:114]])
    assert np.array_equal(after.pictures[FRONT].gather(np.arange(114)), seen)
    assert greys(after)[114:] == pytest.approx([200, 200], abs=TOLERANCE)
    assert columns(tmp_path / "theirs")[f"videos/{FRONT}/file_index"] == [0, 0, 0, 0, 1]  # encoded with other settings
    assert video_checks.faults(checks.examine(tmp_path / "theirs")) == []


def test_whoever_adds_a_picture_waits_for_a_slow_encoder_and_none_is_lost(tmp_path, monkeypatch, start_filming):
    monkeypatch.setattr(encoder, "QUEUE", 2)
    add = PixelCounts.add
    monkeypatch.setattr(PixelCounts, "add", lambda self, picture: (time.sleep(0.005), add(self, picture)))
    with start_filming(tmp_path / "d") as recorder:
        for t in range(8):
            recorder.add_pictures({FRONT: np.full((32, 48, 3), 10 * t, np.uint8), WRIST: np.zeros((32, 32, 3), np.uint8)})
        recorder.save_episode({spec.STATE: np.zeros((8, 6))}, np.zeros((8, 6)))

    assert recorder.waiting.waited >= 4
    assert recorder.waiting.waited_s > 0.01
    assert greys(Dataset.open(tmp_path / "d")) == pytest.approx([10 * t for t in range(8)], abs=TOLERANCE)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda o: {**o, FRONT: o[FRONT][:, :30]},
            r"observation.images.front has shape \(4, 30, 48, 3\); expected \(T, 32, 48, 3\)",
        ),
        (lambda o: {**o, FRONT: o[FRONT] / 255.0}, "observation.images.front is of type float64; pictures are uint8, 0..255"),
        (lambda o: {**o, FRONT: o[FRONT][:3]}, "lengths differ"),
        (lambda o: {key: value for key, value in o.items() if key != WRIST}, "observation.images.wrist is missing"),
    ],
)
def test_bad_pictures_are_refused_before_anything_is_written(tmp_path, start_filming, film, content, change, message):
    recorder = start_filming(tmp_path / "d")
    recorder.save_episode(*film(1))
    before = content(tmp_path)
    observations, actions = film(0)

    with pytest.raises(ObservationError, match=message):
        recorder.save_episode(change(observations), actions)
    with pytest.raises(ObservationError, match="wrist is missing"):
        recorder.add_pictures({FRONT: np.zeros((32, 48, 3), np.uint8)})
    recorder.add_pictures({FRONT: np.zeros((32, 48, 3), np.uint8), WRIST: np.zeros((32, 32, 3), np.uint8)})
    with pytest.raises(ObservationError, match="1 pictures of each camera were added; there are 4 actions"):
        recorder.save_episode({spec.STATE: observations[spec.STATE]}, actions)
    assert content(tmp_path) == before
    assert recorder.save_episode(observations, actions) == 1


def test_a_kill_leaves_every_episode_that_was_saved(tmp_path, start_filming, film):
    recorder = start_filming(tmp_path / "d")
    recorder.save_episode(*film(0))
    for _ in range(9):
        recorder.add_pictures({FRONT: np.zeros((32, 48, 3), np.uint8), WRIST: np.zeros((32, 32, 3), np.uint8)})
    (tmp_path / f"d/recording/{WRIST}/episode-000001.mp4").write_bytes(b"whole, and its rows are not")
    wait_for(lambda: len(list(tmp_path.rglob("*.partial"))) == 2)
    killed = Path(shutil.copytree(tmp_path / "d", tmp_path / "killed"))
    left = [path.name for path in killed.rglob("*.partial")]
    with Recorder.resume(killed) as again:
        assert again.n_episodes == 1
        assert not list(killed.rglob("*.partial"))
        again.save_episode(*film(1))

    assert len(left) == 2
    assert greys(Dataset.open(killed)) == pytest.approx(shown((0, 4), (1, 5)), abs=TOLERANCE)


@pytest.mark.parametrize("damage", [lambda path: path.unlink(), lambda path: path.write_bytes(path.read_bytes()[:300])])
def test_a_last_episode_whose_video_is_damaged_is_put_aside(tmp_path, start_filming, film, damage):
    recorder = start_filming(tmp_path / "d")
    recorder.save_episode(*film(0))
    recorder.save_episode(*film(1))
    recorder.close()
    damage(journal.video_files(tmp_path / "d", 1, [FRONT])[FRONT])
    with pytest.raises(DatasetError, match=r"front/episode-000001.mp4 (is missing|cannot be decoded).*puts it aside"):
        Dataset.open(tmp_path / "d")
    Recorder.resume(tmp_path / "d").finalize()

    assert Dataset.open(tmp_path / "d").n_episodes == 1


def test_going_on_with_another_codec_is_refused(tmp_path, record_film, content):
    before = content(record_film(tmp_path / "d", range(1)))

    with pytest.raises(DatasetError, match=r"the videos of observation\.images\.front are h264, and av1 would be recorded"):
        Recorder.resume(tmp_path / "d", encoding=Encoding("av1", 30))
    assert content(tmp_path / "d") == before


def test_videos_of_two_codecs_are_not_merged(tmp_path, record_film):
    paths = [record_film(tmp_path / name, range(1)) for name in "ab"]
    info = json.loads((paths[1] / "meta/info.json").read_text())
    info["features"][FRONT]["info"]["video.codec"] = "av1"
    (paths[1] / "meta/info.json").write_text(json.dumps(info))

    with pytest.raises(DatasetError, match="a camera has one codec in a dataset"):
        edit.merge(paths, tmp_path / "merged")


def test_a_dataset_whose_videos_are_missing_is_not_edited(tmp_path, record_film, content):
    path = record_film(tmp_path / "d")
    (path / f"videos/{WRIST}/chunk-000/file-000.mp4").unlink()
    before = content(path)

    for change in (
        Recorder.resume,
        lambda path: edit.delete_episodes(path, [0]),
        lambda path: edit.merge([path], tmp_path / "m"),
    ):
        with pytest.raises(DatasetError, match=r"(?s)videos would be lost.*wrist/chunk-000/file-000.mp4.*Nothing was changed"):
            change(path)
    assert content(path) == before


def test_videos_that_are_missing_short_damaged_or_others_are_named(tmp_path, record_film):
    path = record_film(tmp_path / "d", range(3))
    front, wrist = (path / f"videos/{key}/chunk-000/file-000.mp4" for key in (FRONT, WRIST))
    assert video_checks.faults(checks.examine(path)) == []

    remux.join([remux.Clip(front, 0, 11)], 30, 1e3, lambda _: tmp_path / "short.mp4")
    wrist.unlink()
    shutil.copy(tmp_path / "short.mp4", front)
    assert video_checks.faults(checks.examine(path)) == [
        f"videos/{WRIST}/chunk-000/file-000.mp4 is missing: a video of {WRIST}",
        f"videos/{FRONT}/chunk-000/file-000.mp4: it lacks 4 of the 6 frames of episode 2, first frame 2",
    ]
    shutil.copy(front, wrist)
    front.write_bytes(front.read_bytes()[:400])
    first, second = video_checks.faults(checks.examine(path))[:2]
    assert f"videos/{FRONT}/chunk-000/file-000.mp4" in first
    assert "cannot be decoded" in first
    assert second == f"videos/{WRIST}/chunk-000/file-000.mp4: its pictures are 48 x 32; {WRIST} has 32 x 32"


def test_pictures_that_an_encoder_does_not_take_are_refused(tmp_path):
    with pytest.raises(DatasetError, match=r"1.mp4: pictures of 2 x 2 pixels cannot be encoded as av1"):
        video.open_output(tmp_path / "1.mp4", spec.Feature.image(2, 2), 30, Encoding("av1", 30))


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="threads have a scheduling of their own on Linux alone")
def test_no_thread_gets_real_time_priority_from_an_encoder(tmp_path):
    """SVT-AV1 asks for it where it may, as root."""
    container, stream = video.open_output(tmp_path / "1.mp4", spec.Feature.image(64, 64), 30, Encoding("av1", 30))
    with container:
        frame = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")
        container.mux([*stream.encode(frame), *stream.encode()])

        policies = {os.sched_getscheduler(int(task.name)) for task in Path("/proc/self/task").iterdir()}

    assert os.SCHED_FIFO not in policies
