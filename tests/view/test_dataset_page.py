"""The page of a dataset: what stands on it, for sound and for broken ones."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from soarm import spec
from soarm.dataset.recorder import Recorder
from soarm.errors import DatasetError
from soarm.report import style
from soarm.view import curves
from soarm.view.dataset_page import render, verdict
from soarm.view.inspection import inspect

DATA = "data/chunk-000/file-000.parquet"
CAMERA = "observation.images.front"


def change_info(path, change) -> None:
    info = json.loads((path / "meta/info.json").read_text())
    change(info)
    (path / "meta/info.json").write_text(json.dumps(info))


@pytest.fixture(scope="module")
def filmed_page(with_video: Path) -> str:
    return render(inspect(with_video), [1], [("Made", "for a test")])


def test_a_page_shows_episodes_statistics_curves_and_frames_and_needs_nothing_else(filmed_page):
    for part in (
        "<b>3</b><span>1 task</span>",
        "<b>150</b><span>at 30 per second</span>",
        "<td>unknown unit</td>",
        "over all 150 rows",
        'id="shown-1">60 frames, 2.0 s. Put the cube into the bin.',
        "<tr id=episode-2>",
        "Episode 1: shoulder_pan.pos, shoulder_lift.pos, elbow_flex.pos, over time.",
        "The units of observation.state and action are unknown: LeRobot&#x27;s SO arms record -100..100 by default",
        "<b>units of the joints</b>: unknown",
    ):
        assert part in filmed_page
    assert filmed_page.count("data:image/jpeg;base64,") == 8
    assert 'alt="Camera front, episode 1, at 2.0 s"' in filmed_page
    assert re.findall(r'(?:src|href)="(?!#|data:)[^"]*"', filmed_page) == []


@pytest.mark.parametrize(("width_px", "scheme"), [(390, "light"), (1280, "dark")])
def test_chromium_finds_nothing_wrong_with_the_page(inspect_page, tmp_path, filmed_page, width_px, scheme):
    (tmp_path / "page.html").write_text(filmed_page)
    found = inspect_page(tmp_path / "page.html", width_px, scheme)

    assert not any(found._replace(scrolling=[]))


@pytest.fixture
def undrawn(monkeypatch) -> None:
    """Leave the drawings out, which take most of the time; captions stay."""
    monkeypatch.setattr(style, "svg", lambda figure: "<svg></svg>")


@pytest.mark.usefixtures("undrawn")
def test_what_somebody_wrote_into_a_dataset_is_text_on_the_page(tmp_path, with_video):
    path = shutil.copytree(with_video, tmp_path / "<b>d")
    change_info(path, lambda info: info.update(robot_type="<script>alert(1)</script>"))
    change_info(path, lambda info: info["features"].update({"<i>": {"dtype": "string", "shape": [1], "names": ["<u>"]}}))

    text = render(inspect(path), [], [])
    assert text.count("<script") == 1  # that of the page
    assert not re.search(r"<i>|<u>|<b>d", text)


@pytest.mark.usefixtures("undrawn")
def test_missing_videos_are_said_and_the_curves_still_drawn(tmp_path, with_video):
    path = shutil.copytree(with_video, tmp_path / "d")
    shutil.rmtree(path / "videos")
    text = render(inspect(path), [0], [])

    assert "2 faults in its files. It does not open for training until they are mended." in text
    assert f"videos/{CAMERA}/chunk-000/file-001.mp4 is missing: a video of {CAMERA}" in text
    assert f"No frames of front: videos/{CAMERA}/chunk-000/file-000.mp4 is missing" in text
    assert "Episode 0: shoulder_pan.pos" in text


@pytest.mark.usefixtures("undrawn")
def test_truncated_rows_are_said_and_what_else_is_there_still_shown(tmp_path, with_video):
    path = shutil.copytree(with_video, tmp_path / "d")
    (path / DATA).write_bytes((path / DATA).read_bytes()[:-300])
    text = render(inspect(path), [0], [])

    assert f"{DATA}: it is truncated, damaged or no parquet file" in text
    assert "as meta/stats.json says, since the rows cannot be read" in text
    assert "No curves: its rows cannot be read." in text
    assert text.count("data:image/jpeg;base64,") == 8


def test_a_dataset_that_cannot_be_read_at_all_gets_a_page_that_says_why(tmp_path, with_video):
    path = shutil.copytree(with_video, tmp_path / "old")
    change_info(path, lambda info: info.update(codebase_version="v2.1"))
    looked = inspect(path)

    assert looked.n_episodes == 0
    assert "LeRobot converts it" in render(looked, [], [])
    (path / "meta/info.json").unlink()
    with pytest.raises(DatasetError, match=r"meta/info\.json is missing"):
        inspect(path)


def test_a_dataset_without_an_episode_gets_a_page(tmp_path):
    features = {spec.STATE: spec.JOINT_FEATURE, spec.ACTION: spec.JOINT_FEATURE}
    Recorder.create(tmp_path / "d", features, 30, "so100_follower", "nothing")

    assert "holds no finished episode" in render(inspect(tmp_path / "d"), [], [])


def test_the_verdict_tells_files_from_motion(tmp_path, with_video):
    looked = inspect(with_video)

    assert verdict(looked) == "Nothing is wrong with its files, and nothing looks wrong in its motion."
    looked.warnings.append("one")
    assert verdict(looked) == "Nothing is wrong with its files; 1 thing looks wrong in its motion."
    looked.faults.append("one")
    assert verdict(looked).startswith("1 fault in its files.")


def feature(key: str, names: tuple[str, ...] | None, size: int, unit: str = "unknown") -> spec.Feature:
    return spec.Feature((size,), names or spec.nameless(key, size), (unit,) * size)


def test_state_and_action_share_a_panel_where_their_elements_have_one_name():
    features = {
        spec.STATE: feature(spec.STATE, ("x", "y"), 2),
        spec.ACTION: feature(spec.ACTION, ("y", "z"), 2),
        "observation.effort": feature("observation.effort", None, 5, "N"),
    }
    rows = {key: np.zeros((9, f.shape[0]), np.float32) for key, f in features.items()}
    made = [(panel.title, [line.label for line in panel.lines]) for panel in curves.panels(features, rows)]

    assert made[:3] == [("x", ["state"]), ("y", ["state", "action"]), ("z", ["action"])]
    assert made[3:] == [("effort", ["0", "1", "2", "3"]), ("effort", ["4"])]


def test_elements_without_names_are_paired_by_their_number():
    features = {key: feature(key, None, 2) for key in (spec.STATE, spec.ACTION)}
    rows = {key: np.zeros((9, 2), np.float32) for key in features}

    assert [(panel.title, len(panel.lines)) for panel in curves.panels(features, rows)] == [("0", 2), ("1", 2)]


def test_a_long_line_is_thinned_and_keeps_its_peaks():
    values = np.zeros(50_000, np.float32)
    values[12_345], values[30_001] = 9.0, -7.0
    at, drawn = curves.thinned(values)

    assert len(at) <= curves.MOST_POINTS
    assert {12_345, 30_001, 0, 49_999} <= set(at.tolist())
    assert (drawn.max(), drawn.min()) == (9.0, -7.0)


def test_a_handful_of_episodes_is_spread_over_the_dataset():
    assert curves.spread(10_000, 5) == [0, 2500, 5000, 7499, 9999]
    assert curves.spread(3, 5) == [0, 1, 2]
