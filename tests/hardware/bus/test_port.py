"""The port on a real pseudo-terminal: opening, locking, losing. Nothing here waits for a time to pass."""

import os
import select
import threading
import tty

import pytest

from soarm.errors import PortError
from soarm.hardware.bus import Bus
from soarm.hardware.port import open_port


@pytest.fixture
def pty():
    """Return the master end and the path of the slave; the slave stays open, as in an emulator."""
    master, slave = os.openpty()
    tty.setraw(slave)
    yield master, os.ttyname(slave)
    for fd in (master, slave):
        try:
            os.close(fd)
        except OSError:
            assert fd == master, "only the master is closed by a test"


def serve(master, answers):
    """Answer requests, each with the next of `answers`, in a thread that ends with them."""

    def work():
        for answer in answers:
            os.read(master, 4096)
            os.write(master, answer)

    thread = threading.Thread(target=work)
    thread.start()
    return thread


def test_a_bus_on_a_pseudo_terminal(pty, make_status):
    master, path = pty
    block = bytes.fromhex("0108 0000 0000 4a 1f 00 00 00 0000 0000")
    with Bus.open(path, (1, 2), timeout_s=10.0) as bus:
        server = serve(master, [make_status(1, 0, block) + make_status(2, 0, block), make_status(1, 0, b"")])
        readings = bus.sync_read()
        bus.write(1, "torque_limit", 5)
        server.join()

    assert {i: reading.telemetry.position_ticks for i, reading in readings.items()} == {1: 2049, 2: 2049}
    assert bus.counters.misses == 0


def test_an_answer_in_pieces_is_put_together(pty, make_status):
    master, path = pty
    answer = make_status(1, 0, b"\x00\x08")

    def dribble():
        os.read(master, 4096)
        for byte in answer:
            os.write(master, bytes((byte,)))

    with Bus.open(path, (1,), timeout_s=10.0) as bus:
        server = threading.Thread(target=dribble)
        server.start()

        assert bus.read(1, "present_position") == 2048
        server.join()


def test_a_second_program_is_refused(pty):
    _, path = pty
    with Bus.open(path, (1,)), pytest.raises(PortError, match=rf"{path} cannot be opened: another program holds it"):
        Bus.open(path, (1,))

    Bus.open(path, (1,)).close()


def test_a_watchdog_may_share_the_port(pty):
    _, path = pty
    with Bus.open(path, (1,)), Bus.open(path, (1,), exclusive=False) as second:
        assert second.line.is_open


def test_a_missing_port_says_where_to_look(tmp_path):
    with pytest.raises(PortError, match=r"there is no such device: .*soarm find-port"):
        Bus.open(str(tmp_path / "none"), (1,))


def test_what_is_no_serial_port_is_refused(tmp_path):
    path = tmp_path / "file"
    path.write_text("")

    with pytest.raises(PortError, match="is it a serial port at all"):
        Bus.open(str(path), (1,))


def test_a_baud_the_sdk_does_not_speak_is_refused(pty):
    with pytest.raises(PortError, match="76800 baud is none of the servo SDK's rates"):
        Bus.open(pty[1], (1,), baud=76_800)


def test_a_link_to_a_port_will_do(pty, tmp_path):
    (tmp_path / "arm").symlink_to(pty[1])

    Bus.open(str(tmp_path / "arm"), (1,)).close()


def test_the_lock_survives_a_change_of_baud(pty):
    _, path = pty
    with Bus.open(path, (1,)) as bus:
        bus.line.set_baud(500_000)

        with pytest.raises(PortError, match="another program holds it"):
            Bus.open(path, (1,))


def test_unplugging_is_a_port_error(pty):
    master, path = pty
    with Bus.open(path, (1,)) as bus:
        os.close(master)

        with pytest.raises(PortError, match="was lost"):
            bus.sync_read()
        assert bus.torque_off() == (1,)


def test_old_bytes_are_gone_before_a_question(pty):
    master, path = pty
    port = open_port(path, 1_000_000)
    os.write(master, b"old")
    assert select.select([port.ser.fileno()], [], [], 10.0)[0]
    port.send(b"new")

    assert port.drained_bytes == 3
    assert port.receive(1, 0.0) == b""
    assert os.read(master, 10) == b"new"
    port.closePort()


def test_an_adapter_that_takes_no_bytes_is_given_up(pty, monkeypatch):
    _, path = pty
    monkeypatch.setattr("soarm.hardware.port._WRITE_TIMEOUT_S", 0.01)
    port = open_port(path, 1_000_000)

    with pytest.raises(OSError, match="has taken no byte"):
        port.send(bytes(1 << 20))
    port.closePort()
