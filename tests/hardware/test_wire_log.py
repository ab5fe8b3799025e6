import logging
import os

import pytest

from soarm.errors import LogError
from soarm.hardware.packets import StatusPacket
from soarm.hardware.wire_log import WireEvent, WireLog, read_wire_log, replay

PING, ANSWER = bytes.fromhex("ffff010201fb"), bytes.fromhex("ffff010200fc")


def test_what_is_written_is_read_back(tmp_path):
    times = iter([1.5, 1.500123])
    with WireLog(tmp_path / "new" / "wire.jsonl", now=lambda: next(times)) as log:
        log.write("tx", PING)
        log.write("rx", ANSWER)

    assert (tmp_path / "new" / "wire.jsonl").read_text() == (
        '{"t_s": 1.500000, "dir": "tx", "hex": "ffff010201fb"}\n{"t_s": 1.500123, "dir": "rx", "hex": "ffff010200fc"}\n'
    )
    assert list(read_wire_log(log.path)) == [WireEvent(1.5, "tx", PING), WireEvent(1.500123, "rx", ANSWER)]


def test_a_log_is_replayed_against_the_parser():
    events = [
        WireEvent(0.0, "rx", b"\x00"),
        WireEvent(1.0, "tx", PING),
        WireEvent(1.1, "rx", ANSWER[:2]),
        WireEvent(1.2, "rx", ANSWER[2:]),
        WireEvent(2.0, "tx", PING),
        WireEvent(2.1, "rx", ANSWER[:-1] + b"\x00"),
        WireEvent(3.0, "tx", PING),
    ]
    first, second, third = replay(events)

    assert (first.t_s, first.request) == (1.0, PING)
    assert first.answer.packets == [StatusPacket(1, 0, b"")]
    assert (second.answer.packets, second.answer.bad_checksums) == ([], 1)
    assert third.answer.packets == []


@pytest.mark.parametrize(
    "line",
    [
        "",
        "{",
        '{"t_s": 1.0, "dir": "up", "hex": ""}',
        '{"t_s": 1.0, "dir": "tx", "hex": "0"}',
        '{"dir": "tx", "hex": "00"}',
        "[]",
    ],
)
def test_a_line_that_is_no_event_is_named(tmp_path, line):
    path = tmp_path / "wire.jsonl"
    path.write_text('{"t_s": 1.0, "dir": "tx", "hex": "00"}\n' + line + "\n")

    with pytest.raises(LogError, match="line 2 is not an event of a wire log"):
        list(read_wire_log(path))


def test_a_missing_log_is_named(tmp_path):
    with pytest.raises(LogError, match=r"none\.jsonl cannot be read"):
        list(read_wire_log(tmp_path / "none.jsonl"))


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is always full")
def test_a_full_disk_ends_the_log_and_not_the_arm(tmp_path, caplog):
    log = WireLog(tmp_path / "wire.jsonl")
    log._file.close()
    log._file = open("/dev/full", "w", buffering=1)  # noqa: SIM115 - the log closes it
    with caplog.at_level(logging.ERROR):
        log.write("tx", PING)
        log.write("tx", PING)
        log.close()

    assert "ends here" in caplog.text
    assert log._file.closed


def test_a_closed_log_takes_no_more(tmp_path):
    log = WireLog(tmp_path / "wire.jsonl")
    log.close()
    log.close()
    log.write("tx", PING)
    log.flush()

    assert log.path.read_text() == ""
