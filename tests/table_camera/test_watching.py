"""From pictures to a file that is kept fresh; a camera that was moved; the page; the table's file; the commands."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import cv2
import numpy as np
import pytest

from soarm import cli
from soarm.errors import CalibrationError, ObservationError
from soarm.runtime.objects import FileObjects
from soarm.runtime.picture_file import encode
from soarm.smallfile import write_atomically
from soarm.table_camera.moved import Reference
from soarm.table_camera.page import Live, served
from soarm.table_camera.table import Table, TouchTest
from soarm.table_camera.tracker import Tracker
from soarm.table_camera.watching import Watcher, watch
from soarm.tasks.pick_place import TASK

_SPEC = importlib.util.spec_from_file_location("painted", Path(__file__).with_name("painted.py"))
assert _SPEC is not None
assert _SPEC.loader is not None
painted = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(painted)
CAMERA, SCENE, paint, textured = painted.CAMERA, painted.SCENE, painted.paint, painted.textured


def shifted(grey, by_m, seed=1):
    """Return what the camera sees of a table of that grey after it was moved to the side."""
    corners = np.array([[-0.2, -0.3], [0.2, -0.3], [0.2, -0.05], [-0.2, -0.05]])
    moved, _ = cv2.findHomography(CAMERA.project(corners, 0.0), CAMERA.project(corners + np.array([by_m, 0.0]), 0.0))
    picture = cv2.warpPerspective(grey, moved, (640, 480), borderMode=cv2.BORDER_REPLICATE).astype(float)
    return np.clip(picture + np.random.default_rng(seed).normal(0, 1.5, picture.shape), 0, 255).round().astype(np.uint8)


def on_texture(*boxes, grey=None):
    """Return a painted picture whose table has marks."""
    picture = paint(*boxes)
    plain = picture.std(axis=2) < 12
    return np.where(plain[..., None], (textured() if grey is None else grey)[..., None], picture).astype(np.uint8)


@pytest.mark.parametrize(("by_m", "moved"), [(0.0, False), (0.01, True), (-0.01, True), (0.03, True)])
def test_a_camera_that_was_moved_by_a_centimetre_is_found(table, by_m, moved):
    shift = Reference(table).shift(shifted(table.reference, by_m))

    assert (shift.is_known, shift.moved) == (True, moved)
    assert shift.table_m == pytest.approx(abs(by_m), abs=0.0015)
    assert ("was moved" if moved else "is where it was") in shift.words()


def test_an_arm_in_the_picture_does_not_make_the_camera_seem_moved(table):
    picture = shifted(table.reference, 0.0)
    picture[100:350, 200:420] = textured(5)[100:350, 200:420]
    shift = Reference(table).shift(picture)

    assert (shift.is_known, shift.moved) == (True, False)


def test_a_plain_table_says_nothing(table):
    plain = dataclasses.replace(table, reference=np.full((480, 640), 200, np.uint8))
    shift = Reference(plain).shift(np.full((480, 640), 200, np.uint8))

    assert not shift.is_known
    assert "cannot be told" in shift.words()


def test_the_file_is_one_that_drive_reads_and_says_what_is_hidden(table, tmp_path):
    target = tmp_path / "objects.json"
    watcher = Watcher(Tracker(TASK, table), target)
    for i in range(12):
        watcher.take(on_texture(*SCENE), i / 30)
        assert target.exists() == (i >= 9), "the first pictures show whether the camera was moved"
    watcher.take(on_texture(SCENE[1]), 1.0)
    source = FileObjects(TASK, target)
    value = source.read().value

    np.testing.assert_allclose(value[:2], SCENE[0][1], atol=0.001)
    assert source.hidden == {"cube": pytest.approx(1.0 - 11 / 30)}
    np.testing.assert_allclose(source.camera_m, CAMERA.eye_m)
    assert json.loads(target.read_text())["task"] == "pick_place"


def test_nothing_is_written_with_a_camera_that_was_moved_unless_told_so(table, tmp_path, caplog):
    picture = on_texture(*SCENE, grey=shifted(table.reference, 0.01))
    watcher = Watcher(Tracker(TASK, table), tmp_path / "objects.json")
    with pytest.raises(ObservationError, match=r"was moved since the table was calibrated: its picture is .* --allow-moved"):
        for i in range(12):
            watcher.take(picture, i / 30)
    assert not (tmp_path / "objects.json").exists()
    insisting = Watcher(Tracker(TASK, table), tmp_path / "objects.json", insist=True)
    for i in range(12):
        insisting.take(picture, i / 30)

    assert (tmp_path / "objects.json").exists()
    assert "was moved" in caplog.text


def test_a_camera_that_is_moved_later_stops_the_file_until_it_is_back(table, tmp_path, caplog):
    target = tmp_path / "objects.json"
    watcher = Watcher(Tracker(TASK, table), target)
    right, wrong = on_texture(*SCENE), on_texture(*SCENE, grey=shifted(table.reference, 0.01))
    for i in range(50):
        watcher.take(right, i / 30)
    for i in range(50, 75):
        watcher.take(wrong, i / 30)
    target.unlink()
    watcher.take(wrong, 2.6)
    stopped = not target.exists()
    for i in range(76, 135):
        watcher.take(right, i / 30)

    assert stopped
    assert "nothing is written until it is back" in caplog.text
    assert target.exists()


def test_every_new_picture_is_taken_once_until_it_is_over(table, tmp_path):
    pictures = [(0.1, on_texture(*SCENE))] * 3 + [(0.2, on_texture(*SCENE))]
    seen = []

    class Camera:
        subject = "pictures"

        def read(self):
            return pictures.pop(0)

    class Counting(Watcher):
        def take(self, picture, t_s):
            seen.append(t_s)
            return super().take(picture, t_s)

    watch(Camera(), Counting(Tracker(TASK, table), tmp_path / "o.json"), lambda: not pictures, lambda: 0.2, lambda s: None)

    assert seen == [0.1, 0.2]


def test_the_command_keeps_the_file_fresh_until_ctrl_c(table, tmp_path):
    table.save(tmp_path / "table.json")
    picture, target = tmp_path / "front.ppm", tmp_path / "objects.json"
    content = encode(on_texture(*SCENE))
    write_atomically(picture, content, ObservationError)
    words = [sys.executable, "-m", "soarm", "track", "table.json", "objects.json", "--camera", "front.ppm", "--page", "0"]
    with subprocess.Popen(words, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        until = time.monotonic() + 60
        while not target.exists() and process.poll() is None and time.monotonic() < until:
            write_atomically(picture, content, ObservationError, durable=False)
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=30)

    assert process.returncode == 0, said
    assert json.loads(target.read_text())["hidden"] == {}, said
    assert "the camera is where it was" in said
    assert "http://127.0.0.1:" in said


def test_the_page_shows_the_picture_on_this_computer_alone(table):
    live = Live()
    live.show(paint(*SCENE))
    with served(live, 0) as address:
        assert address.startswith("http://127.0.0.1:")
        page = urllib.request.urlopen(address, timeout=5).read()
        jpeg = urllib.request.urlopen(address + "picture.jpg", timeout=5).read()
        with urllib.request.urlopen(address + "stream", timeout=5) as stream:
            first = stream.read(7)
        port = int(address.rsplit(":", 1)[1].strip("/"))
        with pytest.raises(ObservationError, match=f"cannot be served on port {port}"), served(live, port):
            pass

    assert b"/stream" in page
    assert cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR).shape == (480, 640, 3)
    assert first == b"--frame"


def test_a_table_is_read_as_it_was_written(table, tmp_path):
    table.save(tmp_path / "table.json")
    read = Table.load(tmp_path / "table.json")

    assert (read.camera, read.plane, read.test) == (table.camera, table.plane, table.test)
    np.testing.assert_array_equal(read.reference, table.reference)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("version", 9, "version 9"),
        ("camera", {}, "camera"),
        ("reference_png", "x", "must be a picture"),
        ("arm", 3, "arm is 3"),
    ],
)
def test_a_file_that_is_no_table_is_refused(table, tmp_path, key, value, message):
    path = tmp_path / "table.json"
    table.save(path)
    path.write_text(json.dumps({**json.loads(path.read_text()), key: value}))
    with pytest.raises(CalibrationError, match=message):
        Table.load(path)


def test_a_table_that_is_more_than_5_mm_off_is_not_used_unless_told_so(table, tmp_path, capsys):
    path, picture = tmp_path / "table.json", tmp_path / "none.ppm"
    dataclasses.replace(table, test=TouchTest(3, 0.002, 0.0061)).save(path)
    words = ["track", str(path), str(tmp_path / "o.json"), "--camera", str(picture)]

    assert cli.main(words) == 1
    assert "6.1 mm at most; at most 5 mm are allowed" in capsys.readouterr().err
    assert cli.main([*words, "--allow-error"]) == 1
    assert "none.ppm cannot be read" in capsys.readouterr().err
