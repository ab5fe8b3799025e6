"""A session with a window on the simulated arm: it is shown, told, and typed into."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from soarm.dataset.reader import Dataset
from soarm.spec import ACTION
from soarm.teleop.control import ControlConfig, control

ROOT = Path(__file__).parents[2]


class FakeDisplay:
    """A window into which somebody types: number of a look -> characters."""

    def __init__(self, typed: dict[int, str]) -> None:
        self._typed, self.looks, self.shown, self.said = typed, 0, 0, []
        self.keys, self.open = "", False

    def show(self) -> None:
        self.shown += 1

    def say(self, text: str) -> None:
        self.said.append(text)

    def typed(self) -> str:
        self.looks += 1
        return self._typed.get(self.looks, "")

    @contextlib.contextmanager
    def on(self, env: Any, keys: str) -> Iterator[FakeDisplay]:
        self.keys, self.open = keys, True
        yield self
        self.open = False


def test_an_arm_is_driven_and_recorded_from_its_window_alone(tmp_path: Path) -> None:
    display = FakeDisplay({2: " ", 3: "r", 8: "\n"})
    config = ControlConfig(dataset=tmp_path / "mine", episodes=1, task="pick_place", params=ROOT / "params.yaml")
    report = control(config, display.on)
    dataset = Dataset.open(tmp_path / "mine")

    assert [timing.steps for timing in report.kept] == [6]
    assert dataset.columns[ACTION][5][1] != pytest.approx(dataset.columns[ACTION][0][1], abs=0.1)  # shoulder_lift, upwards
    assert display.shown == display.looks + 1  # every step, and the scene at the start
    assert display.said == ["start: 0 of 1 kept, recording", "keep: 1 of 1 kept, ended"]
    assert "r/f up/down" in display.keys
    assert "enter keep" in display.keys
    assert not display.open


def test_a_window_that_is_closed_ends_a_scripted_session_as_well(tmp_path: Path) -> None:
    display = FakeDisplay({4: "q"})
    config = ControlConfig(leader="expert", dataset=tmp_path / "mine", fast=True, params=ROOT / "params.yaml")
    report = control(config, display.on)

    assert report.kept == []
    assert display.looks == 4


def test_without_a_window_all_is_as_before(tmp_path: Path) -> None:
    @contextlib.contextmanager
    def none(env: Any, keys: str) -> Iterator[None]:
        yield None

    config = ControlConfig(leader="expert", dataset=tmp_path / "mine", episodes=1, fast=True, params=ROOT / "params.yaml")

    assert len(control(config, none).kept) == 1
