"""The windows themselves, on a screen that nobody sees, with real keys; the pictures of it are looked at.

In real time, so alone on the machine.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import ImageGrab

ROOT = Path(__file__).parents[2]
MISSING = [name for name in ("Xvfb", "xdotool") if shutil.which(name) is None]
PATIENCE_S = 60.0

pytestmark = [
    pytest.mark.documented,
    pytest.mark.skipif(bool(MISSING), reason=f"no {' and no '.join(MISSING)} (Debian, Ubuntu: apt install xvfb xdotool)"),
]


class Window:
    """A command of soarm on a screen of its own."""

    def __init__(self, display: str, *words: str) -> None:
        self._display = display
        self._environment = {**os.environ, "DISPLAY": display}
        command = [sys.executable, "-m", "soarm", *words]
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        self.process: Any = subprocess.Popen(command, cwd=ROOT, env=self._environment, **pipes)

    def picture(self) -> np.ndarray:
        """What the screen shows, shape (H, W, 3)."""
        return np.array(ImageGrab.grab(xdisplay=self._display))[:, :, :3].astype(int)

    def wait_for(self, seen: Callable[[np.ndarray], Any]) -> np.ndarray:
        """Return a picture in which it is seen."""
        until_s = time.monotonic() + PATIENCE_S
        while time.monotonic() < until_s:
            picture = self.picture()
            if seen(picture):
                return picture
            assert self.process.poll() is None, self.process.stderr.read()
        raise AssertionError("it was never seen")

    def press(self, key: str) -> None:
        subprocess.run(["xdotool", "key", key], env=self._environment, check=True)

    def end(self) -> str:
        """Wait for the end, which must be a clean one, and return what is said on standard output."""
        said, told = self.process.communicate(timeout=PATIENCE_S)

        assert self.process.returncode == 0, told
        assert "Error" not in told
        return str(said)


@pytest.fixture
def window() -> Iterator[Callable[..., Window]]:
    """Return a starter of commands on a screen of 1280 x 720."""
    ours, theirs = os.pipe()
    with subprocess.Popen(
        ["Xvfb", "-displayfd", str(theirs), "-screen", "0", "1280x720x24", "-nolisten", "tcp", "-noreset"],
        pass_fds=[theirs],
        stderr=subprocess.DEVNULL,
    ) as server:
        os.close(theirs)
        with open(ours) as told:
            display = f":{told.readline().strip()}"
        started: list[Window] = []
        try:
            yield lambda *words: started.append(Window(display, *words)) or started[-1]
        finally:
            for one in started:
                one.process.kill()
                one.process.communicate()
            server.terminate()


def where(picture: np.ndarray, rgb: tuple[int, int, int], tolerance: int = 40) -> np.ndarray:
    """Return the columns and rows of pixels whose colour has these shares of red, green and blue, shape (n, 2)."""
    wanted = np.array(rgb) / np.linalg.norm(rgb)
    length = np.linalg.norm(picture, axis=2)
    alike = (picture / np.maximum(length, 1.0)[:, :, None]) @ wanted > 1.0 - tolerance / 1000.0
    rows, columns = np.nonzero(alike & (length > 90))
    return np.stack([columns, rows], axis=1)


ORANGE, BLUE, MAGENTA = (255, 122, 26), (33, 112, 235), (210, 60, 150)
MIDDLE_PX = 427
"""Between the two arms in a window of 853 px."""


def blues(picture: np.ndarray) -> np.ndarray:
    return where(picture, BLUE, 25)


def two_cubes(picture: np.ndarray) -> bool:
    cubes = blues(picture)[:, 0]
    return bool((cubes < MIDDLE_PX).sum() > 30 and (cubes > MIDDLE_PX).sum() > 30)


def left_cube(picture: np.ndarray) -> np.ndarray:
    cubes = blues(picture)
    middle: np.ndarray = np.median(cubes[cubes[:, 0] < MIDDLE_PX], axis=0)
    return middle


def test_base_and_residual_are_seen_beside_each_other_and_a_push_and_the_next_scene_change_the_picture(
    window: Callable[..., Window],
) -> None:
    shown = window("rl-demo", "examples/bundle", "--json")
    shown.wait_for(two_cubes)
    shown.press("m")
    shown.press("a")
    begun = shown.wait_for(lambda picture: two_cubes(picture) and len(where(picture, MAGENTA)) > 60)
    arms, dials = where(begun, ORANGE)[:, 0], where(begun, MAGENTA)[:, 0]
    help_panel = begun[430:470, 8:200]
    before = left_cube(begun)
    shown.press("p")
    shown.wait_for(lambda picture: two_cubes(picture) and np.linalg.norm(left_cube(picture) - before) > 3)
    shown.press("n")
    shown.wait_for(lambda picture: two_cubes(picture) and np.linalg.norm(left_cube(picture) - before) > 15)
    shown.press("q")
    report = json.loads(shown.end())

    assert min((arms < MIDDLE_PX).sum(), (arms > MIDDLE_PX).sum()) > 1000
    assert (dials > MIDDLE_PX).mean() > 0.95
    assert (help_panel.min(axis=2) > 200).sum() > 50  # letters
    assert report["pushes"] == 1


@pytest.mark.parametrize("task", ["push", "stack"])
def test_a_demonstrator_of_every_task_is_seen_and_the_window_ends_with_its_scenes(
    task: str, window: Callable[..., Window]
) -> None:
    shown = window("run", "demonstrator", "--task", task, "--seed", "1", "--scenes", "1", "--json")
    picture = shown.wait_for(lambda picture: len(where(picture, ORANGE)) > 1000 and len(blues(picture)) > 60)
    report = json.loads(shown.end())

    assert len(where(picture, MAGENTA)) < 20
    assert [ending["success"] for ending in report["scenes"][0]["endings"]] == [True]


def test_ctrl_c_closes_the_window_cleanly(window: Callable[..., Window]) -> None:
    shown = window("run", "examples/bundle", "--json")
    shown.wait_for(lambda picture: len(where(picture, ORANGE)) > 1000)
    shown.process.send_signal(2)

    assert json.loads(shown.end()) == {"scenes": [], "pushes": 0}


def test_keys_in_the_window_drive_the_arm(window: Callable[..., Window]) -> None:
    def highest(picture: np.ndarray) -> int:
        return int(np.percentile(where(picture, ORANGE)[:, 1], 2))

    shown = window("control")
    before = highest(shown.wait_for(lambda picture: len(where(picture, ORANGE)) > 1000))
    for _ in range(20):
        shown.press("r")
    shown.wait_for(lambda picture: highest(picture) < before - 20)
    shown.press("q")

    assert "r/f up/down" in shown.end()
