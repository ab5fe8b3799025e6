from hypothesis import given
from hypothesis import strategies as st

from soarm.hardware.packets import ReplyBurst, split_burst
from soarm.hardware.readings import Readings
from soarm.hardware.registers import TELEMETRY_BYTES, Status

SERVO_IDS = (1, 2, 5)
BLOCKS = st.lists(st.tuples(st.integers(0, 255), st.binary(min_size=15, max_size=15)), min_size=3, max_size=3)


def burst(blocks, t_s):
    return ReplyBurst(b"".join(b"\xff\xff\0\0" + bytes((error,)) + data + b"\0" for error, data in blocks), t_s)


@given(cycles=st.lists(BLOCKS, min_size=1, max_size=4))
def test_a_whole_burst_is_entered_as_its_answers_one_by_one(cycles):
    at_once, one_by_one = Readings(), Readings()

    for t_s, blocks in enumerate(cycles):
        came = burst(blocks, float(t_s))
        n = at_once.take_burst(SERVO_IDS, came)
        assert n == one_by_one.take(SERVO_IDS, split_burst(came, SERVO_IDS, TELEMETRY_BYTES))
        assert vars(at_once) == vars(one_by_one)


def test_a_position_beyond_one_turn_is_a_miss_until_the_next_good_one():
    good, beyond = (0, b"\x10\x00" + bytes(13)), (0, b"\x00\x10" + bytes(13))
    readings = Readings()
    readings.take_burst(SERVO_IDS, burst([good] * 3, 1.0))

    assert readings.take_burst(SERVO_IDS, burst([good, beyond, good], 2.0)) == 1
    assert [readings.latest[i].misses for i in SERVO_IDS] == [0, 1, 0]
    assert readings.latest[2].telemetry.position_ticks == 16
    assert readings.out_of_range == {2: 4096}
    assert readings.take_burst(SERVO_IDS, burst([good] * 3, 3.0)) == 0
    assert readings.out_of_range == {}
    assert readings.latest[2].misses == 0


def test_the_status_is_that_of_the_last_answer_whatever_the_question():
    readings = Readings()
    readings.take_burst(SERVO_IDS, burst([(0, bytes(15))] * 3, 1.0))
    readings.hear(2, 32)
    readings.hear(9, 4)
    assert readings.status == {1: Status(0), 2: Status.OVERLOAD, 5: Status(0), 9: Status.HEAT}

    readings.take_burst(SERVO_IDS, burst([(1, bytes(15))] * 3, 2.0))
    assert readings.status == {1: Status.VOLTAGE, 2: Status.VOLTAGE, 5: Status.VOLTAGE, 9: Status.HEAT}
