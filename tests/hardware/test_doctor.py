"""What the doctor finds in an arm that is plugged in wrongly; the twin plays it."""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import re

import pytest

from soarm.cli import main
from soarm.errors import FaultError, PortError
from soarm.hardware import doctor, ports
from soarm.hardware.bus import Bus
from soarm.hardware.calibration import Calibration
from soarm.twin.faults import Fault

IDS = range(1, 7)


@pytest.fixture(autouse=True)
def heard(caplog, monkeypatch):
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(ports, "stealers", list)
    monkeypatch.setattr(doctor, "HIGHEST_ID", 9)  # all ids are asked in bus/test_commands, where waiting costs nothing
    monkeypatch.setattr(doctor, "SCAN_TIMEOUT_S", 0.2)  # the machine may be busy


@pytest.fixture
def examined(tmp_path, caplog):
    """Return a function that lets the doctor look at a twin and returns the exit status and what it said."""

    def examine(twin, **settings):
        calibration, file = tmp_path / "cal.json", tmp_path / "settings.json"
        twin.config.calibration.save(calibration)
        file.write_text(json.dumps(settings))
        named = ["--settings", str(file)] if settings else []
        return main(["doctor", "--port", twin.ports[0], "--calibration", str(calibration), *named]), caplog.text

    return examine


def test_nothing_is_wrong_with_a_good_arm(twin, examined):
    status, said = examined(twin)

    assert status == 0
    assert "nothing is wrong with this arm" in said


@pytest.mark.parametrize("servo_id", [1, 5])
def test_two_servos_with_one_id_are_called_that_and_not_silent(twin, examined, servo_id):
    twin.inject(Fault("duplicate", servo_id=servo_id, count=None))
    status, said = examined(twin)

    assert status == 1
    assert f"two servos share id {servo_id}" in said
    assert re.search(rf"{servo_id}  \w+ +two servos", said)
    assert "did not answer" not in said
    assert "silent" not in said


def test_two_servos_with_one_id_are_called_that_when_an_arm_is_met(twin, connect):
    twin.inject(Fault("duplicate", servo_id=5, count=None))

    with pytest.raises(FaultError, match=r"wrist_roll \(servo 5\): two servos share id 5"):
        connect(twin)


def test_a_servo_that_is_none_of_the_arm_s_is_named(twin, examined):
    twin.servos[6].put("id", 9)
    status, said = examined(twin)

    assert status == 1
    assert "servos [9] answer as well, and are none of this arm's [1, 2, 3, 4, 5, 6]" in said
    assert "servo 6 on" in said


def test_two_foreign_servos_with_one_id_are_named(twin, examined):
    twin.servos[6].put("id", 9)
    twin.inject(Fault("duplicate", servo_id=9, count=None))
    status, said = examined(twin)

    assert status == 1
    assert "beside the arm's servos: two servos share id 9" in said


def test_the_supply_is_held_against_the_part_that_the_settings_name(twin, examined):
    status, said = examined(twin, part="12")

    assert status == 1
    assert said.count("it has 7.4 V; servos for 12 V may have 9.5 to 14 V") == 6
    assert "elbow_flex (servo 3): it has 7.4 V" in said


def test_settings_that_fit_change_nothing(twin, examined):
    assert examined(twin, part="7.4")[0] == 0


def test_who_holds_the_port_is_named(twin, examined):
    with Bus.open(twin.ports[0], IDS):
        status, said = examined(twin)

    assert status == 1
    assert re.search(rf"another program holds it: .*process {os.getpid()} \(", said)


def test_a_port_of_somebody_else_is_named_with_the_group(tmp_path, monkeypatch):
    port = tmp_path / "ttyACM0"
    port.touch()
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    user = ports.pwd.getpwuid(os.getuid()).pw_name
    members: list[str] = []
    monkeypatch.setattr(ports.grp, "getgrgid", lambda gid: ports.grp.struct_group(("dialout", "x", gid, members)))

    assert f"belongs to the group dialout: `sudo usermod -a -G dialout {user}`, then log in again" in str(
        ports.forbidden(str(port))
    )
    members.append(user)
    assert "but not yet in this session: log in again" in str(ports.forbidden(str(port)))
    assert ports.forbidden(str(tmp_path / "none")) is None


def test_the_doctor_says_beforehand_that_the_port_is_not_this_user_s(twin, examined, monkeypatch):
    monkeypatch.setattr(ports, "forbidden", lambda device: f"nobody may not use {device}")
    status, said = examined(twin)

    assert status == 1
    assert f"nobody may not use {twin.ports[0]}" in said


def test_processes_are_found_by_what_they_have_open(tmp_path):
    port, other = tmp_path / "ttyACM0", tmp_path / "other"
    port.touch()
    other.touch()
    for number, target in (("12", port), ("7", other)):
        (tmp_path / "proc" / number / "fd").mkdir(parents=True)
        (tmp_path / "proc" / number / "fd" / "5").symlink_to(target)
        (tmp_path / "proc" / number / "cmdline").write_bytes(b"soarm\0drive\0bundle\0")
    (tmp_path / "proc" / "9").mkdir()
    (tmp_path / "link").symlink_to(port)

    assert ports.holders(str(tmp_path / "link"), tmp_path / "proc") == ["process 12 (soarm drive bundle)"]
    assert ports.holders(str(tmp_path / "nothing"), tmp_path / "proc") == []


def test_a_port_whose_holder_cannot_be_seen_says_how_to_find_it(twin, monkeypatch):
    monkeypatch.setattr("soarm.hardware.port.holders", lambda path: [])

    with Bus.open(twin.ports[0], IDS), pytest.raises(PortError, match=r"another program holds it: which one, `sudo fuser -v`"):
        Bus.open(twin.ports[0], IDS)


@pytest.mark.parametrize(
    ("volts", "limit", "settings", "warning"),
    [
        (5.0, 80, {"part": "12"}, "servos for 12 V and have 5.0 V: is the leader's supply on the follower?"),
        (5.0, 140, {}, "servos for 12 V and have 5.0 V: is the leader's supply on the follower?"),
        (12.0, 80, {"part": "7.4"}, "servos for 7.4 V and have 12.0 V, which burns them: pull the plug"),
        (12.0, 80, {}, "servos for 7.4 V and have 12.0 V, which burns them: pull the plug"),
        (5.0, 80, {"part": "7.4"}, None),
        (12.0, 140, {"part": "12"}, None),
        (7.4, 80, {}, None),
    ],
)
def test_a_supply_that_looks_like_the_other_arm_s_is_a_warning(make_twin, examined, caplog, volts, limit, settings, warning):
    twin = make_twin(volts=volts, registers={"max_voltage_limit": limit})
    _, said = examined(twin, **settings)
    warned = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]

    if warning is None:
        assert warned == []
    else:
        assert len(warned) == 1
        assert warning in warned[0]
        assert "Swap the supplies" in warned[0]
    assert (warning in said) if warning else "Swap" not in said


@pytest.mark.parametrize(("volts", "part"), [(5.0, "12"), (7.4, "12"), (12.0, "7.4")])
def test_an_arm_with_the_supply_of_another_part_is_refused_when_it_is_met(make_twin, connect, volts, part):
    twin = make_twin(volts=volts, registers={"max_voltage_limit": 140})
    span = {"12": "9.5 to 14", "7.4": "4.5 to 8.4"}[part]

    with pytest.raises(FaultError, match=rf"{volts:.1f} V; servos for {part} V may have {span} V\. Look at the supply"):
        connect(twin, part=part)
    assert not any(twin.torque(i) for i in IDS)


def test_an_arm_with_its_own_supply_is_met(make_twin, connect):
    arm = connect(make_twin(volts=12.0, registers={"max_voltage_limit": 140}), part="12")
    arm.hold()

    assert arm.observe().telemetry[0].voltage_v == 12.0


def test_another_firmware_than_that_of_the_calibration_is_a_warning(make_twin, connect, examined, caplog):
    nominal = Calibration.nominal()
    joints = [dataclasses.replace(joint, firmware="3.9" if i == 3 else "3.10") for i, joint in enumerate(nominal.joints)]
    twin = make_twin(calibration=Calibration(tuple(joints)))
    text = "its firmware is 3.10, it was 3.9 when it was calibrated"
    arm = connect(twin)

    assert next(said for _, said in arm.events if text in said).startswith("wrist_flex (servo 4): ")
    assert [record.levelno for record in caplog.records if text in record.getMessage()] == [logging.WARNING]
    arm.close()
    status, said = examined(twin)
    assert status == 0
    assert said.count(text) == 2, "of both, the driver and the doctor"


def test_a_program_reads_what_is_wrong(twin, capsys):
    twin.servos[3].put("operating_mode", 1)
    status = main(["doctor", "--port", twin.ports[0], "--json"])
    found = json.loads(capsys.readouterr().out)

    assert status == 1
    assert [servo["joint"] for servo in found["servos"]][2] == "elbow_flex"
    assert any("operating_mode is 1" in fault for fault in found["faults"])


def test_a_program_reads_the_port_and_the_question_is_beside_it(monkeypatch, answer, capsys):
    lists = iter([{"/dev/a": "CH343", "/dev/b": "?"}, {"/dev/b": "?"}])
    monkeypatch.setattr("soarm.hardware.ports.listed", lambda: next(lists))
    answer(lambda question="": "")

    assert main(["find-port", "--json"]) == 0
    said = capsys.readouterr()
    assert json.loads(said.out) == {"port": "/dev/a"}
    assert "Unplug the USB cable" in said.err
