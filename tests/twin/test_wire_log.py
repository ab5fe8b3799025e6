import logging
import os

import pytest

from soarm.twin.wire_log import WireLog

PING, ANSWER = bytes.fromhex("ffff010201fb"), bytes.fromhex("ffff010200fc")


def test_a_line_holds_time_direction_and_bytes(tmp_path):
    times = iter([1.5, 1.500123])
    with WireLog(tmp_path / "new" / "wire.jsonl", now=lambda: next(times)) as log:
        log.write("tx", PING)
        log.write("rx", ANSWER)

    assert (tmp_path / "new" / "wire.jsonl").read_text() == (
        '{"t_s": 1.500000, "dir": "tx", "hex": "ffff010201fb"}\n{"t_s": 1.500123, "dir": "rx", "hex": "ffff010200fc"}\n'
    )


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

    assert log.path.read_text() == ""
