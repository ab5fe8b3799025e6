"""The twin's parts: register semantics, wire format, laws, faults, port, command."""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from soarm import motor
from soarm.cli import main
from soarm.errors import TwinError
from soarm.hardware.bus import Bus
from soarm.hardware.config import ArmConfig, Gains
from soarm.hardware.driver import Arm
from soarm.hardware.registers import Status
from soarm.sim.env import SimEnv
from soarm.twin import serving, wire
from soarm.twin.emulator import BusEmulator
from soarm.twin.faults import Fault
from soarm.twin.port import Port
from soarm.twin.servo import FirmwareAssumptions, Servo
from soarm.twin.twin import Twin
from soarm.twin.twin_config import AS_SIMULATED, TwinConfig
from soarm.twin.wire import Instruction, Parser

IDS = range(1, 7)


def servo(**values):
    return Servo(1, values, FirmwareAssumptions())


def packet(servo_id, code, parameters=b""):
    body = bytes((servo_id, len(parameters) + 2, code)) + parameters
    return b"\xff\xff" + body + bytes((~sum(body) & 0xFF,))


def test_the_wire_format_to_the_byte():
    assert wire.status(1, 0, bytes((0x0D, 0x08))) == bytes.fromhex("ff ff 01 04 00 0d 08 e5")
    (read,) = Parser().feed(bytes.fromhex("ff ff 01 04 02 38 02 be"))
    assert read[:3] == (1, wire.READ, b"\x38\x02")


@given(st.lists(st.sampled_from([packet(1, 1), packet(2, 2, b"\x38\x02"), b"\xff", b"\x00\x17", b"\xff\xff\x01"])))
def test_a_stream_may_come_in_any_pieces(pieces):
    stream = b"".join(pieces)
    whole, bytewise = Parser(), Parser()
    together = whole.feed(stream)
    singly = [found for i in range(len(stream)) for found in bytewise.feed(stream[i : i + 1])]

    assert together == singly


def test_garbage_and_wrong_checksums_are_counted_and_what_follows_is_heard():
    parser = Parser()
    bad = bytearray(packet(3, 1))
    bad[-1] ^= 1
    found = parser.feed(b"\x12\x34" + bytes(bad) + packet(4, 1))

    assert [one.servo_id for one in found] == [4]
    assert parser.bad_checksums == 1
    assert parser.garbage >= 2


def test_eeprom_keeps_what_was_written_unlocked_and_forgets_the_rest():
    one = servo()
    one.write(21, b"\x10")
    assert one.get("p_coefficient") == 16
    one.power_up()
    assert one.get("p_coefficient") == 32
    one.write(55, b"\0")
    one.write(21, b"\x10")
    one.power_up()
    assert one.get("p_coefficient") == 16
    assert one.get("lock") == 1


def test_the_torque_limit_is_copied_at_power_up_only():
    one = servo()
    one.write(55, b"\0")
    one.write(16, (500).to_bytes(2, "little"))
    assert one.get("torque_limit") == 1000
    one.power_up()
    assert one.get("torque_limit") == 500
    assert one.torque_share == 0.5


def test_goals_are_cut_and_positions_are_shown_less_the_offset():
    one = servo(min_position_limit=1000, max_position_limit=3000, homing_offset=-100)
    one.place(2000)
    one.write(42, (3500).to_bytes(2, "little"))

    assert one.present_ticks == 2100
    assert one.get("goal_position") == 3000
    assert one.goal_ticks == 2900


def test_recentring_makes_the_present_position_the_middle():
    one = servo()
    one.place(3000)
    one.write(40, b"\x80")

    assert one.present_ticks == 2048
    one.power_up()
    assert one.present_ticks == 2048


def test_facts_cannot_be_written_and_a_deaf_servo_hears_nothing():
    one = servo()
    one.place(1234)
    one.write(56, b"\0\0")
    assert one.present_ticks == 1234
    one.deaf = True
    one.write(40, b"\1")
    assert one.get("torque_enable") == 0


def test_positions_run_on_past_a_turn_only_with_the_bit_for_it():
    one = servo(phase=0b0001_1100)
    one.place(4000)
    one.place(100)
    assert one.present_ticks == 4196
    plain = servo()
    plain.place(4000)
    plain.place(100)
    assert plain.present_ticks == 100


def test_an_overload_leaves_a_share_of_the_torque_until_torque_goes_off():
    one = servo()
    one.write(40, b"\1")
    one.set_status(Status.OVERLOAD)
    assert (one.live, one.torque_share) == (True, 0.2)
    one.write(40, b"\0")
    assert one.get("status") == 0
    one.write(40, b"\1")
    one.set_status(Status.HEAT)
    assert not one.live


def asked(emulator, *packets):
    return [bytes(reply) for one in packets for found in emulator.parser.feed(one) for reply in emulator.execute(found)]


def make_emulator(**assumptions):
    return BusEmulator(
        [Servo(i, {}, FirmwareAssumptions(**assumptions)) for i in (1, 2, 3)], FirmwareAssumptions(**assumptions)
    )


def test_the_instructions_of_the_bus():
    emulator = make_emulator()
    assert len(asked(emulator, packet(0xFE, wire.PING))) == 3
    assert asked(emulator, packet(2, wire.READ, b"\x05\x01")) == [wire.status(2, 0, b"\x02")]
    assert asked(emulator, packet(2, wire.REG_WRITE, b"\x28\x01")) == [wire.status(2, 0, b"")]
    assert emulator.by_id[2][0].get("torque_enable") == 0
    assert asked(emulator, packet(0xFE, wire.ACTION)) == []
    assert emulator.by_id[2][0].get("torque_enable") == 1
    assert asked(emulator, packet(9, wire.PING)) == []
    assert asked(emulator, packet(2, 0x77)) == []
    assert asked(emulator, packet(0xFE, wire.WRITE, b"\x28\x00")) == []
    assert emulator.by_id[2][0].get("torque_enable") == 0


def test_a_servo_told_to_answer_reads_alone_acknowledges_nothing():
    emulator = make_emulator()
    emulator.by_id[1][0].put("response_level", 0)

    assert asked(emulator, packet(1, wire.WRITE, b"\x28\x01")) == []
    assert len(asked(emulator, packet(1, wire.READ, b"\x28\x01"))) == 1


def test_a_missing_servo_may_silence_those_after_it():
    question = packet(0xFE, wire.SYNC_READ, bytes((56, 2, 1, 9, 3)))

    assert len(asked(make_emulator(), question)) == 2
    assert len(asked(make_emulator(sync_read_after_missing=False), question)) == 1


def test_the_return_delay_is_a_switch():
    (found,) = Parser().feed(packet(1, wire.PING))
    for switch, expected in ((True, 500e-6), (False, 0.0)):
        emulator = make_emulator(return_delay=switch)
        emulator.by_id[1][0].put("return_delay_time", 250)
        (reply,) = emulator.execute(found)
        assert reply.wait_s == pytest.approx(expected)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("mute:servo_id=3,count=5", Fault("mute", servo_id=3, count=5)),
        ("sag:value=4.6,at_s=2", Fault("sag", value=4.6, at_s=2.0)),
        ("mute:count=forever", Fault("mute", count=None)),
        ("unplug:after_writes=120", Fault("unplug", after_writes=120)),
    ],
)
def test_faults_are_written_in_one_word(text, fault):
    assert Fault.parse(text) == fault


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("explode", "there is no fault 'explode'; known are mute"),
        ("reboot", "happens to one servo: say which, as in reboot:servo_id=3"),
        ("sag", "needs a value: the supply falls"),
        ("mute:who=3", "cannot read 'who=3'"),
        ("mute:servo_id=x", "cannot read 'servo_id=x'"),
    ],
)
def test_a_fault_that_is_none_is_refused(text, message):
    with pytest.raises(TwinError, match=message):
        Fault.parse(text)


def test_a_fault_of_a_servo_that_is_not_there_is_refused(twin):
    with pytest.raises(TwinError, match="no servo 9"):
        twin.inject(Fault("overload", servo_id=9))


def test_a_fault_waits_for_its_time_and_its_writes(twin, active):
    twin.inject(Fault("overload", servo_id=6, after_writes=3, at_s=0.05))
    q = np.clip(active.observe().q, active.calibration.lower, active.calibration.upper)
    for _ in range(3):
        active.command(q)
        assert not active.bus.read(6, "status") or twin.goal_writes() >= 3

    assert active.bus.read(6, "status") == Status.OVERLOAD


def test_under_the_position_law_the_wire_costs_ticks_and_nothing_else(twin, active, sim):
    env = SimEnv(sim)
    for seed in (3, 4):
        twin.reset(seed)
        observation, _ = env.reset(seed=seed)
        q, rng = observation["observation.state"].astype(float), np.random.default_rng(seed)
        np.testing.assert_allclose(twin.objects(), observation["observation.environment_state"])
        for _ in range(40):
            q = np.clip(q + rng.normal(0, 1, 6), active.calibration.lower, active.calibration.upper)
            active.command(q)
            seen = active.observe()
            observation, *_ = env.step(q.astype(np.float32))

            np.testing.assert_allclose(seen.q, observation["observation.state"], atol=0.3)


@pytest.mark.parametrize("law", ["position", "sts3215", "either"])
def test_the_wire_has_the_errors_of_a_desk_as_direct_simulation_has_them(connect, sim, law):
    drawn = {"position_gain": (17.8, 50.0), "latency_s": (0.0, 0.066), "zero_deg": (-2.0, 2.0), "backlash_deg": (0.0, 1.0)}
    wrong = {"offset_m": (0.003, 0.003), "delay_s": (0.066, 0.066), "period_s": (0.1, 0.1)}
    sim = dataclasses.replace(
        sim,
        physics=dataclasses.replace(sim.physics, cube_edge_m=(0.023, 0.027), **drawn),
        servos=dataclasses.replace(sim.servos, law=law, gain_factor=(1.0, 0.8, 1.2, 1.0, 1.0, 1.0)),
        observation_error=dataclasses.replace(sim.observation_error, **wrong),
    )
    env = SimEnv(sim)
    with Twin.start(sim, TwinConfig(registers=AS_SIMULATED)) as twin:
        arm = connect(twin, gains=dataclasses.replace(Gains(), torque_limit=(1000,) * 6))
        arm.hold()
        arm.activate()
        for seed in (4, 5):  # of `either` the one follows the motor's law, the other the position servo's
            twin.reset(seed)
            observation, _ = env.reset(seed=seed)
            q, rng = observation["observation.state"].astype(float), np.random.default_rng(seed)
            np.testing.assert_allclose(arm.observe().q, q, atol=0.1)
            for _ in range(40):
                q = np.clip(q + rng.normal(0, 1, 6), arm.calibration.lower, arm.calibration.upper)
                arm.command(q)
                seen = arm.observe()
                observation, *_ = env.step(q.astype(np.float32))

                np.testing.assert_allclose(seen.q, observation["observation.state"], atol=0.5)
                np.testing.assert_allclose(twin.objects(), observation["observation.environment_state"], atol=1e-4)


def test_servos_under_the_motor_s_law_are_the_same_whatever_law_a_scene_has_drawn(sim):
    moved = []
    for law in ("sts3215", "either"):
        servos = dataclasses.replace(sim.servos, law=law)
        with Twin.start(dataclasses.replace(sim, servos=servos), TwinConfig(servo_model="sts3215")) as twin:
            twin.reset(5)  # which `either` gives the position servo's law
            with Bus.open(twin.ports[0], IDS, timeout_s=5.0) as bus:
                for i in IDS:
                    bus.write(i, "torque_enable", 1)
                for _ in range(15):
                    bus.sync_write("goal_position", dict.fromkeys(IDS, 1900))
                bus.ping(1)
            moved.append(twin.q())

    np.testing.assert_allclose(*moved, atol=0.01)


def test_a_limp_arm_falls_under_either_law(make_twin):
    for servo_model in ("position", "sts3215"):
        twin = make_twin(servo_model=servo_model)
        before = twin.q()
        with Bus.open(twin.ports[0], IDS, timeout_s=1.0) as bus:
            for _ in range(30):
                bus.sync_write("goal_position", {1: 2048})
            bus.ping(1)

        assert (twin.q() - before)[1] > 5.0, "the upper arm sinks"


def test_the_servo_s_law_sags_with_gain_and_supply_as_its_stiffness_says(make_twin):
    def sag(p, volts):
        twin = make_twin(servo_model="sts3215", volts=volts, registers={"p_coefficient": p})
        with Bus.open(twin.ports[0], IDS, timeout_s=5.0) as bus:
            goals = {i: bus.read(i, "present_position") for i in IDS}
            for i in IDS:
                bus.write(i, "torque_enable", 1)
            before = twin.q()
            for _ in range(60):
                bus.sync_write("goal_position", goals)
            bus.ping(1)
        return (twin.q() - before)[1]

    soft, usual, weak = sag(16, 7.4), sag(32, 7.4), sag(16, 5.0)
    assert weak > soft > usual > 0.3
    assert motor.stiffness(32, 7.4) == pytest.approx(17.8, abs=0.05)
    assert motor.stall_torque(1000, 7.4) == pytest.approx(3.25, abs=0.05)
    assert motor.p_for(17.8, 7.4) == 32
    assert motor.p_for(1e6, 7.4) == 254


def test_a_servo_that_pushes_against_a_stop_overloads_and_one_held_long_gets_hot(make_twin):
    twin = make_twin(servo_model="sts3215")
    config = ArmConfig(timeout_s=1.0, stop_c=70, derate_c=69)
    with Arm.connect(twin.ports[0], twin.config.calibration, config) as arm:
        arm.hold()
        arm.activate()
        twin.inject(Fault("push", servo_id=2, value=6.0))
        q = np.clip(arm.observe().q, arm.calibration.lower, arm.calibration.upper)
        for _ in range(90):
            if arm.state.name == "ACTIVE":
                arm.command(q)
                arm.observe()

        assert arm.fault == "shoulder_lift (servo 2) reports OVERLOAD"
        assert arm.observe().telemetry[1].temperature_c > 32


def test_a_frozen_encoder_stands_still_while_the_arm_moves(twin, active):
    twin.inject(Fault("frozen", servo_id=1))
    before = active.observe().q[0]
    q = np.clip(active.observe().q + np.array([10, 0, 0, 0, 0, 0]), active.calibration.lower, active.calibration.upper)
    for _ in range(15):
        active.command(q)

    assert active.observe().q[0] == before
    assert abs(twin.q()[0] - before) > 5


def test_the_same_path_comes_back_after_the_cable_was_out(tmp_path):
    port = Port(tmp_path / "arm")
    first = port.path.resolve()
    port.unplug()
    assert not port.path.exists()
    assert port.read() == b""
    port.write(b"nobody")
    port.plug_in()
    port.plug_in()
    assert port.path.exists()
    port.close()
    assert first.name.isdigit()
    (tmp_path / "file").write_text("x")
    with pytest.raises(TwinError, match="exists and is not a link"):
        Port(tmp_path / "file")


def test_a_link_to_something_else_is_left_alone(tmp_path):
    (tmp_path / "by-id").symlink_to("/dev/ttyACM0")
    with pytest.raises(TwinError, match="is not a link to a pseudo-terminal"):
        Port(tmp_path / "by-id")

    assert os.readlink(tmp_path / "by-id") == "/dev/ttyACM0"


def test_a_port_is_one_twin_s_with_its_cable_out_as_well(tmp_path):
    port = Port(tmp_path / "arm")
    port.unplug()
    with pytest.raises(TwinError, match=r"another twin is on .*arm; end it, or choose another path"):
        Port(tmp_path / "arm")
    port.close()

    Port(tmp_path / "arm").close()


def test_the_link_of_a_killed_twin_is_taken_though_another_twin_has_its_line_now(tmp_path):
    program = "import os, sys; from soarm.twin.port import Port; port = Port(sys.argv[1]); os.kill(os.getpid(), 9)"
    subprocess.run([sys.executable, "-c", program, str(tmp_path / "killed")], check=False)
    (tmp_path / "killed").unlink()
    other = Port(tmp_path / "other")
    (tmp_path / "killed").symlink_to(os.readlink(other.path))

    port = Port(tmp_path / "killed")
    assert os.readlink(port.path) != os.readlink(other.path)
    port.close()
    other.close()


def test_two_arms_are_not_on_one_port_and_a_port_that_cannot_be_had_leaves_none(tmp_path, sim):
    path = tmp_path / "arm"
    with pytest.raises(TwinError, match=r"two arms on one path, .*arm; name another for each"):
        TwinConfig(arms=2, paths=(path, path))
    (tmp_path / "file").write_text("x")
    with pytest.raises(TwinError, match="exists and is not a link"):
        Twin.start(sim, TwinConfig(arms=2, paths=(path, tmp_path / "file")))

    assert not path.is_symlink()


def test_a_machine_without_pseudo_terminals_is_told(tmp_path, monkeypatch):
    def none():
        raise OSError(2, "No such file or directory")

    monkeypatch.setattr(os, "openpty", none)
    with pytest.raises(TwinError, match="no pseudo-terminal can be opened"):
        Port(tmp_path / "arm")


def test_a_twin_that_cannot_be_is_refused_with_every_fault():
    with pytest.raises(TwinError) as caught:
        TwinConfig(servo_model="spring", clock="sun", volts=99.0, usb_delay_s=-1.0, paths=("a", "b"))  # type: ignore[arg-type]
    for part in ("servo_model is 'spring'", "clock is 'sun'", "volts is 99.0", "usb_delay_s is -1.0", "2 paths for 1 arms"):
        assert part in str(caught.value)


def test_in_wall_clock_the_physics_follows_the_time(make_twin):
    twin = make_twin(clock="wall", line_timing=True, usb_delay_s=0.001)
    with Bus.open(twin.ports[0], IDS, timeout_s=1.0) as bus:
        started_s = twin.time_s()
        while twin.time_s() < started_s + 0.1:
            assert bus.sync_read()
    twin.reset(1)

    assert twin.time_s() < 0.1
    assert twin.running


def test_the_command_keeps_objects_fresh_says_success_and_ends_with_ctrl_c(tmp_path, caplog, monkeypatch):
    caplog.set_level("INFO")
    monkeypatch.chdir(tmp_path)
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    calls = []

    def wait(seconds):
        calls.append(seconds)
        if len(calls) == 3:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(serving, "serve", functools.partial(serving.serve, wait=wait))
    command = [
        "twin",
        "--port",
        "arm",
        "--port",
        "leader",
        "--objects",
        "objects.json",
        "--calibration",
        "arm.json",
        "--clock",
        "lockstep",
    ]
    status = main([*command, "--params", os.path.join(root, "params.yaml"), "--fault", "mute:servo_id=3"])

    assert status == 0
    assert len(json.loads((tmp_path / "objects.json").read_text())["objects"]) == 7
    assert (tmp_path / "arm.json").exists()
    assert "leader on leader" in caplog.text
    assert main([*command, "--params", os.path.join(root, "params.yaml"), "--fault", "boom"]) == 1


def test_instructions_are_what_they_say():
    assert Instruction(1, wire.PING, b"", b"").code == 1


@pytest.mark.parametrize(("register", "expected_s"), [(0, 0.07), (254, 0.2), (50, 0.43)])
def test_the_servo_s_law_follows_its_acceleration_and_speed(make_twin, register, expected_s):
    """A turn of 20 degrees: at 3400 ticks/s alone 0.067 s, else 2 sqrt(way / acceleration), of which both halves are ramps."""
    twin = make_twin(servo_model="sts3215", registers={})
    with Bus.open(twin.ports[0], IDS, timeout_s=1.0) as bus:
        goals = {i: bus.read(i, "present_position") for i in IDS}
        for i in IDS:
            bus.write(i, "acceleration", register)
            bus.write(i, "torque_enable", 1)
        goals[3] -= 228
        periods = 0
        while abs(twin._simulated._slewed[2] - goals[3]) > 3:
            bus.sync_write("goal_position", goals)
            bus.ping(1)
            periods += 1

    assert periods / 30 == pytest.approx(expected_s, abs=1.5 / 30)
