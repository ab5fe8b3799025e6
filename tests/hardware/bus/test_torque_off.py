import signal

import pytest

SERVO_IDS = (1, 2, 3, 4, 5, 6)


@pytest.fixture
def live(bus, wire):
    for servo in wire.servos.values():
        servo.memory[40] = 1
    return wire


def torque(wire):
    return {servo_id: servo.memory[40] for servo_id, servo in wire.servos.items()}


def test_all_are_off_and_it_was_read_back(bus, live):
    assert bus.torque_off() == ()
    assert set(torque(live).values()) == {0}
    assert [request[4] for request in live.requests] == [0x83, 0x83, 0x82]


def test_a_dead_servo_is_named_and_keeps_no_other_live(bus, live, clock, caplog):
    live.servos[2].mute = 10_000
    start_s = clock()

    assert bus.torque_off() == (2,)
    assert set(torque(live).values()) == {0}
    assert clock() - start_s <= 0.41
    assert "the servos [2]" in caplog.text


def test_a_servo_that_hears_no_write_is_named(bus, live):
    live.servos[5].deaf = True

    assert bus.torque_off() == (5,)
    assert torque(live) == {1: 0, 2: 0, 3: 0, 4: 0, 5: 1, 6: 0}


def test_six_dead_servos_are_named_in_time(bus, live, clock):
    for servo in live.servos.values():
        servo.mute = 10_000
    start_s = clock()

    assert bus.torque_off() == SERVO_IDS
    assert clock() - start_s <= 0.41


def test_a_servo_that_answers_late_is_off_in_the_end(bus, live):
    live.servos[4].mute = 3
    live.servos[6].delays_s = [0.05]

    assert bus.torque_off() == ()
    assert set(torque(live).values()) == {0}


def test_with_a_long_timeout_every_servo_still_gets_its_turn(make_bus):
    wire, slow = make_bus(SERVO_IDS, timeout_s=2.0)
    wire.servos[1].mute = 10_000
    wire.servos[1].deaf = wire.servos[2].deaf = True
    wire.servos[1].memory[40] = wire.servos[2].memory[40] = 1

    assert slow.torque_off() == (1, 2)
    assert wire.clock() - 100.0 <= 0.5
    assert {request[2] for request in wire.requests if request[4] == 0x03} == {1, 2}


def test_an_unplugged_port_leaves_all_of_them_named(bus, live):
    live.gone = OSError(5, "Input/output error")

    assert bus.torque_off() == SERVO_IDS


def test_a_port_lost_half_way_leaves_those_named_that_did_not_confirm(bus, live):
    live.servos[3].deaf = True
    n_writes = 0

    def count():
        nonlocal n_writes
        n_writes += 1
        if n_writes == 5:
            live.gone = OSError(5, "Input/output error")

    live.on_write = count

    assert bus.torque_off() == (3,)


def test_a_closed_bus_vouches_for_no_servo(bus, live):
    bus.close()

    assert bus.torque_off() == SERVO_IDS


def test_no_servos_are_off_at_once(make_bus):
    wire, bus = make_bus(())

    assert bus.torque_off() == ()
    assert wire.requests == []
    bus.close()


@pytest.mark.parametrize("at_write", range(1, 8))
def test_ctrl_c_waits_until_torque_is_off(bus, live, at_write):
    live.servos[3].mute = 2
    n_writes = 0

    def strike():
        nonlocal n_writes
        n_writes += 1
        if n_writes == at_write:
            signal.raise_signal(signal.SIGINT)

    live.on_write = strike
    try:
        bus.torque_off()
    except KeyboardInterrupt:
        assert n_writes >= at_write

    assert set(torque(live).values()) == {0}
