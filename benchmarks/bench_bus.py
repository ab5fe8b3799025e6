"""How many cycles a second the bus makes: 15-byte telemetry of six servos and one goal for each, ours and the SDK's.

    PYTHONPATH=. python benchmarks/bench_bus.py [--port PATH] [--seconds 1.0] [--repeats 7]

Both run in this process, in the main thread with signals noted as in `soarm drive`, in turn and against the same port, so that
whatever else the machine does slows both alike. Without `--port` the port is a pseudo-terminal, served by a second process
that answers at once, with no line time and no physics: what is left is the cost of the two programs and of the system between
them. It is measured twice: with a core for each process, and with one core for both, which is what a busy host has left for
them. There the SDK's way of waiting, a spin, takes the time of the process that is to answer. With `--port` the bus is an
emulated or a real one; goals are then the positions that were read, so nothing moves, and torque is not touched.

The floor is the same exchange of bytes without any protocol: write the two packets, read what must come. No driver that sleeps
while it waits can be faster than that, so it also bounds what a ratio to the SDK can be.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
import tty
from collections.abc import Callable

from scservo_sdk import COMM_SUCCESS, SCS_TOHOST, GroupSyncRead, GroupSyncWrite, PacketHandler, PortHandler

from soarm.hardware.bus import Bus
from soarm.hardware.packets import sync_read, sync_write
from soarm.hardware.port import open_port
from soarm.hardware.registers import TABLE, TELEMETRY_ADDRESS, TELEMETRY_BYTES
from soarm.signals import recorded_signals

SERVO_IDS = (1, 2, 3, 4, 5, 6)
GOAL = TABLE["goal_position"].address
CENTRE = (2048).to_bytes(2, "little")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", help="a bus that is running; without it one is started")
    parser.add_argument("--seconds", type=float, default=1.0, help="of each repeat")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        serve()
        return
    if arguments.port is not None:
        measure(arguments.port, arguments.port, arguments.seconds, arguments.repeats)
        return
    command = [sys.executable, __file__, "--serve"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        port = server.stdout.readline().strip()
        cores = sorted(os.sched_getaffinity(0))
        for name, ours_on, theirs_on in (("a core for each", cores[0], cores[-1]), ("one core for both", cores[0], cores[0])):
            os.sched_setaffinity(0, {ours_on})
            os.sched_setaffinity(server.pid, {theirs_on})
            measure(port, name, arguments.seconds, arguments.repeats)
        server.terminate()
    print(f"load of the machine: {', '.join(f'{load:.2f}' for load in os.getloadavg())} on {len(cores)} cores")


def measure(port: str, where: str, seconds: float, repeats: int) -> None:
    """Measure in turn and print rates, CPU time per cycle and ratios."""
    drivers: dict[str, Callable[[str, float], tuple[float, float]]] = {"soarm": ours, "SDK as is": sdk, "floor": floor}
    rates: dict[str, list[float]] = {name: [] for name in drivers}
    cpu: dict[str, list[float]] = {name: [] for name in drivers}
    with recorded_signals():
        for _ in range(repeats):
            for name, driver in drivers.items():
                rate, cpu_us = driver(port, seconds)
                rates[name].append(rate)
                cpu[name].append(cpu_us)
    print(
        f"six servos, {TELEMETRY_BYTES}-byte sync read + sync write of the goal; {repeats} repeats of {seconds:g} s; {where}"
    )
    for name, values in rates.items():
        print(
            f"  {name:10} {statistics.median(values):7.0f} Hz (median)  {min(values):7.0f} .. {max(values):7.0f}"
            f"   {statistics.median(cpu[name]):6.0f} us CPU of this process per cycle"
        )
    ratios = [a / b for a, b in zip(rates["soarm"], rates["SDK as is"], strict=True)]
    bounds = [a / b for a, b in zip(rates["floor"], rates["SDK as is"], strict=True)]
    print(f"  soarm / SDK {statistics.median(ratios):.2f} (median of the pairs; {min(ratios):.2f} .. {max(ratios):.2f})")
    print(f"  floor / SDK {statistics.median(bounds):.2f}")


def timed(cycle: Callable[[], None], seconds: float) -> tuple[float, float]:
    """Return cycles per second and microseconds of CPU time per cycle."""
    for _ in range(20):
        cycle()
    n, start_s, start_cpu_s = 0, time.perf_counter(), time.process_time()
    while (elapsed_s := time.perf_counter() - start_s) < seconds:
        cycle()
        n += 1
    return n / elapsed_s, 1e6 * (time.process_time() - start_cpu_s) / n


def ours(port: str, seconds: float) -> tuple[float, float]:
    """Time our bus; every cycle must bring six fresh readings."""
    with Bus.open(port, SERVO_IDS, timeout_s=0.1) as bus:

        def cycle() -> None:
            readings = bus.sync_read()
            bus.sync_write("goal_position", {servo_id: each.telemetry.position_ticks for servo_id, each in readings.items()})

        rate = timed(cycle, seconds)
        assert bus.counters.misses == 0, f"servos were missed: {bus.counters}"
        return rate


def sdk(port: str, seconds: float) -> tuple[float, float]:
    """Time the SDK's own group classes, used as its examples use them: each servo asked whether it came, numbers signed."""
    handler = PortHandler(port)
    handler.openPort()
    handler.setBaudRate(1_000_000)
    packet_handler = PacketHandler(0)
    reader = GroupSyncRead(handler, packet_handler, TELEMETRY_ADDRESS, TELEMETRY_BYTES)
    writer = GroupSyncWrite(handler, packet_handler, GOAL, 2)
    for servo_id in SERVO_IDS:
        reader.addParam(servo_id)

    def cycle() -> None:
        result = reader.txRxPacket()
        assert result == COMM_SUCCESS, packet_handler.getTxRxResult(result)
        for servo_id in SERVO_IDS:
            assert reader.isAvailable(servo_id, TELEMETRY_ADDRESS, TELEMETRY_BYTES)
            position = SCS_TOHOST(reader.getData(servo_id, 56, 2), 15)
            SCS_TOHOST(reader.getData(servo_id, 58, 2), 15)  # velocity
            SCS_TOHOST(reader.getData(servo_id, 60, 2), 10)  # load
            for address in (62, 63, 65, 66):  # voltage, temperature, status, moving
                reader.getData(servo_id, address, 1)
            SCS_TOHOST(reader.getData(servo_id, 69, 2), 15)  # current
            writer.addParam(servo_id, [position & 0xFF, position >> 8])
        writer.txPacket()
        writer.clearParam()

    try:
        return timed(cycle, seconds)
    finally:
        handler.closePort()


def floor(port: str, seconds: float) -> tuple[float, float]:
    """Time the bare exchange of the same bytes."""
    opened = open_port(port, 1_000_000)
    ask = sync_read(SERVO_IDS, TELEMETRY_ADDRESS, TELEMETRY_BYTES)
    goals = b""
    n_expected = (TELEMETRY_BYTES + 6) * len(SERVO_IDS)
    fd = opened.ser.fileno()

    def cycle() -> None:
        nonlocal goals
        os.write(fd, ask)
        answer = opened.receive(n_expected, 0.1)
        assert len(answer) == n_expected, f"{len(answer)} of {n_expected} bytes came"
        goals = goals or _goals(answer)
        os.write(fd, goals)

    try:
        return timed(cycle, seconds)
    finally:
        opened.closePort()


def _goals(answer: bytes) -> bytes:
    size = TELEMETRY_BYTES + 6
    goals = (bytes((servo_id,)) + answer[i * size + 5 : i * size + 7] for i, servo_id in enumerate(SERVO_IDS))
    return sync_write(GOAL, 2, b"".join(goals))


def _framed(body: bytes) -> bytes:
    return b"\xff\xff" + body + bytes((~sum(body) & 0xFF,))


def serve() -> None:
    """Answer sync reads on a pseudo-terminal until the process is ended; print its name first."""
    master, slave = os.openpty()
    tty.setraw(slave)
    print(os.ttyname(slave), flush=True)
    telemetry = CENTRE + bytes((0, 0, 0, 0, 74, 31, 0, 0, 0, 0, 0, 0, 0))
    train = b"".join(_framed(bytes((servo_id, 17, 0)) + telemetry) for servo_id in SERVO_IDS)
    request = sync_read(SERVO_IDS, TELEMETRY_ADDRESS, TELEMETRY_BYTES)
    pending = b""
    while True:
        pending += os.read(master, 4096)
        while len(pending) >= 4 and len(pending) >= 4 + pending[3]:
            end = 4 + pending[3]
            if pending[:end] == request:
                os.write(master, train)
            pending = pending[end:]


if __name__ == "__main__":
    main()
