"""`soarm twin` as a user starts it."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from soarm import arm
from soarm import params as params_file
from soarm.cli import main, sim
from soarm.errors import TwinError
from soarm.hardware.bus import Bus
from soarm.hardware.calibration import Calibration
from soarm.hardware.packets import scan
from soarm.sim.params import SimParams
from soarm.twin import serving
from soarm.twin.faults import ON_REPLIES, ON_THE_ARM
from soarm.twin.leading import SWEEP_DEG, SWEEP_S, Motion
from soarm.twin.servo import FirmwareAssumptions

ROOT = Path(__file__).parents[2]
IDS = range(1, 7)
HOME = np.array([0.0, 0.0, 5.0, 90.0, -90.0, 30.0])


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP", "SIGINT"])
def test_without_params_it_starts_and_a_signal_takes_its_links_away(tmp_path, name):
    words = ["--port", "arm", "--port", "leader", "--clock", "lockstep"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, "-m", "soarm", "twin", *words],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        overdue = threading.Timer(60.0, process.kill)
        overdue.start()
        heard = ""
        for line in process.stdout:
            heard += line
            if "Ctrl-C ends it" in line:
                assert os.path.lexists(tmp_path / "arm")
                process.send_signal(getattr(signal, name))
        status = process.wait()
        overdue.cancel()

    assert status == 0, heard
    assert heard.endswith("the twin is gone\n")
    assert list(tmp_path.iterdir()) == []


def test_params_that_are_named_must_be_there(tmp_path, monkeypatch, caplog):
    monkeypatch.chdir(tmp_path)

    assert main(["twin", "--params", "mine.yaml"]) == 1
    assert "mine.yaml does not exist" in caplog.text


def run(monkeypatch, folder, words, wait):
    monkeypatch.chdir(folder)
    monkeypatch.setattr(serving, "serve", functools.partial(serving.serve, wait=wait))
    return main(["twin", *words, "--params", str(ROOT / "params.yaml")])


def once(seconds):
    signal.raise_signal(signal.SIGINT)


def test_every_unknown_has_a_switch_in_both_directions(monkeypatch):
    told = []
    monkeypatch.setattr(serving, "serve", lambda sim, config, **_: told.append(config.assumptions))

    def chosen(*words):
        assert main(["twin", *words, "--params", str(ROOT / "params.yaml")]) == 0
        return told.pop()

    usual = FirmwareAssumptions()
    for name in vars(usual):
        word = name.replace("_", "-")
        on, off = (chosen(f"--{no}{word}") for no in ("", "no-"))

        assert (getattr(on, name), getattr(off, name)) == (True, False)
    assert chosen() == usual


def test_cameras_are_named_with_their_sizes_and_stay_where_the_parameters_have_them(tmp_path, monkeypatch):
    told = []
    monkeypatch.setattr(serving, "serve", lambda sim, config, **_: told.append(sim.cameras))
    text = (ROOT / "params.yaml").read_text()
    (tmp_path / "params.yaml").write_text(text.replace("profile: default", "profile: pixels", 1))
    words = ["twin", "--pictures", str(tmp_path), "--params", str(tmp_path / "params.yaml")]

    assert main([*words, "--camera", "front:128x96", "--camera", "top"]) == 0
    assert main(words) == 0
    (chosen, usual) = told
    assert chosen["front"] == dataclasses.replace(usual["front"], width_px=128, height_px=96)
    assert (chosen["top"].width_px, chosen["top"].height_px, list(chosen)) == (640, 480, ["front", "top"])


def test_a_camera_of_no_pictures_is_refused(capsys):
    assert main(["twin", "--camera", "front"]) == 2
    assert "--pictures FOLDER draws; give it too" in capsys.readouterr().err


def test_every_byte_of_the_arm_s_line_is_logged(tmp_path, monkeypatch, exchanges):
    def ask(seconds):
        with Bus.open("arm", IDS, timeout_s=5.0) as bus:
            bus.ping(3)
        signal.raise_signal(signal.SIGINT)

    words = ["--port", "arm", "--wire-log", "wire.jsonl", "--clock", "lockstep"]
    assert run(monkeypatch, tmp_path, words, ask) == 0
    (request, answer), *_ = exchanges(tmp_path / "wire.jsonl")
    assert request[2] == 3
    assert [packet.servo_id for packet in scan(answer).packets] == [3]


def test_a_wire_log_that_cannot_be_written_is_said(tmp_path, monkeypatch, caplog):
    (tmp_path / "folder").mkdir()

    assert run(monkeypatch, tmp_path, ["--port", "arm", "--wire-log", "folder"], once) == 1
    assert "folder cannot be written (Is a directory); choose another place for --wire-log" in caplog.text


def leader_q(calibration):
    with Bus.open("leader", IDS, timeout_s=5.0) as bus:
        return calibration.to_units(np.array([bus.read(i, "present_position") for i in IDS]))


@pytest.mark.parametrize("how", ["sweep", "file"])
def test_the_leader_moves_by_itself(tmp_path, monkeypatch, how):
    (tmp_path / "motion.json").write_text(json.dumps({"t_s": [0.0, 0.2], "q": [HOME.tolist(), (HOME + 20).tolist()]}))
    calibration, seen, until_s = Calibration.nominal(), [], time.monotonic() + 60.0

    def look(seconds):
        seen.append(leader_q(calibration))
        if np.abs(seen[-1] - seen[0]).max() > 5 or time.monotonic() > until_s:
            signal.raise_signal(signal.SIGINT)
        time.sleep(0.01)

    words = ["--port", "arm", "--port", "leader", "--lead", "sweep" if how == "sweep" else "motion.json"]
    assert run(monkeypatch, tmp_path, words, look) == 0
    assert np.abs(seen[-1] - seen[0]).max() > 5


def test_a_leader_that_is_not_moved_stands_where_the_arm_does(tmp_path, monkeypatch):
    seen = []

    def look(seconds):
        seen.append(leader_q(Calibration.nominal()))
        signal.raise_signal(signal.SIGINT)

    home = params_file.load(ROOT / "params.yaml").section("sim", SimParams).task.home
    assert run(monkeypatch, tmp_path, ["--port", "arm", "--port", "leader", "--clock", "lockstep"], look) == 0
    assert np.abs(seen[0] - home).max() < 6, "home, and its jitter"


def test_a_sweep_swings_every_joint_in_turn_and_comes_back():
    motion = Motion.sweep(HOME)

    np.testing.assert_allclose(motion(0.0), HOME)
    for joint in range(6):
        swing = motion((joint + 0.25) * SWEEP_S) - HOME
        assert swing[joint] == pytest.approx(min(SWEEP_DEG, arm.UPPER[joint] - HOME[joint]), abs=1e-4)
        assert np.abs(np.delete(swing, joint)).max() < 1e-9
    np.testing.assert_allclose(motion(6 * SWEEP_S + 0.3), motion(0.3))


def test_a_motion_of_a_file_passes_its_poses_and_stays_at_the_last():
    motion = Motion([1.0, 2.0, 3.0], [HOME, HOME + 10, HOME - 10])

    np.testing.assert_allclose([motion(0.0), motion(2.0), motion(99.0)], [HOME, HOME + 10, HOME - 10])
    np.testing.assert_allclose(motion(1.5), HOME + 5)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "holds no motion"),
        ('{"t_s": [0]}', "holds no motion"),
        ('{"t_s": [0, 1], "q": [[0, 0, 0, 0, 0, 0]]}', r"\(2,\) and \(1, 6\)"),
        ('{"t_s": [1, 0], "q": [[0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0]]}', "must increase"),
        ('{"t_s": ["now"], "q": [[0, 0, 0, 0, 0, 0]]}', "made of numbers"),
    ],
)
def test_a_motion_that_is_none_is_refused(tmp_path, text, message):
    (tmp_path / "motion.json").write_text(text)

    with pytest.raises(TwinError, match=message):
        Motion.load(tmp_path / "motion.json")


def test_help_names_every_fault():
    text = inspect.signature(sim.twin).parameters["fault"].annotation

    assert [kind for kind in (*ON_REPLIES, *ON_THE_ARM) if kind not in text] == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--lead", "sweep", "--port", "arm"], "--lead needs a second --port"),
        (["--port", "a", "--port", "b", "--port", "c"], "3 ports were given"),
    ],
)
def test_ports_that_do_not_fit_are_refused(words, message, capsys):
    assert main(["twin", *words]) == 2
    assert message in capsys.readouterr().err
