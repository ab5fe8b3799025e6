import pytest

from soarm.errors import BusError

SERVO_IDS = (1, 2, 3, 4, 5, 6)


def test_ping_returns_the_model(bus):
    assert bus.ping(4) == 777


def test_an_id_that_nobody_has_is_an_error(bus):
    with pytest.raises(BusError, match="no servo with the id 7 answers on /dev/servos"):
        bus.ping(7)


def test_scan_finds_who_is_there(bus, wire):
    del wire.servos[2]

    assert bus.scan() == dict.fromkeys((1, 3, 4, 5, 6), 777)


def test_all_answer_one_question(bus, wire):
    del wire.servos[5]

    assert bus.broadcast_ping() == [1, 2, 3, 4, 6]
    assert len(wire.requests) == 1


@pytest.mark.parametrize("echo", [False, True])
def test_a_servo_that_complains_is_found_whether_or_not_the_adapter_echoes(bus, wire, echo):
    wire.echo = echo
    for servo in wire.servos.values():
        servo.error = 1

    assert bus.ping(1) == 777
    assert bus.scan(range(1, 9)) == dict.fromkeys(SERVO_IDS, 777)
    assert bus.broadcast_ping() == list(SERVO_IDS)


def test_two_servos_with_one_id_that_answer_one_after_the_other_are_noticed(bus, wire, make_status):
    wire.twins[3] = [make_status(3, 0, b"\x09\x03")]

    for ask in (lambda: bus.ping(3), lambda: bus.scan(range(1, 7))):
        with pytest.raises(BusError, match=r"two servos share id 3: .*Connect one servo at a time"):
            ask()


def test_two_servos_with_one_id_that_answer_at_once_are_noticed(bus, wire):
    wire.servos[3].next_answers = [bytes.fromhex("ffff03 04 00 0103 ed")] * 3

    with pytest.raises(BusError, match="two servos share id 3"):
        bus.ping(3)


def test_two_servos_with_one_id_are_noticed_when_all_answer(bus, wire, make_status):
    wire.twins[3] = [make_status(3, 0, b"")]
    with pytest.raises(BusError, match="two servos share id 3"):
        bus.broadcast_ping()

    wire.twins[3] = []
    wire.servos[3].next_answers = [b"\xff\xff\x03\x02\x40"] * 3
    with pytest.raises(BusError, match="two servos share an id"):
        bus.broadcast_ping()


def test_noise_that_strikes_once_blames_nobody(bus, wire):
    wire.servos[3].corrupt = 1

    assert bus.ping(3) == 777
