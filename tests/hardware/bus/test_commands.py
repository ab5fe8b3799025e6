from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from soarm import arm
from soarm.cli import main
from soarm.errors import BusError, PortError
from soarm.hardware import doctor, ports
from soarm.hardware.calibration import Calibration
from soarm.hardware.setup import set_id

LEROBOT = {
    name: {"id": i + 1, "drive_mode": 0, "homing_offset": 10 * i, "range_min": 900, "range_max": 3100}
    for i, name in enumerate(arm.JOINT_NAMES)
}
LEROBOT["gripper"] |= {"range_min": 2017, "range_max": 3461}


@pytest.fixture
def calibrated(wire):
    calibration = Calibration.nominal()
    for joint in calibration.joints:
        low, high = joint.range_ticks
        memory = wire.servos[joint.servo_id].memory
        memory[9:13] = low.to_bytes(2, "little") + high.to_bytes(2, "little")
        memory[14:16] = bytes((80, 40))
        memory[18] = 0b0000_1100
    return calibration


def test_a_good_arm_has_no_fault(bus, calibrated):
    findings = doctor.examine(bus, calibrated)

    assert [finding.faults for finding in findings] == [()] * 6
    assert doctor.of_all(findings) == []
    assert "7.4 V   31 C  firmware 3.10  P 32  torque off" in findings[0].line()


def test_every_fault_names_its_joint_and_the_remedy(bus, wire, calibrated):
    wire.servos[1].mute = 10**6
    wire.servos[2].memory[62] = 124
    wire.servos[3].memory[63] = 61
    wire.servos[4].memory[9:11] = (0).to_bytes(2, "little")
    wire.servos[4].memory[18] = 0b0001_1100
    wire.servos[4].memory[33] = 1
    wire.servos[5].error = 32
    wire.servos[6].memory[1] = 9
    findings = doctor.examine(bus, calibrated)
    found = {finding.joint: " ".join(finding.faults) for finding in findings}

    assert "did not answer" in found["shoulder_pan"]
    assert findings[0].line().endswith("silent")
    assert "it has 12.4 V, its own limits are 4.0 to 8.0" in found["shoulder_lift"]
    assert "it has 61 C; release the arm" in found["elbow_flex"]
    assert "min_position_limit is 0, the calibration says" in found["wrist_flex"]
    assert "operating_mode is 1, not 0 (position)" in found["wrist_flex"]
    assert "multi-turn feedback is on" in found["wrist_flex"]
    assert "reports OVERLOAD" in found["wrist_roll"]
    assert any("different firmware (3.9, 3.10)" in fault for fault in doctor.of_all(findings))
    assert any("falls from 12.4 to 7.4 V along the chain" in fault for fault in doctor.of_all(findings))


def test_another_model_is_named(bus, wire):
    wire.servos[1].memory[3] = 8

    assert any("of model 776, not an STS3215" in fault for fault in doctor.examine(bus, None)[0].faults)


@pytest.mark.parametrize("servo_id", [0, 7, 253])
def test_a_foreign_servo_is_found_whatever_its_id(bus, wire, servo_id):
    assert doctor.foreign(bus) == []
    wire.servos[servo_id] = type(wire.servos[1])(servo_id)

    assert f"servos [{servo_id}] answer as well" in doctor.foreign(bus)[0]


def test_one_servo_gets_its_id(bus, wire):
    for servo_id in (2, 3, 4, 5, 6):
        del wire.servos[servo_id]
    wire.servos[1].memory[18] = 0b0000_1100
    old, written = set_id(bus, 4)

    assert (old, written) == (1, {"id": (1, 4)})
    assert list(wire.servos) == [4]
    assert set_id(bus, 4) == (4, {})


def test_positions_that_run_on_past_one_turn_are_ended_with_the_id(bus, wire):
    for servo_id in (2, 3, 4, 5, 6):
        del wire.servos[servo_id]
    wire.servos[1].memory[18] = 0b0001_1100
    _, written = set_id(bus, 2)

    assert written == {"phase": (0b0001_1100, 0b0000_1100), "id": (1, 2)}


def test_no_id_is_set_where_there_is_not_exactly_one_servo(bus, wire):
    with pytest.raises(BusError, match=r"servos \[1, 2, 3, 4, 5, 6\] answer on .*exactly one must be plugged in"):
        set_id(bus, 3)
    wire.servos.clear()
    with pytest.raises(BusError, match="no servo answers on"):
        set_id(bus, 3)
    assert wire.written(5) == {}


def test_another_model_gets_no_id(bus, wire):
    for servo_id in (2, 3, 4, 5, 6):
        del wire.servos[servo_id]
    wire.servos[1].memory[3] = 8

    with pytest.raises(BusError, match="of model 776, not an STS3215"):
        set_id(bus, 2)


def test_ports_are_listed_by_their_lasting_names_with_the_arm_s_adapters_first(tmp_path):
    device = tmp_path / "ttyACM0"
    device.touch()
    (tmp_path / "by-id").mkdir()
    (tmp_path / "by-id" / "usb-1a86").symlink_to(device)
    found = [
        SimpleNamespace(device=str(tmp_path / "ttyS0"), vid=None, pid=None, description=None),
        SimpleNamespace(device=str(device), vid=0x1A86, pid=0x55D3, description="USB"),
    ]
    listed = ports.listed(lambda: found, tmp_path / "by-id")

    assert list(listed.items()) == [
        (str(tmp_path / "by-id" / "usb-1a86"), "CH343, ttyACM"),
        (str(tmp_path / "ttyS0"), "unknown"),
    ]
    assert ports.lasting("/dev/none", tmp_path / "nothing") == "/dev/none"


def test_the_port_that_went_away_is_the_arm_s():
    assert ports.unplugged(["a", "b"], ["b"]) == "a"
    with pytest.raises(PortError, match="no port went away"):
        ports.unplugged(["a"], ["a"])
    with pytest.raises(PortError, match=r"several ports went away \['a', 'b'\]"):
        ports.unplugged(["a", "b"], [])


def test_a_calibration_goes_to_and_fro_on_the_command_line(tmp_path, capsys):
    theirs, ours, back = (tmp_path / name for name in ("so.json", "arm.json", "back.json"))
    theirs.write_text(json.dumps(LEROBOT))
    status = main(["import-calibration", str(theirs), str(ours)]), main(["export-calibration", str(ours), str(back)])
    bad = main(["import-calibration", str(ours), str(back)])

    assert status == (0, 0)
    assert json.loads(back.read_text()) == LEROBOT
    assert bad == 1


def test_the_doctor_of_a_port_that_is_none_says_so(tmp_path, caplog):
    status = main(["doctor", "--port", str(tmp_path / "none")])

    assert status == 1
    assert "none" in caplog.text


def test_find_port_asks_and_answers(monkeypatch, answer, caplog):
    lists = iter([{"/dev/a": "CH343", "/dev/b": "?"}, {"/dev/b": "?"}])
    monkeypatch.setattr(ports, "listed", lambda: next(lists))
    asked = []
    with caplog.at_level("INFO"):
        answer(lambda question: asked.append(question) or "")
        status = main(["find-port"])

    assert status == 0
    assert len(asked) == 1
    assert "the arm is on /dev/a" in caplog.text


def test_programs_that_take_ports_are_named_with_the_remedy(tmp_path):
    for pid, name in (("12", "brltty"), ("99", "bash")):
        (tmp_path / pid).mkdir()
        (tmp_path / pid / "comm").write_text(name + "\n")
    (tmp_path / "13").mkdir()
    (tmp_path / "13" / "comm").mkdir()

    (found,) = ports.stealers(tmp_path)
    assert found.startswith("brltty runs on this computer: it takes CH340 adapters")
