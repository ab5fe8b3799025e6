"""What a driver sees of the bus: fresh numbers, old ones that say so, never a false one."""

from __future__ import annotations

import contextlib
import threading
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from soarm.errors import BusError
from soarm.hardware.registers import Status

SERVO_IDS = (1, 2, 3, 4, 5, 6)


def positions(readings):
    return {servo_id: reading.telemetry.position_ticks for servo_id, reading in readings.items()}


def move(wire, by=100):
    for servo in wire.servos.values():
        servo.position += by


def test_one_packet_asks_all_servos_for_their_telemetry(bus, wire):
    readings = bus.sync_read()

    assert [request.hex() for request in wire.requests] == ["fffffe0a82380f0102030405061" + "9"]
    assert positions(readings) == {1: 2001, 2: 2002, 3: 2003, 4: 2004, 5: 2005, 6: 2006}
    assert {reading.misses for reading in readings.values()} == {0}
    assert readings[1].telemetry.voltage_v == 7.4
    assert readings[1].telemetry.temperature_c == 31
    assert bus.counters.replies == 6


def test_a_reading_says_when_it_arrived(bus, clock):
    asked_s = clock()

    assert bus.sync_read()[3].t_s == pytest.approx(asked_s + 0.002)


def test_a_mute_servo_keeps_no_other_from_being_heard(bus, wire):
    before = bus.sync_read()
    wire.servos[3].mute = 100
    move(wire)
    after = bus.sync_read()

    assert positions(after) == {1: 2101, 2: 2102, 3: 2003, 4: 2104, 5: 2105, 6: 2106}
    assert after[3] == before[3]._replace(misses=1)
    assert bus.sync_read()[3].misses == 2
    assert bus.counters.misses == 2


def test_a_servo_that_was_never_heard_has_no_reading(bus, wire):
    wire.servos[3].mute = 100

    assert sorted(bus.sync_read()) == [1, 2, 4, 5, 6]


def test_a_servo_that_comes_back_is_fresh_at_once(bus, wire):
    bus.sync_read()
    wire.servos[3].mute = 4
    assert [bus.sync_read()[3].misses for _ in range(2)] == [1, 2]
    wire.servos[3].position = 3333

    assert bus.sync_read()[3].misses == 0
    assert positions(bus.sync_read())[3] == 3333


def test_only_the_missing_servo_is_asked_again_and_once(bus, wire):
    wire.servos[3].mute = 1
    readings = bus.sync_read()

    assert [request[7:-1] for request in wire.requests] == [bytes(SERVO_IDS), b"\x03"]
    assert readings[3].misses == 0
    assert bus.counters.retries == 1
    assert bus.counters.misses == 0


def test_both_attempts_fit_into_the_time_of_the_question(bus, wire, clock):
    wire.servos[3].mute = 100
    for _ in range(3):
        start_s = clock()
        bus.sync_read()

        assert clock() - start_s <= 0.012 + 1e-9


@pytest.mark.parametrize("late_s", [0.008, 0.015, 0.030, 0.080])
@pytest.mark.parametrize("between_s", [0.0, 0.02])
def test_a_late_answer_never_shifts_the_ones_after_it(bus, wire, clock, late_s, between_s):
    bus.sync_read()
    for servo in wire.servos.values():
        servo.delays_s = [late_s]
    stall_ends_s = clock() + late_s
    while clock() < stall_ends_s + 0.03:
        move(wire, 1)
        bus.sync_read()
        clock.t_s += between_s
    for _ in range(5):
        move(wire, 1)
        readings = bus.sync_read()
        clock.t_s += between_s

        assert positions(readings) == {i: servo.position for i, servo in wire.servos.items()}
        assert {reading.misses for reading in readings.values()} == {0}


@pytest.mark.parametrize("between_s", [0.0, 0.008, 0.02])
@pytest.mark.parametrize("seed", range(10))
def test_a_reading_that_claims_to_be_fresh_is_never_old(make_bus, seed, between_s):
    random = Random(seed)
    wire, bus = make_bus(SERVO_IDS)
    for cycle in range(1, 60):
        for servo in wire.servos.values():
            servo.position = cycle
            servo.delays_s = [random.uniform(0.004, 0.08)] if random.random() < 0.03 else []
            servo.mute = random.random() < 0.03
            servo.corrupt = random.random() < 0.03
        for reading in bus.sync_read().values():
            assert reading.misses > 0 or reading.telemetry.position_ticks == cycle
        wire.clock.t_s += between_s
    bus.close()


def test_after_a_miss_questions_differ_in_length_for_a_second(bus, wire, clock):
    wire.servos[3].mute = 3
    for pause_s in (0.0, 0.0, 1.0, 0.0):
        clock.t_s += pause_s
        readings = bus.sync_read()

    assert [request[6] for request in wire.requests] == [15, 16, 17, 18, 15, 15]
    assert {reading.misses for reading in readings.values()} == {0}


@pytest.mark.parametrize("late_s", [0.009, 0.013, 0.02, 0.05])
def test_a_late_answer_to_a_read_is_not_taken_for_the_next_register(bus, wire, late_s):
    wire.servos[2].delays_s = [late_s]
    expected = {"present_position": 2002, "max_position_limit": 4095, "model_number": 777}
    seen = set()
    while len(seen) < 3:
        for name, value in expected.items():
            with contextlib.suppress(BusError):
                assert bus.read(2, name) == value
                seen.add(name)

    assert bus.counters.misses > 0 or late_s < 0.012


def test_a_missing_servo_is_never_a_zero(bus, wire):
    for servo in wire.servos.values():
        servo.mute = 100

    assert bus.sync_read() == {}
    with pytest.raises(BusError, match=r"servo 4 on /dev/servos did not answer .*nothing came back"):
        bus.read(4, "present_position")


@pytest.mark.parametrize("name", ["present_position", "present_voltage", "model_number", "homing_offset"])
def test_an_adapter_that_echoes_changes_nothing(bus, wire, name):
    expected = bus.read(5, name)
    wire.echo = True

    assert bus.read(5, name) == expected
    assert bus.ping(5) == 777
    assert positions(bus.sync_read()) == {i: 2000 + i for i in SERVO_IDS}
    assert bus.counters.echo_bytes == 8 + 8 + 14


def test_an_echo_alone_is_no_answer(bus, wire):
    wire.echo = True
    wire.servos[1].mute = 100

    with pytest.raises(BusError, match=r"servo 1 .*did not answer"):
        bus.read(1, "present_position")


def test_a_damaged_answer_is_asked_for_again(bus, wire):
    wire.servos[4].corrupt = 1
    readings = bus.sync_read()

    assert readings[4].misses == 0
    assert bus.counters.bad_checksum == 1
    assert bus.counters.retries == 1


def test_an_answer_damaged_twice_is_a_miss(bus, wire):
    bus.sync_read()
    wire.servos[4].corrupt = 2

    assert {i: reading.misses for i, reading in bus.sync_read().items()} == {1: 0, 2: 0, 3: 0, 4: 1, 5: 0, 6: 0}


@pytest.mark.parametrize(
    ("answer", "counter"),
    [
        pytest.param((9, 0, b"\x10\x02"), "wrong_id", id="another servo"),
        pytest.param((2, 0, b"\x10"), "wrong_length", id="one byte short"),
        pytest.param((2, 0, b"\x10\x02\x00\x00"), "wrong_length", id="two bytes long"),
        pytest.param((2, 0, b""), "wrong_length", id="no data"),
    ],
)
def test_an_answer_that_does_not_fit_the_question_is_refused(bus, wire, make_status, answer, counter):
    wire.servos[2].next_answers = [make_status(*answer)] * 2
    with pytest.raises(BusError, match="only bytes that are not an answer to it"):
        bus.read(2, "present_position")

    assert getattr(bus.counters, counter) > 0
    assert bus.read(2, "present_position") == 2002


def test_half_an_answer_is_no_answer(bus, wire, make_status):
    whole = make_status(2, 0, b"\x10\x02")
    for n in range(len(whole)):
        wire.servos[2].next_answers = [whole[:n]] * 2
        with pytest.raises(BusError, match="servo 2"):
            bus.read(2, "present_position")


def test_noise_before_an_answer_does_not_hide_it(bus, wire, make_status):
    wire.servos[2].next_answers = [b"\x00\xff" + make_status(2, 0, b"\x10\x02")]

    assert bus.read(2, "present_position") == 0x210


@given(noise=st.lists(st.binary(max_size=60), max_size=6))
def test_whatever_comes_in_no_reading_is_made_up(make_bus, noise):
    wire, bus = make_bus(SERVO_IDS)
    wire.servos[2].next_answers = list(noise)
    for _ in range(4):
        for servo_id, reading in bus.sync_read().items():
            assert reading.telemetry.position_ticks == 2000 + servo_id
    bus.close()


def test_what_a_servo_complains_of_is_kept(bus, wire):
    wire.servos[6].memory[65] = 32
    wire.servos[5].error = 4
    readings = bus.sync_read()

    assert readings[6].telemetry.status == Status.OVERLOAD
    assert readings[5].telemetry.status == Status.HEAT
    assert bus.status[6] == Status.OVERLOAD
    bus.read(5, "present_voltage")
    assert bus.status[5] == Status.HEAT


@pytest.mark.parametrize(("raw", "ticks"), [(4096, 4096), (9000, 9000), (0x8000 | 5, -5)])
def test_a_position_beyond_one_turn_is_flagged_and_not_passed_on(bus, wire, raw, ticks):
    bus.sync_read()
    wire.servos[2].position = raw
    readings = bus.sync_read()

    assert readings[2].telemetry.position_ticks == 2002
    assert readings[2].misses == 1
    assert bus.counters.out_of_range == 1
    with pytest.raises(BusError, match=f"servo 2 reports position {ticks}, beyond one turn"):
        bus.read(2, "present_position")

    wire.servos[2].position = 100
    assert bus.sync_read()[2].misses == 0
    assert bus._readings.out_of_range == {}


def test_goals_go_out_in_one_packet_that_nobody_answers(bus, wire):
    bus.sync_write("goal_position", {1: 0, 2: 4095, 6: 258})

    assert [request.hex() for request in wire.requests] == ["fffffe0d832a02010000" + "02ff0f" + "060201" + "2b"]
    assert wire.servos[2].word(42) == 4095
    assert wire.servos[6].word(42) == 258


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("goal_position", {1: 4096}, "goal_position .*cannot be 4096: allowed are whole numbers 0..4095"),
        ("goal_position", {1: 5, 2: -1}, "cannot be -1"),
        ("goal_position", {1: float("nan")}, "cannot be nan"),
        ("goal_position", {1: 2048.5}, "cannot be 2048.5"),
        ("torque_limit", {1: 1001}, "0..1000"),
        ("torque_enable", {1: 128}, "0..1"),
        ("homing_offset", {1: 5}, "'homing_offset' is not written to several servos at once; allowed are goal_position"),
        ("no_such_thing", {1: 5}, "'no_such_thing'"),
    ],
)
def test_a_value_out_of_range_is_refused_before_a_byte_goes_out(bus, wire, name, values, message):
    with pytest.raises(ValueError, match=message):
        bus.sync_write(name, values)

    assert wire.requests == []


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("torque_limit", 70000, "0..1000"),
        ("present_position", 5, "present_position .*is not written by this project"),
        ("angular_resolution", 2, "is not written by this project"),
        ("lock", 0, "with bus.unlocked"),
        ("nonsense", 0, "there is no register 'nonsense'; known are firmware_major"),
    ],
)
def test_a_write_that_is_not_allowed_is_refused_before_a_byte_goes_out(bus, wire, name, value, message):
    with pytest.raises(ValueError, match=message):
        bus.write(3, name, value)

    assert wire.requests == []


def test_a_write_is_acknowledged(bus, wire):
    bus.write(3, "torque_limit", 500)

    assert wire.servos[3].word(48) == 500


def test_a_write_that_is_not_acknowledged_is_an_error(bus, wire):
    wire.servos[3].mute = 100

    with pytest.raises(BusError, match=r"servo 3 .*did not answer the write of f4 01 to register 48"):
        bus.write(3, "torque_limit", 500)


def test_a_lost_acknowledgement_is_asked_for_again(bus, wire):
    wire.servos[3].mute = 1
    bus.write(3, "torque_limit", 500)

    assert bus.counters.retries == 1


def test_a_second_thread_is_turned_away_until_it_takes_the_bus_over(bus):
    bus.sync_read()
    outcome = []

    def use():
        try:
            bus.sync_read()
        except AssertionError as error:
            outcome.append(str(error))
        bus.line.adopt()
        outcome.append(len(bus.sync_read()))

    thread = threading.Thread(target=use)
    thread.start()
    thread.join()

    assert outcome == ["the bus belongs to one thread; a second one has to take it over with `adopt` first", 6]


@pytest.mark.parametrize("servo_ids", [(1, 1), (254,), (-1,)])
def test_ids_are_checked(make_bus, servo_ids):
    with pytest.raises(ValueError, match="servo ids are"):
        make_bus(servo_ids)
