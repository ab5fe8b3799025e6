"""A bundle through gate, loop and driver on a twin: what `soarm drive` does."""

from __future__ import annotations

import dataclasses
import json
import os
import time

import numpy as np
import pytest

from soarm.cli import main
from soarm.errors import FaultError, GateError, ObservationError
from soarm.hardware.calibration import Calibration
from soarm.hardware.config import ArmConfig
from soarm.runtime import drive, log, replay, shutdown, standing
from soarm.runtime.bundle import Bundle
from soarm.runtime.lockstep import lockstep
from soarm.runtime.objects import CalledObjects, FileObjects
from soarm.runtime.training_arm import TrainingArm
from soarm.spec import ENVIRONMENT_STATE
from soarm.tasks.pick_place import TASK
from soarm.twin.faults import Fault

TRAINED = TrainingArm(30, (17.0, 19.0), (3.0, 3.5), (0.0, 0.0), start=(0.0, 0.0, 5.0, 85.0, -85.0, 30.0), success_hold_s=0.3)
NOMINAL = Calibration.nominal()
QUICK = ArmConfig(timeout_s=1.0, park_speed=250.0)


@pytest.fixture
def bundle(tmp_path, bundle_files, write_bundle):
    return Bundle.open(write_bundle(tmp_path / "bundle", bundle_files | {"training_arm.json": TRAINED.to_json().encode()}))


def order(bundle, twin, **changes):
    sensors = {ENVIRONMENT_STATE: changes.pop("objects", CalledObjects(TASK, twin.objects))}
    return drive.DriveConfig(**{"bundle": bundle, "which": "residual", "sensors": sensors, "seconds": 0.5, **changes})


def test_a_run_starts_where_training_did_drives_logs_parks_and_lets_go(twin, bundle, tmp_path):
    calibration = Calibration.nominal()
    report = drive.run(order(bundle, twin, log=tmp_path / "run.log"), twin.ports[0], calibration, QUICK)
    run = log.read(tmp_path / "run.log")

    assert report.cause == "the time was up"
    assert len(run.records) == report.ticks > 0
    np.testing.assert_allclose(run.records["q_present"][0], TRAINED.start, atol=5.0)
    assert run.header["which"] == "residual"
    said = [event["text"] for event in run.events]
    wanted = ["HOLD: torque on", "moving to where", "the run begins", "ACTIVE -> HOLD", "the run ended: the time", "parked"]
    places = [next(i for i, text in enumerate(said) if part in text) for part in [*wanted, "LIMP: released", "counters"]]
    assert places[:3] == sorted(places[:3])
    assert places[-4:] == sorted(places[-4:])
    assert run.events[-1]["requests"] > 100
    assert run.events[-1]["misses"] == 0
    park = np.clip(QUICK.park, calibration.lower, calibration.upper)
    np.testing.assert_allclose(twin.q(), park, atol=3.0)
    assert not any(twin.torque(i) for i in range(1, 7))

    began_s = next(event["t_s"] for event in run.events if "the run begins" in event["text"])
    before, after = (run.moves[(run.moves["t_s"] > began_s) == late] for late in (False, True))
    assert len(before) > 0, "the twin stands nearly there"
    assert len(after) > 10
    assert (np.diff(run.moves["t_s"]) >= 0.0).all()
    np.testing.assert_allclose(calibration.to_units(before["ticks_told"][-1]), TRAINED.start, atol=5.0)
    np.testing.assert_allclose(after["q_present"][-1], park, atol=5.0)
    assert (run.moves["voltage_v"] > 5.0).all()
    assert (run.moves["misses"] == 0).all()


def in_the_bin(twin):
    """Return the twin's objects, and after a while the cube in the bin, as if the policy had put it there."""

    def objects():
        seen = twin.objects()
        if twin.goal_writes() > 60:
            seen[:3] = [*seen[5:], 0.0165]
        return seen

    return objects


def test_a_run_ends_when_the_cube_lies_in_the_bin_and_log_and_show_log_say_when(twin, bundle, tmp_path, caplog):
    caplog.set_level("INFO")
    source = CalledObjects(TASK, in_the_bin(twin))
    done = order(bundle, twin, objects=source, seconds=20.0, log=tmp_path / "run.log")
    report = drive.run(done, twin.ports[0], Calibration.nominal(), QUICK)

    assert report.cause == "the cube lies in the bin"
    assert report.ended_well
    assert 0.25 < report.success_s < 10.0
    assert main(["show-log", str(tmp_path / "run.log")]) == 0
    assert f"success: the cube lies in the bin, {report.success_s:.1f} s after the start" in caplog.text
    assert "loop: the run ended: the cube lies in the bin" in caplog.text


def test_a_bundle_that_does_not_say_when_its_task_is_done_drives_until_the_time_is_up(twin, tmp_path, bundle, caplog):
    trained = dataclasses.replace(TRAINED, success_hold_s=None)
    old = Bundle(bundle.folder, bundle.spec, bundle.checksums, bundle.sessions, trained)
    report = drive.run(order(old, twin, objects=CalledObjects(TASK, in_the_bin(twin))), twin.ports[0], NOMINAL, QUICK)

    assert (report.cause, report.success_s) == ("the time was up", None)
    assert "does not say when its task is done (training_arm.json, success_hold_s)" in caplog.text


@pytest.mark.parametrize(
    "shared", [{"objects": [0, -200, 12.5, 1, 0, 150, -150]}, {"objects": [0, -0.2, -0.3, 1, 0, 0.15, -0.15]}]
)
def test_objects_that_cannot_be_are_refused_before_the_port_is_opened(bundle, twin, tmp_path, shared):
    path = tmp_path / "objects.json"
    path.write_text(json.dumps(shared))

    with pytest.raises(ObservationError, match=r"cube or bin cannot be there"):
        drive.run(order(bundle, twin, objects=FileObjects(TASK, path)), "/no/port", Calibration.nominal(), QUICK)


def test_objects_that_nobody_keeps_fresh_are_refused_before_the_port_is_opened(bundle, twin, tmp_path):
    path = tmp_path / "objects.json"
    path.write_text(json.dumps({"objects": twin.objects().tolist()}))
    os.utime(path, (1000.0, 1000.0))

    with pytest.raises(ObservationError, match=r"last seen \d+.\d s ago, and 2 s are allowed"):
        drive.run(order(bundle, twin, objects=FileObjects(TASK, path)), "/no/port", Calibration.nominal(), QUICK)


def test_the_arm_rests_beside_a_bin_that_stands_where_it_would_rest(twin, bundle, caplog):
    """The way there goes around it: what the driver was told is clear of it all along."""
    caplog.set_level("INFO")
    seen = np.array([0.17, -0.2, 0.0125, 1.0, 0.0, 0.0, -0.21])
    report = drive.run(
        order(bundle, twin, objects=CalledObjects(TASK, lambda: seen)), twin.ports[0], Calibration.nominal(), QUICK
    )
    park = np.clip(QUICK.park, Calibration.nominal().lower, Calibration.nominal().upper)

    assert report.ended_well
    assert "the arm rests turned to" in caplog.text
    assert abs(twin.q()[0]) > 20
    np.testing.assert_allclose(twin.q()[1:], park[1:], atol=3.0)
    assert standing.clearance_m(twin.q(), standing.boxes(TASK, seen)) > 0.0


def test_a_dry_run_moves_nothing(twin, bundle):
    before, writes = twin.q(), twin.goal_writes()
    report = drive.run(order(bundle, twin, dry_run=True, which="base"), twin.ports[0], Calibration.nominal(), QUICK)

    assert report.ticks > 0
    assert twin.goal_writes() == writes
    np.testing.assert_array_equal(twin.q(), before)


def test_a_program_that_stands_still_does_not_go_on_softened(twin, bundle, caplog):
    """What SIGSTOP and SIGCONT do: no beat for longer than the switch's patience, then all goes on."""
    once = iter([2.0])

    class Stops(CalledObjects):
        def read(self):
            if twin.goal_writes() > 80:
                time.sleep(next(once, 0.0))
            return super().read()

    report = drive.run(
        order(bundle, twin, objects=Stops(TASK, twin.objects), seconds=30.0), twin.ports[0], Calibration.nominal(), QUICK
    )

    assert "the dead man's switch acted: no heartbeat for 1 s" in report.cause
    assert "status 2" in caplog.text
    park = np.clip(QUICK.park, Calibration.nominal().lower, Calibration.nominal().upper)
    np.testing.assert_allclose(twin.q(), park, atol=3.0)
    assert not any(twin.torque(i) for i in range(1, 7))


def test_a_bundle_for_another_arm_is_not_run(twin, bundle_folder):
    with pytest.raises(GateError, match="does not say on which arm"):
        drive.run(order(Bundle.open(bundle_folder), twin), twin.ports[0], Calibration.nominal(), QUICK)
    assert twin.goal_writes() == 0


@pytest.mark.parametrize("speed", [400.0, float("inf")])
def test_moves_faster_than_a_policy_may_be_are_refused(bundle, twin, speed):
    config = dataclasses.replace(QUICK, park_speed=250.0)
    object.__setattr__(config, "park_speed", speed)  # as settings of another version might let through

    with pytest.raises(FaultError, match=r"park_speed is .* deg/s; the limits allow 360"):
        drive.run(order(bundle, twin), "/no/port", Calibration.nominal(), config)


@pytest.mark.parametrize(
    ("changes", "fault"),
    [({"bus_hz": 50}, "bus_hz is 50; it must be a multiple"), ({"bus_hz": 0}, "bus_hz is 0"), ({"seconds": np.nan}, "nan s")],
)
def test_what_cannot_be_asked_of_a_run_is_refused_before_the_port_is_opened(bundle, twin, changes, fault):
    with pytest.raises(GateError, match=fault):
        drive.run(order(bundle, twin, **changes), "/no/port", Calibration.nominal(), QUICK)


def test_a_residual_that_is_not_there_cannot_be_run(twin, tmp_path, bundle, monkeypatch):
    sessions = {"act": bundle.sessions["act"]}
    alone = Bundle(bundle.folder, bundle.spec, bundle.checksums, sessions, bundle.training_arm)

    with pytest.raises(GateError, match="holds no residual; run it with --which base"):
        drive.run(order(alone, twin, deadman=False), twin.ports[0], Calibration.nominal(), QUICK)


@pytest.fixture
def command(twin, bundle, tmp_path):
    """The command line of a short run."""
    Calibration.nominal().save(tmp_path / "arm.json")
    (tmp_path / "settings.json").write_text('{"timeout_s": 1.0, "park_speed": 250.0, "wait_s": 0.3}')
    files = ["--calibration", str(tmp_path / "arm.json"), "--settings", str(tmp_path / "settings.json")]
    objects = ["--place", "cube=-0.15,-0.2,0", "--place", "bin=0.15,-0.15"]  # beside the rest pose
    return ["drive", str(bundle.folder), "--port", twin.ports[0], "--seconds", "0.2", "--no-deadman", *files, *objects]


def test_a_run_that_went_well_until_its_arm_fell_on_the_way_to_park_is_no_success(twin, command, monkeypatch, caplog):
    def burnt(arm, *args, **settings):
        twin.inject(Fault("heat", servo_id=2, value=67.0, after_writes=3))
        return shutdown.shut_down(arm, *args, **settings)

    caplog.set_level("INFO")
    monkeypatch.setattr(drive, "shut_down", burnt)

    assert main(command) == 1
    assert "ended: the time was up" in caplog.text
    assert "RELEASED ABOVE ITS REST POSE" in caplog.text
    assert "the arm was NOT parked" in caplog.text


def test_a_glitch_on_the_way_to_park_neither_drops_the_arm_nor_fails_the_command(twin, command, monkeypatch):
    def glitch(arm, *args, **settings):
        twin.inject(Fault("mute", servo_id=3, count=6, after_writes=3))
        return shutdown.shut_down(arm, *args, **settings)

    monkeypatch.setattr(drive, "shut_down", glitch)

    assert main(command) == 0
    park = np.clip(QUICK.park, Calibration.nominal().lower, Calibration.nominal().upper)
    np.testing.assert_allclose(twin.q(), park, atol=3.0)


def test_the_command_drives_with_objects_that_were_measured(twin, bundle, tmp_path, caplog):
    caplog.set_level("INFO")
    arm = tmp_path / "arm.json"
    Calibration.nominal().save(arm)
    settings = tmp_path / "settings.json"
    settings.write_text('{"timeout_s": 1.0, "park_speed": 250.0}')
    command = ["drive", str(bundle.folder), "--port", twin.ports[0], "--calibration", str(arm), "--settings", str(settings)]
    command += ["--seconds", "0.3", "--no-deadman", "--place", "cube=0.0,-0.2,0"]

    assert main(command) == 1
    assert "say all of --place cube=X,Y,YAW --place bin=X,Y, or --objects FILE alone" in caplog.text
    assert main([*command[:-2], "--objects", str(tmp_path / "objects.json"), "--place", "bin=0.15,-0.15"]) == 1
    assert caplog.text.count("say all of --place cube=X,Y,YAW --place bin=X,Y, or --objects FILE alone") == 2
    assert main([*command[:-1], "cube=0.0,-200,0", "--place", "bin=150,-150"]) == 1
    assert main([*command[:-1], "cube=0.0,zero"]) == 1
    assert "--place 'cube=0.0,zero' is no place" in caplog.text
    assert "These look like millimetres" in caplog.text
    (tmp_path / "limits.json").write_text('{"velocity": 300, "table_m": 0.005}')
    options = ["--limits", str(tmp_path / "limits.json"), "--log", str(tmp_path / "run.log")]
    assert main([*command, "--place", "bin=0.15,-0.15", "--no-park", *options]) == 0
    assert "deadlines missed; lateness p50" in caplog.text
    found = replay.limits_of(log.read(tmp_path / "run.log"))
    assert found.velocity.tolist() == [300.0] * 6
    assert found.table_m == 0.005


def test_the_end_of_a_run_is_told_while_the_arm_still_holds(twin, bundle, tmp_path):
    seen = []
    told = order(bundle, twin, seconds=0.1, ended=lambda: seen.append((twin.torque(1), twin.q())))

    report = drive.run(told, twin.ports[0], NOMINAL, QUICK)

    ((torque, q),) = seen
    assert torque
    assert report.parked
    assert np.abs(q - twin.q()).max() > 30


def test_in_lockstep_a_run_is_the_same_to_the_bit_and_takes_its_time_from_the_clock_of_the_twin(twin, bundle, tmp_path):
    runs = []
    for name in ("first", "second"):
        twin.reset(3)
        pace = lockstep()
        objects = CalledObjects(TASK, twin.objects, pace.now)
        settings = order(bundle, twin, objects=objects, seconds=1.0, bus_hz=30, pace=pace, log=tmp_path / name, deadman=False)
        report = drive.run(settings, twin.ports[0], NOMINAL, QUICK)
        runs.append(log.read(tmp_path / name).records)
        assert (report.ticks, report.missed) == (30, 0)
        assert max(map(abs, report.lateness_s)) < 1e-9

    for name in ("t_s", "objects", "q_present", "base", "correction", "q_sent", "ticks_sent"):
        np.testing.assert_array_equal(runs[0][name], runs[1][name])
