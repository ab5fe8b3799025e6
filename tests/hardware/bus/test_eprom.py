import json

import pytest

from soarm.errors import BusError, PortError
from soarm.hardware.backups import back_up, default_folder


def backups(tmp_path):
    return sorted((tmp_path / "backups").glob("*.json"))


def test_only_what_differs_is_written_and_the_servo_is_locked_again(bus, wire):
    changes = bus.write_eprom(3, {"p_coefficient": 16, "d_coefficient": 32, "i_coefficient": 0, "homing_offset": -135})

    assert changes == {"p_coefficient": (32, 16), "homing_offset": (0, -135)}
    assert wire.servos[3].written == [(55, b"\0"), (21, b"\x10"), (31, b"\x87\x08"), (55, b"\1")]
    assert wire.servos[3].memory[21] == 16
    assert bus.read(3, "homing_offset") == -135


def test_nothing_is_written_where_nothing_differs(bus, wire, tmp_path):
    assert bus.write_eprom(3, {"p_coefficient": 32, "max_position_limit": 4095}) == {}
    assert wire.servos[3].written == []
    assert backups(tmp_path) == []


def test_a_backup_of_all_servos_comes_before_the_first_write_and_only_then(bus, wire, tmp_path):
    wire.servos[5].mute = 2
    bus.write_eprom(3, {"p_coefficient": 16})
    bus.write_eprom(2, {"p_coefficient": 16})
    (path,) = backups(tmp_path)
    content = json.loads(path.read_text())

    assert content["port"] == "/dev/servos"
    assert sorted(content["registers"]) == ["1", "2", "3", "4", "5", "6"]
    assert content["registers"]["5"] is None
    assert content["registers"]["3"]["p_coefficient"] == 32
    assert content["registers"]["2"]["present_position"] == 2002
    assert content["registers"]["1"]["firmware_minor"] == 10


def test_a_servo_that_is_not_in_the_backup_gets_one_before_it_is_written(bus, wire, tmp_path):
    wire.servos[5].mute = 2
    bus.write_eprom(3, {"p_coefficient": 16})
    bus.write_eprom(5, {"p_coefficient": 16})

    assert [sorted(json.loads(path.read_text())["registers"]) for path in backups(tmp_path)][1] == ["5"]


def test_a_backup_can_be_asked_for(bus, tmp_path):
    back_up(bus, bus.servo_ids, tmp_path / "mine.json")

    assert json.loads((tmp_path / "mine.json").read_text())["registers"]["6"]["id"] == 6


def test_backups_lie_in_the_folder_for_state(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert default_folder() == tmp_path / "soarm" / "registers"

    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_folder() == tmp_path / ".local" / "state" / "soarm" / "registers"


def test_a_servo_with_torque_on_is_left_alone(bus, wire, tmp_path):
    bus.write(3, "torque_enable", 1)

    with pytest.raises(BusError, match="servo 3 has torque on"):
        bus.write_eprom(3, {"p_coefficient": 16})
    assert wire.servos[3].written == [(40, b"\1")]
    assert backups(tmp_path) == []


def test_a_write_outside_the_block_is_refused_before_a_byte_goes_out(bus, wire):
    with pytest.raises(BusError, match=r"p_coefficient .*lies in EPROM, which is locked: use `bus.write_eprom`"):
        bus.write(3, "p_coefficient", 16)

    assert wire.requests == []


def test_the_block_opens_one_servo_and_may_be_nested(bus, wire):
    with bus.unlocked(3):
        with bus.unlocked(3):
            bus.write(3, "p_coefficient", 16)
        bus.write(3, "d_coefficient", 16)
        with pytest.raises(BusError, match="locked"):
            bus.write(4, "p_coefficient", 16)

    assert [data for address, data in wire.servos[3].written if address == 55] == [b"\0", b"\1"]
    assert wire.servos[3].memory[21:23] == b"\x10\x10"


def test_an_error_in_the_block_locks_the_servo(bus, wire):
    with pytest.raises(ValueError, match="mine"), bus.unlocked(3):
        raise ValueError("mine")

    assert wire.servos[3].memory[55] == 1


def test_a_servo_that_does_not_lock_again_is_reported(bus, wire):
    with pytest.raises(BusError, match="servo 3 could not be locked again"), bus.unlocked(3):
        wire.servos[3].deaf = True


def test_a_lost_port_is_reported_as_such(bus, wire, caplog):
    with pytest.raises(PortError, match="was lost"), bus.unlocked(3):
        wire.gone = OSError(5, "Input/output error")
        bus.write(3, "p_coefficient", 16)

    assert "servo 3 was left with its EPROM open" in caplog.text


def test_a_value_that_was_not_taken_is_reported(bus, wire):
    wire.servos[3].write = lambda address, data: None

    with pytest.raises(BusError, match=r"could not be locked again|did not take what was written: p_coefficient holds 32"):
        bus.write_eprom(3, {"p_coefficient": 16})


def test_every_fault_of_a_request_is_named_and_nothing_written(bus, wire):
    with pytest.raises(ValueError, match="nothing was written") as caught:
        bus.write_eprom(3, {"p_coefficient": 300, "torque_limit": 5, "nonsense": 1, "model_number": 5, "d_coefficient": 5})

    for part in ("p_coefficient .*|300", "torque_limit is no register", "nonsense is no", "model_number is no"):
        caught.match(part)
    assert wire.requests == []


def test_of_the_phase_only_the_multi_turn_bit_is_cleared(bus, wire):
    assert bus.write_eprom(3, {"phase": 0b0000_1100}) == {"phase": (0b0001_1100, 0b0000_1100)}

    for value in (0, 0b0001_1100, 0b0010_1100):
        with pytest.raises(ValueError, match=r"phase \(register 18\) is 12 and may become 12"):
            bus.write_eprom(3, {"phase": value})
    with pytest.raises(ValueError, match="phase"), bus.unlocked(3):
        bus.write(3, "phase", 0)
    assert wire.servos[3].memory[18] == 0b0000_1100
    assert wire.servos[3].memory[55] == 1


def test_a_new_id_is_followed_and_comes_last(bus, wire):
    servo = wire.servos[3]
    changes = bus.write_eprom(3, {"id": 9, "p_coefficient": 16})

    assert changes == {"p_coefficient": (32, 16), "id": (3, 9)}
    assert [address for address, _ in servo.written] == [55, 21, 5, 55]
    assert servo.memory[55] == 1
    assert bus.read(9, "p_coefficient") == 16


def test_a_new_id_is_followed_where_its_acknowledgement_is_lost(bus, wire):
    servo = wire.servos[3]
    with bus.unlocked(3):
        servo.mute = 1
        bus.write(3, "id", 9)

    assert servo.memory[5] == 9
    assert servo.memory[55] == 1


def test_a_new_baud_is_followed(bus, wire):
    assert bus.write_eprom(3, {"baud_rate": 1}) == {"baud_rate": (0, 1)}
    assert bus.line.port.ser.baudrate == 500_000
    assert bus.line.baud == 500_000


def test_a_baud_that_cannot_be_spoken_is_refused(bus, wire):
    with pytest.raises(ValueError, match="does not speak 76800 baud"):
        bus.write_eprom(3, {"baud_rate": 5})

    assert wire.servos[3].memory[6] == 0
    assert wire.servos[3].memory[55] == 1


def test_a_servo_lost_with_its_baud_leaves_the_port_as_it_was(bus, wire):
    with pytest.raises(BusError, match="servo 3"), bus.unlocked(3):
        wire.servos[3].mute = 3
        bus.write(3, "baud_rate", 1)

    assert bus.line.baud == 1_000_000
