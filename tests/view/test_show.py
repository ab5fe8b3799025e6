"""Where a page goes, what it never replaces, and what Rerun is given."""

from __future__ import annotations

import shutil
import sys
import webbrowser
from pathlib import Path

import pytest

from soarm.errors import DatasetError, MissingPackageError, ViewError
from soarm.view import dataset_page, show
from soarm.view.inspection import inspect


@pytest.fixture(autouse=True)
def _quick(monkeypatch) -> None:
    monkeypatch.setattr(dataset_page, "render", lambda looked, episodes, notes: f"<html>{episodes}</html>\n")


def content(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_page_lies_beside_the_dataset_which_stays_as_it_is(tmp_path, with_video):
    path = shutil.copytree(with_video, tmp_path / "mine")
    before = content(path)

    assert show.show_page(path, browser=False) == tmp_path / "mine.html"
    assert show.show_page(path, episodes=[2, 0, 2], browser=False) == tmp_path / "mine.html"  # its own is replaced
    assert (tmp_path / "mine.html").read_text().startswith("<html>[2, 0]")
    assert content(path) == before


def test_a_file_of_somebody_else_is_never_replaced(tmp_path, with_video):
    (tmp_path / "theirs.html").write_text("<html></html>")
    (tmp_path / "link.html").symlink_to(tmp_path / "nowhere")

    for target in (tmp_path / "theirs.html", tmp_path / "link.html", tmp_path):
        with pytest.raises(ViewError, match=r"was not written by soarm view\. Choose another place with --out"):
            show.show_page(with_video, target, browser=False)
    assert (tmp_path / "theirs.html").read_text() == "<html></html>"


def test_a_place_that_cannot_be_written_is_said(tmp_path, with_video):
    (tmp_path / "file").touch()

    with pytest.raises(ViewError, match=r"cannot be written to .*Choose another place"):
        show.show_page(with_video, tmp_path / "file" / "page.html", browser=False)


def test_an_episode_that_is_not_there_is_said(tmp_path, with_video):
    with pytest.raises(DatasetError, match=r"there is no episode 3, -1; the dataset has the episodes 0\.\.2"):
        show.show_page(with_video, tmp_path / "page.html", [0, 3, -1], browser=False)
    assert not (tmp_path / "page.html").exists()


@pytest.mark.parametrize("display", ["", ":9"])
def test_the_page_is_opened_where_there_is_a_display(tmp_path, with_video, monkeypatch, display):
    opened: list[str] = []
    monkeypatch.setattr(webbrowser, "open", opened.append)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("DISPLAY", display)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    page = show.show_page(with_video, tmp_path / "page.html")

    assert opened == ([page.as_uri()] if display else [])


def test_rerun_gets_states_actions_cameras_and_the_arm_of_each_episode(tmp_path, with_video, request):
    rerun = pytest.importorskip("rerun", reason="the extra `view` is not installed")
    from soarm.dataset.conversion import convert

    convert(with_video, tmp_path / "degrees")
    show.show_in_rerun(tmp_path / "degrees", tmp_path / "d.rrd", [0, 2])

    rows: dict[str, int] = {}
    for chunk in rerun.chunk.RrdReader(tmp_path / "d.rrd").stream():
        if chunk.timeline_names:
            rows[chunk.entity_path] = rows.get(chunk.entity_path, 0) + chunk.num_rows
    expected = {"arm", "observation.images.front"} | {f"{name}/{kind}" for name in JOINTS for kind in ("state", "action")}
    assert rows == {f"/episode_{i}/{name}": n for i, n in ((0, 40), (2, 50)) for name in expected}
    with pytest.raises(ViewError, match=r"d\.rrd is there already"):
        show.show_in_rerun(tmp_path / "degrees", tmp_path / "d.rrd")


JOINTS = ("shoulder_pan.pos", "shoulder_lift.pos", "elbow_flex.pos", "wrist_flex.pos", "wrist_roll.pos", "gripper.pos")


def test_without_rerun_or_a_display_one_sentence_says_what_to_do(tmp_path, with_video, monkeypatch):
    monkeypatch.setitem(sys.modules, "rerun", None)
    with pytest.raises(MissingPackageError, match=r"Rerun viewer is not installed: pip .*\[view\].*every browser shows"):
        show.show_in_rerun(with_video, tmp_path / "d.rrd")
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    with pytest.raises(ViewError, match=r"no display for the Rerun viewer\. Write a file with --save"):
        show.show_in_rerun(with_video)


def test_rerun_shows_no_dataset_without_rows(tmp_path, with_video):
    path = shutil.copytree(with_video, tmp_path / "d")
    shutil.rmtree(path / "data")

    assert inspect(path).columns == {}
    with pytest.raises(DatasetError, match=r"no rows that can be read\. `soarm view .*` writes a page"):
        show.show_in_rerun(path, tmp_path / "d.rrd")
