"""A result that is made in parts: what was made is kept, what follows from something else is not taken."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from soarm.errors import DatasetError, StageError
from soarm.parts import Parts, folder_of


def writes(text: str) -> Callable[[Path], None]:
    """Return what fills a part."""
    return lambda folder: (folder / "rows").write_text(text) and None


def read(folder: Path) -> str:
    """Return what a part holds.

    Raises:
        DatasetError: It is empty, as after a power cut.
    """
    if not (text := (folder / "rows").read_text()):
        raise DatasetError("rows is empty")
    return text


def test_a_part_is_made_once_by_all_that_follow_from_the_same(tmp_path: Path) -> None:
    made = Parts(tmp_path, "gauntlet", "state", "late").made("late", writes("first"), read)
    again = Parts(tmp_path, "gauntlet", "state", None).made("late", writes("second"), read)
    changed = Parts(tmp_path, "gauntlet", "other", None).made("late", writes("second"), read)

    assert (made, again, changed) == ("first", "first", "second")
    assert {path.name for path in (tmp_path / folder_of("gauntlet", "late")).iterdir()} == {"state", "other"}


def test_a_part_that_was_broken_off_or_that_a_power_cut_emptied_is_made_anew(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def broken_off(folder: Path) -> None:
        (folder / "rows").write_text("half")
        raise KeyboardInterrupt

    parts = Parts(tmp_path, "gauntlet", "state", None)
    with pytest.raises(KeyboardInterrupt):
        parts.made("late", broken_off, read)
    assert parts.made("late", writes("whole"), read) == "whole"
    (tmp_path / folder_of("gauntlet", "late", "state", "rows")).write_text("")

    assert parts.made("late", writes("anew"), read) == "anew"
    assert "gauntlet: late is made anew: rows is empty" in caplog.text
    assert [path.name for path in (tmp_path / folder_of("gauntlet", "late")).iterdir()] == ["state"]


def test_of_two_that_make_the_same_at_once_one_is_kept(tmp_path: Path) -> None:
    parts = Parts(tmp_path, "gauntlet", "state", None)

    def overtaken(folder: Path) -> None:
        parts.made("late", writes("the other's"), read)
        writes("ours")(folder)

    assert parts.made("late", overtaken, read) == "the other's"


def test_one_part_or_all_are_wanted_and_no_other(tmp_path: Path) -> None:
    assert Parts(tmp_path, "gauntlet", "state", None).wanted({"late": 1, "mass": 2}) == ["late", "mass"]
    assert Parts(tmp_path, "gauntlet", "state", "mass").wanted(["late", "mass"]) == ["mass"]
    with pytest.raises(StageError, match=r"gauntlet has no part 'size' by these parameters; its parts are late, mass"):
        Parts(tmp_path, "gauntlet", "state", "size").wanted(["late", "mass"])
