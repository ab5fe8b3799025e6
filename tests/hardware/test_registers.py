import pytest
from hypothesis import given
from hypothesis import strategies as st

from soarm.hardware.registers import (
    MODEL,
    STATUS,
    TABLE,
    TELEMETRY_ADDRESS,
    TELEMETRY_BYTES,
    Status,
    Telemetry,
    decode,
    encode,
    named,
    telemetry,
    writable,
)

REGISTERS = st.sampled_from(sorted(TABLE.values()))


@pytest.mark.parametrize(
    ("name", "value", "data"),
    [
        pytest.param("goal_position", 0, "0000", id="zero"),
        pytest.param("goal_position", 2048, "0008", id="low byte first"),
        pytest.param("goal_position", 4095, "ff0f", id="highest tick"),
        pytest.param("homing_offset", 135, "8700", id="positive offset"),
        pytest.param("homing_offset", -135, "8708", id="negative offset, sign in bit 11"),
        pytest.param("homing_offset", -2047, "ff0f", id="lowest offset"),
        pytest.param("homing_offset", 2047, "ff07", id="highest offset"),
        pytest.param("present_position", -5, "0580", id="sign in bit 15"),
        pytest.param("present_velocity", -3400, "488d", id="backwards"),
        pytest.param("present_load", -1000, "e807", id="full duty backwards, sign in bit 10"),
        pytest.param("present_load", 1000, "e803", id="full duty"),
        pytest.param("torque_enable", 1, "01", id="one byte"),
        pytest.param("torque_limit", 1000, "e803", id="full torque"),
        pytest.param("model_number", MODEL, "0903", id="model"),
    ],
)
def test_golden_bytes(name, value, data):
    assert encode(TABLE[name], value).hex() == data
    assert decode(TABLE[name], bytes.fromhex(data)) == value


@given(register=REGISTERS, data=st.data())
def test_every_allowed_value_survives_the_wire(register, data):
    value = data.draw(st.integers(register.lowest, register.highest))

    assert decode(register, encode(register, value)) == value


@given(register=REGISTERS, value=st.integers(-100_000, 100_000))
def test_a_value_outside_the_range_is_refused_and_named(register, value):
    if register.lowest <= value <= register.highest:
        assert len(encode(register, value)) == register.n_bytes
    else:
        with pytest.raises(
            ValueError, match=rf"{register.name} .*cannot be {value}: .*{register.lowest}\.\.{register.highest}"
        ):
            encode(register, value)


@pytest.mark.parametrize("value", [0.5, float("nan"), float("inf"), None, "1"])
def test_what_is_no_whole_number_is_refused(value):
    with pytest.raises(ValueError, match=r"torque_enable .*allowed are whole numbers 0..1"):
        encode(TABLE["torque_enable"], value)


def test_minus_zero_is_zero():
    assert decode(TABLE["homing_offset"], b"\x00\x08") == 0


def test_bits_above_the_sign_are_no_part_of_the_magnitude():
    assert decode(TABLE["present_load"], b"\x05\xf8") == 5


@pytest.mark.parametrize("data", [b"", b"\0", b"\0\0\0"])
def test_the_wrong_number_of_bytes_is_refused(data):
    with pytest.raises(ValueError, match=r"goal_position .*has 2 bytes"):
        decode(TABLE["goal_position"], data)


def test_no_two_registers_overlap():
    taken = [register.address + i for register in TABLE.values() for i in range(register.n_bytes)]

    assert len(taken) == len(set(taken))


def test_addresses_and_memory_are_those_of_the_datasheet():
    found = {name: (TABLE[name].address, TABLE[name].n_bytes, TABLE[name].sign_bit, TABLE[name].memory) for name in TABLE}

    assert found["id"] == (5, 1, None, "EPROM")
    assert (found["p_coefficient"], found["d_coefficient"], found["i_coefficient"]) == (
        (21, 1, None, "EPROM"),
        (22, 1, None, "EPROM"),
        (23, 1, None, "EPROM"),
    )
    assert found["homing_offset"] == (31, 2, 11, "EPROM")
    assert found["goal_position"] == (42, 2, 15, "RAM")
    assert found["present_load"] == (60, 2, 10, "RAM")
    assert found["present_current"] == (69, 2, 15, "RAM")
    assert found["torque_limit"] == (48, 2, None, "RAM")
    assert all(
        register.memory == ("EPROM" if register.address < 40 or register.address > 79 else "RAM")
        for register in TABLE.values()
    )


def test_what_the_factory_set_is_not_written():
    not_written = {name for name, register in TABLE.items() if not register.writable}

    assert not_written == {
        *("firmware_major", "firmware_minor", "model_number", "angular_resolution", "maximum_velocity"),
        *("present_position", "present_velocity", "present_load", "present_voltage", "present_temperature"),
        *("status", "moving", "present_current"),
    }
    with pytest.raises(ValueError, match=r"status .*is not written by this project; allowed are id, baud_rate"):
        writable("status")
    with pytest.raises(ValueError, match="there is no register 'present'"):
        named("present")


def test_the_telemetry_block_covers_position_to_current():
    first, last = TABLE["present_position"], TABLE["present_current"]

    assert first.address == TELEMETRY_ADDRESS
    assert last.address + last.n_bytes == TELEMETRY_ADDRESS + TELEMETRY_BYTES


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        pytest.param(
            "0108 0000 0000 4a 1f 00 00 00 0000 0000",
            Telemetry(2049, 0, 0.0, 7.4, 31, Status(0), False, 0.0),
            id="at rest",
        ),
        pytest.param(
            "ff0f 3280 f405 32 46 00 25 01 0000 6480",
            Telemetry(4095, -50, -0.5, 5.0, 70, Status.OVERLOAD | Status.HEAT | Status.VOLTAGE, True, -650.0),
            id="pushing, hot, overloaded",
        ),
        pytest.param(
            "0510 0000 e803 00 00 00 40 ff 0000 0100",
            Telemetry(4101, 0, 1.0, 0.0, 0, Status(64), True, 6.5),
            id="beyond one turn, unknown status bit",
        ),
    ],
)
def test_golden_telemetry(block, expected):
    assert telemetry(bytes.fromhex(block)) == expected


@given(block=st.binary(min_size=15, max_size=15))
def test_the_block_says_what_the_single_registers_say(block):
    def value(name):
        start = TABLE[name].address - TELEMETRY_ADDRESS
        return decode(TABLE[name], block[start : start + TABLE[name].n_bytes])

    found = telemetry(block)

    assert found.position_ticks == value("present_position")
    assert found.velocity_ticks_s == value("present_velocity")
    assert found.load == value("present_load") / 1000
    assert found.voltage_v == value("present_voltage") / 10
    assert found.temperature_c == value("present_temperature")
    assert found.status == STATUS[value("status")]
    assert found.moving == (value("moving") != 0)
    assert found.current_ma == value("present_current") * 6.5


def test_a_block_of_another_length_is_refused():
    with pytest.raises(ValueError, match=r"15 bytes .*this one has 14"):
        telemetry(bytes(14))
