"""The window of an arm that somebody drives."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import pytest

from soarm.errors import SimulationError
from soarm.sim.env import SimEnv
from soarm.sim.params import SimParams
from soarm.window import driving


class FakeViewer:
    """A window that is none."""

    def __init__(self, model: Any, data: Any, *, listens: bool) -> None:
        assert listens
        self.data, self.is_open, self.keys, self.texts, self.cubes = data, True, [], [], []

    def look(self, *_: Any, **__: Any) -> None: ...

    def show(self, draw: Any = None, texts: Any = ()) -> None:
        self.texts, self.cubes = [text for _, text, _ in texts], [*self.cubes, self.data.qpos[6:9].copy()]

    def pressed(self) -> list[str]:
        return self.keys

    def close(self) -> None:
        self.is_open = False


@pytest.fixture
def env(sim: SimParams) -> SimEnv:
    made = SimEnv(sim)
    made.reset(seed=3)
    return made


def test_a_window_shows_the_arm_says_lines_and_types_like_a_terminal(env: SimEnv, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driving, "Viewer", FakeViewer)
    with driving.opener(required=True)(env, "r up") as window:
        assert window is not None
        viewer: Any = window._viewer
        window.say("recording")
        window.show()
        viewer.keys = ["r", "space", "enter", "tab"]
        typed = window.typed()
        viewer.is_open = False

        assert typed == "r \n"
        assert window.typed() == "q"
        assert viewer.texts == ["recording", "r up"]
        np.testing.assert_array_equal(viewer.cubes[0], env.data.qpos[6:9])


def test_where_there_is_no_display_it_goes_without_unless_a_window_is_asked_for(
    env: SimEnv, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise SimulationError("no window can be opened here (no screen)")

    monkeypatch.setattr(driving, "Viewer", fail)
    with caplog.at_level(logging.INFO), driving.opener(required=False)(env, "") as window:
        assert window is None
    assert "no window can be opened here (no screen), so the arm moves unseen" in caplog.text
    with pytest.raises(SimulationError, match=r"\(no screen\)\. A window needs a display"):
        driving.opener(required=True)(env, "").__enter__()
