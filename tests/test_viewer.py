"""MuJoCo's viewer behind a handle that is none: what is put back, what is heard, and how it ends."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import mujoco
import numpy as np
import pytest

from soarm import viewer
from soarm.errors import SimulationError
from soarm.viewer import Snapshot, Viewer

MODEL = mujoco.MjModel.from_xml_string(
    "<mujoco><worldbody><body name='cube'><freejoint/><geom size='.1'/></body></worldbody></mujoco>"
)
CORNER = mujoco.mjtGridPos.mjGRID_TOPLEFT


class Handle:
    """Stands for the handle of MuJoCo's viewer; each sync shows what was drawn."""

    def __init__(self, key_callback: Callable[[int], None] | None) -> None:
        self.press, self.open, self.shown, self.texts = key_callback, True, [], []
        self.cam, self.opt, self.user_scn = mujoco.MjvCamera(), mujoco.MjvOption(), mujoco.MjvScene(MODEL, 100)
        self.drawing = threading.Thread(target=self._draw)
        self.drawing.start()

    def _draw(self) -> None:
        while self.open:
            time.sleep(0.001)

    def is_running(self) -> bool:
        return self.open

    def lock(self) -> Any:
        return contextlib.nullcontext()

    def sync(self) -> None:
        self.shown.append(self.user_scn.ngeom)

    def set_texts(self, texts: list[Any]) -> None:
        self.texts.append(texts)

    def close(self) -> None:
        self.open = False


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Viewer, Handle]]:
    handles: list[Handle] = []

    def launch(model: Any, data: Any, *, key_callback: Any = None, **_: Any) -> Handle:
        handles.append(Handle(key_callback))
        return handles[0]

    monkeypatch.setattr(viewer, "window_fault", lambda: None)
    monkeypatch.setitem(sys.modules, "mujoco.viewer", SimpleNamespace(launch_passive=launch))
    with Viewer(MODEL, mujoco.MjData(MODEL), listens=True) as shown:
        yield shown, handles[0]


def test_keys_are_heard_by_name(opened: tuple[Viewer, Handle]) -> None:
    shown, handle = opened
    assert handle.press is not None
    for code in (78, 32, 257, 300, 49):
        handle.press(code)

    assert shown.pressed() == ["n", "space", "enter", "1"]
    assert shown.pressed() == []


def test_what_mujoco_changes_at_a_key_is_put_back(opened: tuple[Viewer, Handle]) -> None:
    _, handle = opened
    before = handle.opt.flags.copy(), handle.opt.geomgroup.copy()
    handle.opt.flags[14], handle.opt.geomgroup[1] = 1, 0
    assert handle.press is not None
    handle.press(67)

    np.testing.assert_array_equal(handle.opt.flags, before[0])
    np.testing.assert_array_equal(handle.opt.geomgroup, before[1])


def test_what_is_drawn_is_drawn_anew_each_time(opened: tuple[Viewer, Handle]) -> None:
    shown, handle = opened

    def draw(scene: mujoco.MjvScene) -> None:
        scene.ngeom += 2

    shown.show(draw)
    shown.show(draw)

    assert handle.shown[-2:] == [2, 2]


def test_texts_are_written_when_they_change_and_nobody_waits_for_them(opened: tuple[Viewer, Handle]) -> None:
    shown, handle = opened
    for text in ("one", "one", "two"):
        shown.show(texts=[(CORNER, text, "")])
        time.sleep(0.02)

    assert [texts[0][2] for texts in handle.texts] == ["one", "two"]


def test_closing_waits_until_the_window_is_gone(opened: tuple[Viewer, Handle]) -> None:
    shown, handle = opened
    shown.close()
    shown.close()
    shown.show(lambda scene: None)

    assert not handle.drawing.is_alive()
    assert not shown.is_open


def test_where_no_window_can_be_opened_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    failed = subprocess.CompletedProcess([], 1, "X11: Failed to open display :9\n", "")
    monkeypatch.setattr(viewer.subprocess, "run", lambda *_, **__: failed)
    viewer.window_fault.cache_clear()

    with pytest.raises(SimulationError, match=r"no window can be opened here \(X11: Failed to open display :9\)"):
        Viewer(MODEL, mujoco.MjData(MODEL))
    viewer.window_fault.cache_clear()


def test_a_snapshot_can_be_on_the_way_to_a_state() -> None:
    data, snapshot = mujoco.MjData(MODEL), Snapshot(MODEL)
    start = data.qpos.copy()
    data.qpos[:] = [0.4, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0]  # and turned by half a turn
    half = snapshot.between(start, data, 0.5)

    assert half.body("cube").xpos == pytest.approx([0.2, 0.0, 0.0])
    assert abs(half.qpos[3]) == pytest.approx(np.sqrt(0.5))
    np.testing.assert_array_equal(snapshot.of(data).qpos, data.qpos)
