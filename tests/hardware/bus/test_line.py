"""The port may go, and an exception may strike, at any moment: the bus stays usable or says why not."""

import signal
import termios

import pytest
import serial

from soarm.errors import PortError
from soarm.signals import recorded_signals

TROUBLE = [OSError(5, "Input/output error"), serial.SerialException("gone"), termios.error(5, "Input/output error")]


@pytest.mark.parametrize("error", TROUBLE, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("when", ["before", "on_write", "on_read"])
def test_an_unplugged_port_is_a_port_error_and_the_bus_says_so_ever_after(bus, wire, error, when):
    def unplug():
        wire.gone = error

    if when == "before":
        unplug()
    else:
        setattr(wire, when, unplug)
    with pytest.raises(PortError, match=r"the port /dev/servos was lost \(.*Plug it in again"):
        bus.sync_read()

    for use in (bus.sync_read, lambda: bus.read(1, "id"), lambda: bus.sync_write("goal_position", {1: 0}), bus.broadcast_ping):
        with pytest.raises(PortError, match="cannot be used: it was lost"):
            use()
    assert bus.line.port.ser.closed == 1
    bus.close()
    assert bus.line.port.ser.closed == 1


def test_a_closed_bus_says_so(bus):
    bus.close()
    bus.close()

    with pytest.raises(PortError, match=r"cannot be used: it was closed\. Open the bus again"):
        bus.sync_read()


def test_a_port_that_cannot_even_be_closed_is_only_logged(bus, caplog):
    def fail():
        raise termios.error(5, "Input/output error")

    bus.line.port.ser.close = fail
    bus.close()

    assert "closing the port /dev/servos" in caplog.text


@pytest.mark.parametrize("when", ["on_write", "on_read"])
def test_an_exception_inside_a_transaction_leaves_the_bus_usable(bus, wire, when):
    def strike():
        setattr(wire, when, None)
        raise MemoryError("at a bad moment")

    setattr(wire, when, strike)
    with pytest.raises(MemoryError):
        bus.sync_read()

    wire.servos[1].position = 77
    assert bus.sync_read()[1].telemetry.position_ticks == 77
    assert bus.torque_off() == ()


@pytest.mark.parametrize("when", ["on_write", "on_read"])
def test_ctrl_c_inside_a_transaction_waits_until_it_is_over(bus, wire, when):
    def strike():
        setattr(wire, when, None)
        signal.raise_signal(signal.SIGINT)

    setattr(wire, when, strike)
    with pytest.raises(KeyboardInterrupt):
        bus.sync_read()

    assert bus.counters.replies == 6
    assert wire.incoming == []
    assert bus.sync_read()[1].misses == 0


def test_bytes_that_came_between_the_questions_are_thrown_away(bus, wire, make_status):
    wire.incoming = [(0.0, make_status(1, 0, bytes(15)))]

    assert bus.sync_read()[1].telemetry.position_ticks == 2001
    assert bus.counters.drained_bytes == 21


def test_what_comes_after_the_time_is_up_but_before_we_look_is_taken(bus, wire, clock):
    """A loaded machine wakes us late; the answer is there by then."""

    read = bus.line.port._read

    def wake_late(n_bytes, within_s):
        bus.line.port._read = read
        clock.t_s += 1.0
        return b""

    bus.line.port._read = wake_late

    assert {reading.misses for reading in bus.sync_read().values()} == {0}
    assert bus.counters.retries == 0


def test_a_signal_that_is_only_noted_does_not_disturb_a_transaction(bus, wire):
    def strike():
        wire.on_read = None
        signal.raise_signal(signal.SIGINT)

    with recorded_signals() as signals:
        wire.on_read = strike
        readings = bus.sync_read()
        bus.sync_write("goal_position", {1: 2000})

    assert signals.came == ["SIGINT"]
    assert len(readings) == 6
    assert bus.counters.misses == 0
