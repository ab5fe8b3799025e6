"""The arm's commands, and what becomes of them when the person walks away; the twin plays the servos."""

from __future__ import annotations

import logging
import re

import pytest

from soarm.cli import main
from soarm.hardware.calibration import Calibration

IDS = range(1, 7)
LIMITS = ("homing_offset", "min_position_limit", "max_position_limit")


@pytest.fixture(autouse=True)
def heard(caplog, monkeypatch, answer):
    caplog.set_level(logging.INFO)
    monkeypatch.setattr("soarm.hardware.guide._SAMPLE_S", 0.0)


def registers(twin):
    return [[twin.servos[i].get(name) for name in LIMITS] for i in IDS]


def saved(twin):
    return [bytes(twin.servos[i]._saved) for i in IDS]


def walks_away(error, after):
    """Answer so many questions, and then end the input or press Ctrl-C."""
    left = iter(range(after))

    def ask(text):
        if next(left, None) is None:
            raise error
        return ""

    return ask


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (EOFError, 1, "the input ended before a question was answered"),
        (KeyboardInterrupt, 130, "stopped; `soarm .*` was not finished"),
    ],
)
@pytest.mark.parametrize("command", ["setup-motors", "calibrate", "find-port", "check-pose"])
def test_a_person_who_walks_away_gets_a_message_and_changes_nothing(
    twin, tmp_path, caplog, monkeypatch, answer, error, status, message, command
):
    monkeypatch.setattr("soarm.hardware.procedures.enter_was_pressed", lambda: True)
    Calibration.nominal().save(tmp_path / "cal.json")
    arguments = {
        "setup-motors": ["--port", twin.ports[0]],
        "calibrate": ["--port", twin.ports[0], str(tmp_path / "arm.json")],
        "find-port": [],
        "check-pose": ["--port", twin.ports[0], "--calibration", str(tmp_path / "cal.json")],
    }[command]
    before = saved(twin)

    answer(walks_away(error, 0))
    assert main([command, *arguments]) == status
    assert re.search(message, caplog.text)
    assert command in caplog.text
    assert saved(twin) == before
    assert not (tmp_path / "arm.json").exists()


@pytest.mark.parametrize("error", [EOFError, KeyboardInterrupt])
@pytest.mark.parametrize("after", [1, 2, 6])
def test_a_calibration_that_is_broken_off_gives_the_servos_back_what_they_had(
    twin, tmp_path, monkeypatch, answer, error, after
):
    monkeypatch.setattr("soarm.hardware.procedures.enter_was_pressed", lambda: True)
    target = tmp_path / "arm.json"
    target.write_text("an old one")
    before, stored = registers(twin), saved(twin)

    answer(walks_away(error, after))
    assert main(["calibrate", "--port", twin.ports[0], str(target)]) != 0
    assert registers(twin) == before
    assert saved(twin) == stored
    assert target.read_text() == "an old one"


def test_ctrl_c_during_the_sweep_gives_the_servos_back_what_they_had(twin, tmp_path, monkeypatch, caplog):
    def interrupted():
        assert registers(twin)[0] == [0, 0, 4095]
        raise KeyboardInterrupt

    monkeypatch.setattr("soarm.hardware.procedures.enter_was_pressed", interrupted)
    before = registers(twin)

    assert main(["calibrate", "--port", twin.ports[0], str(tmp_path / "arm.json")]) == 130
    assert registers(twin) == before
    assert "Traceback" not in caplog.text


def test_what_cannot_be_put_back_is_named_with_what_it_was(twin, tmp_path, monkeypatch, caplog):
    def interrupted():
        twin.servos[2].deaf = True
        raise KeyboardInterrupt

    monkeypatch.setattr("soarm.hardware.procedures.enter_was_pressed", interrupted)
    low = twin.servos[2].get("min_position_limit")

    assert main(["calibrate", "--port", twin.ports[0], str(tmp_path / "arm.json")]) == 1
    assert f"could not be put back:\n  servo 2 had {{'homing_offset': 0, 'min_position_limit': {low}" in caplog.text


def test_a_calibration_is_not_begun_that_could_not_be_saved(twin, tmp_path, answer, caplog):
    asked = []
    answer(asked.append)

    assert main(["calibrate", "--port", twin.ports[0], str(tmp_path / "none" / "arm.json")]) == 1
    assert "there is no folder" in caplog.text
    assert asked == []
