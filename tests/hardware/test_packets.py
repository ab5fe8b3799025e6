import pytest
from hypothesis import given
from hypothesis import strategies as st
from scservo_sdk import COMM_SUCCESS, PacketHandler

from soarm.hardware import packets
from soarm.hardware.packets import Reply, ReplyBurst, StatusPacket, form_of, scan, split_burst

PACKETS = st.builds(StatusPacket, st.integers(0, 253), st.integers(0, 255), st.binary(max_size=30))


def status(servo_id, error, data):
    body = bytes((servo_id, len(data) + 2, error)) + data
    return b"\xff\xff" + body + bytes((~sum(body) & 0xFF,))


@pytest.mark.parametrize(
    ("packet", "expected"),
    [
        pytest.param(packets.ping(1), "ffff010201fb", id="ping"),
        pytest.param(packets.ping(), "fffffe0201fe", id="ping of all"),
        pytest.param(packets.read(1, 56, 2), "ffff0104023802be", id="read"),
        pytest.param(packets.write(1, 42, b"\x00\x08"), "ffff0105032a0008c4", id="write"),
        pytest.param(packets.sync_read((1, 2), 56, 15), "fffffe0682380f01022f", id="sync read"),
        pytest.param(packets.sync_write(42, 2, b"\x01\x00\x08\x02\xff\x0f"), "fffffe0a832a0201000802ff0f2f", id="sync write"),
    ],
)
def test_golden_packets(packet, expected):
    assert packet.hex() == expected


class SdkPort:
    """A port that keeps what the SDK sends."""

    is_using = False

    def clearPort(self):  # noqa: N802 - the SDK's name
        pass

    def writePort(self, packet):  # noqa: N802 - the SDK's name
        self.sent = bytes(packet)
        return len(packet)


@given(
    servo_id=st.integers(0, 254),
    address=st.integers(0, 127),
    data=st.binary(max_size=60),
    servo_ids=st.lists(st.integers(0, 253), max_size=12),
    n_bytes=st.integers(1, 40),
)
def test_every_packet_is_framed_as_the_sdk_frames_it(servo_id, address, data, servo_ids, n_bytes):
    built = [
        packets.ping(servo_id),
        packets.read(servo_id, address, n_bytes),
        packets.write(servo_id, address, data),
        packets.sync_read(servo_ids, address, n_bytes),
        packets.sync_write(address, n_bytes, data),
    ]
    for packet in built:
        port, blank = SdkPort(), bytearray(packet)
        blank[:2], blank[-1:] = b"\0\0", b"\0"  # header and checksum are the SDK's to fill in
        assert PacketHandler(0).txPacket(port, blank) == COMM_SUCCESS
        assert port.sent == packet


@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        pytest.param("ffff010200fc", [StatusPacket(1, 0, b"")], id="acknowledgement"),
        pytest.param("ffff0104200008d2", [StatusPacket(1, 32, b"\x00\x08")], id="overloaded"),
        pytest.param("00ffffff010200fc", [StatusPacket(1, 0, b"")], id="header of three bytes"),
        pytest.param("ffff010200fcffff020200fb", [StatusPacket(1, 0, b""), StatusPacket(2, 0, b"")], id="two"),
        pytest.param("ffff010200fd", [], id="wrong checksum"),
        pytest.param("ffff010200", [], id="checksum missing"),
        pytest.param("fffffe0200ff", [], id="broadcast id"),
        pytest.param("ffff0101fd", [], id="length too small"),
        pytest.param("ffff01ff00ffff020200fb", [StatusPacket(2, 0, b"")], id="damaged length does not swallow the next"),
        pytest.param("", [], id="nothing"),
    ],
)
def test_golden_streams(stream, expected):
    assert scan(bytes.fromhex(stream)).packets == expected


@given(stream=st.binary(max_size=300))
def test_whatever_comes_in_no_packet_has_a_wrong_checksum(stream):
    found = scan(stream)

    for packet in found.packets:
        assert status(*packet) in stream
    assert 0 <= found.tail <= len(stream)
    assert (found.lacking > 0) == (found.tail > 0)


@given(pieces=st.lists(st.sampled_from([b"\xff", b"\xff\xff", b"\x01\x02\x00\xfc", b"\x01", b"\x02\x04"]), max_size=40))
def test_streams_full_of_headers_are_read_as_well(pieces):
    stream = b"".join(pieces)

    for packet in scan(stream).packets:
        assert status(*packet) in stream


@given(answers=st.lists(PACKETS, max_size=6))
def test_a_clean_stream_gives_every_packet(answers):
    found = scan(b"".join(status(*packet) for packet in answers))

    assert found == (answers, 0, 0, 0)


@given(answer=PACKETS, noise=st.binary(max_size=20).filter(lambda noise: b"\xff" not in noise), data=st.data())
def test_a_packet_is_found_behind_noise_and_its_tail_is_measured(answer, noise, data):
    whole = status(*answer)
    n = data.draw(st.integers(1, len(whole) - 1))

    assert scan(noise + whole).packets == [answer]
    cut = scan(whole[:n])
    assert cut.packets == []
    assert cut.tail == n
    assert 0 < cut.lacking <= len(whole) - n
    assert n < 4 or cut.lacking == len(whole) - n


@given(answer=PACKETS, data=st.data())
def test_one_flipped_bit_is_noticed(answer, data):
    whole = bytearray(status(*answer))
    at, bit = data.draw(st.integers(2, len(whole) - 1)), data.draw(st.integers(0, 7))
    whole[at] ^= 1 << bit

    assert answer not in scan(bytes(whole)).packets


TRAIN = {1: b"\x01\x02", 2: b"\xff\xff", 5: b"\x00\x00"}


def burst(error=0):
    return b"".join(status(servo_id, error, data) for servo_id, data in TRAIN.items())


def test_a_whole_burst_is_read_in_one_go():
    servo_ids = (1, 2, 5)

    assert form_of(servo_ids, 2).fits(burst(32))
    assert split_burst(ReplyBurst(burst(32), 7.0), servo_ids, 2) == {i: Reply(32, data, 7.0) for i, data in TRAIN.items()}


@given(data=st.data())
def test_a_burst_with_one_wrong_byte_is_not_whole(data):
    stream = bytearray(burst())
    stream[data.draw(st.integers(0, len(stream) - 1))] ^= data.draw(st.integers(1, 255))

    assert not form_of((1, 2, 5), 2).fits(bytes(stream))


@pytest.mark.parametrize("servo_ids", [(1, 2), (1, 5, 2), (1, 2, 6), (1, 2, 5, 6)])
def test_a_burst_of_other_servos_is_not_whole(servo_ids):
    assert not form_of(servo_ids, 2).fits(burst())


def test_a_packet_for_no_servo_or_of_too_many_bytes_is_our_own_mistake():
    with pytest.raises(AssertionError, match="no servo has the id 300"):
        packets.read(300, 0, 1)
    with pytest.raises(AssertionError, match="the longest has 250"):
        packets.sync_write(42, 2, bytes(300))
