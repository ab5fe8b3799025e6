from __future__ import annotations

import os

import pytest

from soarm.dataset import storage
from soarm.errors import DatasetError


def _replace(path, text: str) -> None:
    folder = storage.room_for(path)
    (folder / "file").write_text(text)
    storage.publish(path)


def test_a_folder_is_replaced_and_nothing_is_left_beside_it(tmp_path):
    for text in ("one", "two"):
        _replace(tmp_path / "d", text)

    assert (tmp_path / "d/file").read_text() == "two"
    assert [entry.name for entry in tmp_path.iterdir()] == ["d"]


def test_a_link_to_a_folder_stays_a_link(tmp_path):
    _replace(tmp_path / "real", "one")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    _replace(tmp_path / "link", "two")

    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real/file").read_text() == "two"


def test_the_working_directory_can_be_replaced(tmp_path, monkeypatch):
    _replace(tmp_path / "d", "one")
    monkeypatch.chdir(tmp_path / "d")
    _replace(storage.Path(), "two")

    assert (tmp_path / "d/file").read_text() == "two"


def test_a_swap_that_fails_half_way_is_undone(tmp_path, monkeypatch):
    _replace(tmp_path / "d", "one")
    replace, calls = os.replace, []

    def fail_second(source, target):
        calls.append(source)
        if len(calls) == 2:
            raise PermissionError(13, "Permission denied")
        replace(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", fail_second)
        with pytest.raises(DatasetError, match=r"cannot write .*d: Permission denied. What was there before is untouched"):
            _replace(tmp_path / "d", "two")

    assert (tmp_path / "d/file").read_text() == "one"


@pytest.mark.parametrize("made_anew", [False, True])
def test_what_lay_between_two_renames_is_put_back(tmp_path, made_anew):
    _replace(tmp_path / "d", "one")
    (tmp_path / "d").rename(tmp_path / ".d.soarm-before")
    if made_anew:
        (tmp_path / "d").mkdir()
    seen = (storage.location(tmp_path / "d") / "file").read_text()
    storage.recover(tmp_path / "d")

    assert seen == "one"
    assert (tmp_path / "d/file").read_text() == "one"
