"""Servos on the bus that are none of the arm's: with an id of their own, or with one that is taken."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from soarm.errors import BusError, FaultError, TwinError
from soarm.hardware import doctor, setup
from soarm.hardware.bus import Bus
from soarm.hardware.registers import MODEL
from soarm.twin import wire
from soarm.twin.faults import Fault
from soarm.twin.twin_config import TwinConfig

IDS = range(1, 7)
SHARED = "two servos share id 5"


def open_bus(twin):
    return Bus.open(twin.ports[0], IDS, timeout_s=0.06)


@given(st.binary(min_size=1, max_size=30), st.integers(0, 30))
def test_one_that_speaks_alone_is_heard_as_it_speaks(packet, skew):
    assert wire.collide([packet], [skew]) == packet
    assert wire.collide([packet, packet], [skew, skew]) == packet, "the same bits at the same time: nothing shows"


@pytest.mark.parametrize("skew", range(1, 10))
def test_two_that_speak_at_once_are_not_heard_as_either(skew):
    one, other = wire.status(5, 0, b"\x09\x03"), wire.status(5, 0, b"\x00\x08")

    for second in (one, other):
        assert wire.collide([one, second], [0, skew]) not in (one, other)


def test_a_wire_is_low_where_anybody_pulls_it_low():
    assert wire.collide([b"\xf0", b"\x3c"], [0, 0]) == b"\x30"
    assert wire.collide([b"\xff", b"\xff"], [0, 4]) == b"\xf7", "the second start bit falls into the fourth bit of the first"


def test_the_doctor_meets_two_servos_with_one_id(make_twin):
    twin = make_twin(extra_servos=(5,))
    with open_bus(twin) as bus:
        findings = {finding.servo_id: finding for finding in doctor.examine(bus, twin.config.calibration)}

    assert findings[5].faults
    assert not any(findings[i].faults for i in IDS if i != 5)


def test_ping_scan_and_a_ping_of_all_blame_two_servos_with_one_id(make_twin):
    with open_bus(make_twin(extra_servos=(5,))) as bus:
        for ask in (lambda: bus.ping(5), lambda: bus.scan(IDS)):
            with pytest.raises(BusError, match=SHARED):
                ask()
        with pytest.raises(BusError, match=r"two servos share (an id|id \d)"):
            bus.broadcast_ping()
        assert bus.ping(4) == MODEL


def test_an_arm_with_two_servos_of_one_id_is_not_driven_and_no_torque_comes_on(make_twin, connect):
    twin = make_twin(extra_servos=(5,))
    with pytest.raises(FaultError, match=r"must not be driven:\n  wrist_roll \(servo 5\)"):
        connect(twin)

    assert not any(servo.get("torque_enable") for servo in twin._emulators[0].servos)


def test_setup_motors_writes_nothing_where_two_new_servos_are_plugged_in(make_twin):
    twin = make_twin(extra_servos=(1,))
    for servo_id in range(2, 7):
        twin.inject(Fault("mute", servo_id=servo_id, count=None))  # as if they were not plugged in
    before = [bytes(servo.memory) for servo in twin._emulators[0].servos]
    with open_bus(twin) as bus, pytest.raises(BusError, match=r"two servos share (an id|id 1)"):
        setup.set_id(bus, 4)

    assert [bytes(servo.memory) for servo in twin._emulators[0].servos] == before


def test_both_servos_of_one_id_obey(make_twin):
    twin = make_twin(extra_servos=(5,))
    with open_bus(twin) as bus:
        bus.sync_write("goal_velocity", {5: 123})
        with pytest.raises(BusError):
            bus.write(5, "acceleration", 7)
    both = twin._emulators[0].by_id[5]

    assert [(servo.get("goal_velocity"), servo.get("acceleration")) for servo in both] == [(123, 7)] * 2


def test_a_stranger_with_an_id_of_its_own_is_there_and_harms_nobody(make_twin, connect):
    twin = make_twin(extra_servos=(9,))
    with open_bus(twin) as bus:
        assert bus.scan(range(12)) == dict.fromkeys([*IDS, 9], MODEL)
        assert bus.read(9, "present_voltage") == 74
    arm = connect(twin)
    arm.hold()

    assert all(twin.torque(i) for i in IDS)


def test_an_id_that_cannot_be_is_refused():
    with pytest.raises(TwinError, match=r"extra_servos are \(254,\); ids go from 0 to 253"):
        TwinConfig(extra_servos=(254,))


@pytest.mark.parametrize("code", [0, 1, *(pytest.param(code, marks=pytest.mark.slow) for code in (2, 3, 4, 6, 7))])
def test_a_servo_at_another_baud_is_found_and_brought_to_1_mbaud(make_twin, code):
    twin = make_twin()
    emulator = twin._emulators[0]
    emulator.servos = emulator.servos[:1]  # the others are not plugged in
    emulator.servos[0].put("baud_rate", code)
    with Bus.open(twin.ports[0], (), timeout_s=0.06) as bus:
        assert (bus.scan([1]) == {}) == (code != 0), "at another baud it is deaf"
        old, written = setup.set_id(bus, 4)

        assert old == 1
        assert written == {"id": (1, 4)} | ({"baud_rate": (code, 0)} if code else {})
        assert bus.line.baud == 1_000_000
        assert bus.read(4, "lock") == 1


@pytest.mark.slow
def test_the_port_is_at_1_mbaud_again_where_no_servo_was_found(make_twin):
    twin = make_twin()
    twin._emulators[0].servos = ()
    with open_bus(twin) as bus:
        with pytest.raises(BusError, match=r"no servo answers on .*, at none of 1000000, 500000, .*, 38400 baud"):
            setup.set_id(bus, 4)
        assert bus.line.baud == 1_000_000
