"""The loop against an arm and a clock in memory: time passes when somebody waits, and only then."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from soarm import arm as facts
from soarm.errors import FaultError, ObservationError
from soarm.hardware.calibration import Calibration
from soarm.hardware.observation import Observed
from soarm.hardware.registers import Status, Telemetry
from soarm.hardware.states import State
from soarm.runtime import log, replay
from soarm.runtime.inference import ChunkPrediction, InferenceThread
from soarm.runtime.loop import Loop, LoopConfig
from soarm.runtime.objects import CalledObjects
from soarm.runtime.safety import Limits
from soarm.runtime.schedule import Schedule
from soarm.runtime.sensors import Stamped
from soarm.runtime.success import SuccessMonitor
from soarm.spec import ENVIRONMENT_STATE, IMAGES
from soarm.tasks.pick_place import TASK

HOME = np.array([0.0, 0.0, 5.0, 80.0, -80.0, 30.0])
CALIBRATION = Calibration.nominal()
LIMITS = Limits.usual(CALIBRATION.lower, CALIBRATION.upper)
OBJECTS = [0.1, -0.2, 0.0125, 1.0, 0.0, 0.15, -0.1]
QUIET = Telemetry(0, 0, 0.0, 7.4, 30, Status(0), False, 0.0)


class Clock:
    def __init__(self):
        self.t_s = 100.0

    def now(self):
        return self.t_s

    def sleep(self, seconds):
        self.t_s += seconds


class FakeArm:
    """Goes where it is told, at once; keeps what it was told."""

    def __init__(self, clock, q=HOME):
        self.clock, self.q, self.state, self.fault = clock, q.copy(), State.HOLD, None
        self.sent, self.held, self.script = [], 0, {}
        self.n = 0
        self.misses = np.zeros(6, np.int64)

    def observe(self):
        self.n += 1
        if self.n in self.script:
            self.script[self.n](self)
        ticks = CALIBRATION.to_ticks(self.q)
        return Observed(self.clock.t_s, self.q.copy(), np.zeros(6), np.zeros(6), ticks, (QUIET,) * 6, self.misses.copy())

    def command(self, q):
        if self.state is not State.ACTIVE:
            raise FaultError(f"the arm is in {self.state.name}, not ACTIVE")
        self.q = np.array(q)
        self.sent.append(self.q)
        return CALIBRATION.to_ticks(q)

    def hold(self):
        self.held += 1
        self.state = State.HOLD

    def activate(self):
        self.state = State.ACTIVE


class SlowInference:
    """A network without a thread, whose answers take a while."""

    def __init__(self, clock, predict, takes_s=0.0):
        self.clock, self.predict, self.takes_s, self.waiting, self.asked = clock, predict, takes_s, None, 0

    def ask(self, t_s, observation):
        if self.waiting is None:
            self.asked += 1
            self.waiting = self.clock.t_s + self.takes_s, ChunkPrediction(t_s, self.predict(observation))

    def take(self):
        if self.waiting is None or self.waiting[0] > self.clock.t_s:
            return None
        (_, chunk), self.waiting = self.waiting, None
        return chunk

    def forget(self):
        self.waiting = None


def towards(target, n=25, per_step=1.0):
    def predict(observation):
        q = observation["observation.state"][0]
        return np.stack([q + np.clip(target - q, -per_step * (k + 1), per_step * (k + 1)) for k in range(n)])

    return predict


def make(predict, takes_s=0.0, arm=None, objects=None, camera=None, residual=None, tick_log=None, beat=lambda: None, **config):
    clock = Clock()
    driven = arm(clock) if arm is not None else FakeArm(clock)
    lying = CalledObjects(TASK, lambda: OBJECTS, clock.now)
    sensors = {ENVIRONMENT_STATE: objects(clock) if objects is not None else lying}
    if not config.pop("told", True):
        del sensors[ENVIRONMENT_STATE]
    if camera is not None:
        sensors[f"{IMAGES}.front"] = camera(clock)
    inference = SlowInference(clock, predict, takes_s)
    more = {name: config.pop(name, None) for name in ("success", "first")}
    loop_config = LoopConfig(**{"control_hz": 30, "bus_hz": 60, **config})
    clocks = clock.now, clock.sleep, beat
    loop = Loop(
        driven, TASK, inference, Schedule(30, 10, 0.1), residual, sensors, LIMITS, loop_config, tick_log, *clocks, **more
    )
    return loop, driven, clock, inference


class Source:
    """A sensor with a clock."""

    subject = "cube and bin"

    def __init__(self, clock):
        self.clock = clock


TARGET = HOME + np.array([10.0, 8.0, -6.0, -5.0, 12.0, 20.0])


@pytest.mark.parametrize("takes_s", [0.0, 0.05, 0.2])
def test_it_gets_where_the_policy_wants_however_slow_the_network(takes_s):
    loop, arm, _, _ = make(towards(TARGET), takes_s)
    report = loop.run(3.0)

    np.testing.assert_allclose(arm.q, TARGET, atol=0.6)
    assert report.cause == "the time was up"
    assert (report.ticks, report.missed, arm.held) == (180, 0, 1)


def test_the_first_action_far_away_is_approached_slowly():
    far = np.clip(HOME + np.array([90.0, 0, 0, 0, 0, 0]), LIMITS.lower, LIMITS.upper)
    loop, arm, _, _ = make(lambda _: np.tile(far, (25, 1)))
    loop.run(1.0)
    speed = np.abs(np.diff(np.array([HOME, *arm.sent]), axis=0)).max() * 60

    assert speed <= 45.0 + 1e-6
    assert arm.q[0] > 30.0


def test_a_policy_that_gives_no_numbers_never_moves_the_arm_and_ends_the_run():
    loop, arm, _, _ = make(lambda _: np.full((25, 6), np.nan))
    report = loop.run(5.0)

    assert "actions in a row were invalid" in report.cause
    np.testing.assert_allclose(arm.q, HOME, atol=1e-9)
    assert arm.held == 1


def test_a_policy_that_never_answers_leaves_the_arm_where_it_is_and_ends_the_run():
    loop, arm, _, _ = make(towards(TARGET), takes_s=100.0)
    report = loop.run(5.0)

    assert "the policy has returned nothing for" in report.cause
    np.testing.assert_allclose(arm.q, HOME, atol=1e-9)


def test_objects_that_stop_being_seen_hold_the_arm_within_150_ms():
    class Frozen(Source):
        def read(self):
            return Stamped(min(self.clock.t_s, 101.0), np.array(OBJECTS, np.float32))

    loop, arm, _, _ = make(towards(TARGET, per_step=0.2), objects=Frozen)
    report = loop.run(2.0)
    held_s = next(t for t, text in report.events if text.startswith("hold"))

    assert 1.0 < held_s <= 1.0 + 0.15 + 2 / 60 + 1e-6
    assert "cube and bin were last seen 0.1" in report.events[0][1]
    assert len(arm.sent) < 75


def test_a_camera_that_freezes_holds_the_arm_within_150_ms():
    """Its driver goes on delivering the last picture; the age of what it shows says so."""

    class Camera(Source):
        subject = "pictures of the camera front"

        def read(self):
            return Stamped(min(self.clock.t_s, 101.0), np.zeros((4, 4, 3), np.uint8))

    loop, arm, _, _ = make(towards(TARGET, per_step=0.2), camera=Camera)
    report = loop.run(2.0)
    held_s = next(t for t, text in report.events if text.startswith("hold"))

    assert 1.0 < held_s <= 1.0 + 0.15 + 2 / 60 + 1e-6
    assert arm.held >= 1
    assert "pictures of the camera front were last seen 0.1" in report.events[0][1]


def test_a_policy_may_see_pictures_alone_and_the_log_keeps_their_age_and_a_checksum(tmp_path):
    class Camera(Source):
        subject = "pictures of the camera front"

        def read(self):
            return Stamped(self.clock.t_s - 0.05, np.full((4, 4, 3), self.clock.t_s > 100.4, np.uint8))

    def predict(observation):
        picture = observation[f"{IMAGES}.front"]
        assert (picture.dtype, picture.shape) == (np.uint8, (1, 4, 4, 3))
        return towards(TARGET)(observation)

    with log.RunLog(tmp_path / "run.log", TASK, {"cameras": ["front"]}) as tick_log:
        loop, arm, _, _ = make(predict, camera=Camera, told=False, tick_log=tick_log)
        report = loop.run(1.0)
    records = log.read(tmp_path / "run.log").records

    assert report.cause == "the time was up"
    assert len(arm.sent) == len(records) == 60
    np.testing.assert_allclose(records["picture_age_s"][::2, 0], 0.05, atol=1e-6)
    assert len(set(records["picture_crc"][:, 0])) == 2
    assert np.isnan(records["objects"]).all()


def test_objects_that_cannot_be_read_at_all_refuse_the_start():
    class Gone(Source):
        def read(self):
            raise ObservationError("objects.json cannot be read")

    loop, arm, _, _ = make(towards(TARGET), objects=Gone)

    with pytest.raises(ObservationError):
        loop.run(1.0)
    assert arm.held == 1


def flying(at_s):
    """Return a source of a cube that comes to lie in the bin after so many seconds."""

    class Flying(Source):
        def read(self):
            there = self.clock.t_s - 100.0 >= at_s
            return Stamped(self.clock.t_s, np.array([0.15, -0.1, 0.0165, *OBJECTS[3:]] if there else OBJECTS, np.float32))

    return Flying


def test_a_run_ends_when_the_cube_lies_in_the_bin():
    loop, arm, _, _ = make(towards(TARGET), objects=flying(1.0), success=SuccessMonitor(TASK, 0.3))
    report = loop.run(10.0)

    assert report.cause == "the cube lies in the bin"
    assert report.ended_well
    assert report.success_s == pytest.approx(1.3, abs=0.05)
    assert report.lines()[1] == "success: the cube lies in the bin, 1.3 s after the start"
    assert (arm.held, arm.state) == (1, State.HOLD)
    assert len(arm.sent) <= 80


def test_a_run_that_is_to_keep_going_says_when_the_task_was_done():
    loop, _, _, _ = make(towards(TARGET), objects=flying(1.0), success=SuccessMonitor(TASK, 0.3), keep_going=True)
    report = loop.run(3.0)

    assert report.cause == "the time was up"
    assert report.success_s == pytest.approx(1.3, abs=0.05)
    assert [text for _, text in report.events] == ["the cube lies in the bin"]


def test_where_nothing_can_tell_the_time_ends_the_run():
    loop, _, _, _ = make(towards(TARGET), objects=flying(0.0))
    report = loop.run(1.0)

    assert (report.cause, report.success_s) == ("the time was up", None)


def test_objects_that_cannot_be_are_no_sight_and_say_why_once(caplog):
    class Jumps(Source):
        def read(self):
            if self.clock.t_s > 101.0:
                raise ObservationError("the cube is out of reach")
            return Stamped(self.clock.t_s, np.array(OBJECTS, np.float32))

    loop, arm, _, _ = make(towards(TARGET, per_step=0.2), objects=Jumps)
    report = loop.run(10.0)
    held_s = next(t for t, text in report.events if text.startswith("hold"))

    assert 1.0 < held_s <= 1.0 + 0.15 + 3 / 60
    assert report.cause == "cube and bin were last seen 2.02 s ago, the limit is 2 s: the cube is out of reach"
    assert caplog.text.count("the cube is out of reach") == 1
    assert arm.state is State.HOLD


def test_with_a_first_sight_a_run_waits_for_objects_that_cannot_be_seen_at_its_start():
    class Late(Source):
        def read(self):
            if self.clock.t_s < 100.1:
                raise ObservationError("objects.json cannot be read")
            return Stamped(self.clock.t_s, np.array(OBJECTS, np.float32))

    loop, _, clock, _ = make(
        towards(TARGET), objects=Late, first={ENVIRONMENT_STATE: Stamped(100.0, np.array(OBJECTS, np.float32))}
    )
    report = loop.run(1.0)

    assert report.cause == "the time was up"
    assert loop.latest[ENVIRONMENT_STATE].t_s == pytest.approx(clock.t_s, abs=0.1)


def test_a_sensor_that_follows_the_arm_is_told_where_the_arm_is_and_was_sent():
    updates = []

    class Following(CalledObjects):
        def update(self, q, commanded):
            updates.append((q[0], commanded[0]))

    loop, arm, _, _ = make(towards(TARGET), objects=lambda clock: Following(TASK, lambda: OBJECTS, clock.now))
    loop.run(1.0)

    assert len(updates) == 30
    assert updates[0] == (HOME[0], HOME[0])
    assert updates[-1][1] == pytest.approx(arm.q[0], abs=0.2)


def test_an_arm_in_fault_ends_the_run_with_its_cause():
    def overload(arm):
        arm.state, arm.fault = State.FAULT, "gripper (servo 6) reports OVERLOAD"

    loop, arm, _, _ = make(towards(TARGET))
    arm.script[30] = overload
    report = loop.run(5.0)

    assert report.cause == "the arm is in FAULT: gripper (servo 6) reports OVERLOAD"
    assert report.ticks == 30


def test_a_lost_port_ends_the_run_with_its_cause():
    def lost(arm):
        arm.state = State.FAULT
        raise FaultError("the port was lost")

    loop, arm, _, _ = make(towards(TARGET))
    arm.script[10] = lost
    report = loop.run(5.0)

    assert report.cause == "the port was lost"
    assert report.ticks == 9


def test_a_dead_mans_switch_that_is_gone_ends_the_run_with_its_cause():
    beats = iter(range(10))

    def beat():
        if next(beats, None) is None:
            raise FaultError("the dead man's switch is gone")

    loop, arm, _, _ = make(towards(TARGET), beat=beat)
    report = loop.run(5.0)

    assert (report.cause, report.ticks) == ("the dead man's switch is gone", 10)
    assert arm.state is State.HOLD


def test_an_arm_that_held_by_itself_is_let_on_when_all_joints_are_heard_again():
    def silent(arm):
        arm.state, arm.fault, arm.misses[2] = State.HOLD, "elbow_flex did not answer for 3 cycles", 3

    def heard(arm):
        arm.misses[2] = 0

    loop, arm, _, _ = make(towards(TARGET))
    arm.script.update({20: silent, 30: heard})
    report = loop.run(4.0)

    np.testing.assert_allclose(arm.q, TARGET, atol=0.6)
    assert report.cause == "the time was up"
    assert [text for _, text in report.events] == ["active"]


def test_an_arm_that_does_not_go_on_is_asked_only_so_often():
    """Its supply sags, and stays so."""

    def sags(arm):
        arm.state, arm.fault = State.HOLD, "the supply sags"
        arm.activate = refuse

    def refuse():
        raise FaultError("the arm stays in HOLD as long as the supply sags")

    loop, arm, _, _ = make(towards(TARGET))
    arm.script[30] = sags
    report = loop.run(20.0)

    assert report.cause == "the arm holds: the supply sags, after 5 resumes"
    assert [text.partition(":")[0] for _, text in report.events] == ["still held"] * 5 + ["stop"]
    assert len(arm.sent) == 29


def test_after_a_hold_the_next_target_is_approached_as_slowly_as_the_first():
    """Somebody moves the arm while it holds; what the policy wants is where it was."""

    def silent(arm):
        arm.state, arm.fault, arm.misses[2] = State.HOLD, "elbow_flex did not answer for 3 cycles", 3

    def moved(arm):
        arm.misses[2] = 0
        arm.q = arm.q - np.array([70.0, 0, 0, 0, 0, 0])

    loop, arm, _, _ = make(lambda _: np.tile(TARGET, (25, 1)))
    arm.script.update({60: silent, 80: moved})
    report = loop.run(6.0)
    after = np.array(arm.sent)[59:]
    far = np.abs(after[:, 0] - TARGET[0]) > 15.0

    assert report.cause == "the time was up"
    assert far.sum() > 60
    assert np.abs(np.diff(after[far], axis=0)).max() * 60 <= 45.0 + 1e-6
    np.testing.assert_allclose(arm.q, TARGET, atol=0.1)


def test_a_dry_run_thinks_and_sends_nothing():
    loop, arm, _, inference = make(towards(TARGET), dry_run=True)
    report = loop.run(1.0)

    assert arm.sent == []
    assert arm.state is State.HOLD
    assert inference.asked >= 3
    assert report.cause == "the time was up"


def test_a_tick_that_takes_too_long_is_left_out_and_counted_not_made_up_for():
    def slow(arm):
        arm.clock.t_s += 0.095

    loop, arm, _, _ = make(towards(TARGET))
    arm.script[20] = slow
    report = loop.run(1.0)

    assert report.missed == 4
    assert report.ticks == 56
    assert max(report.lateness_s) < 1 / 60
    assert "4 deadlines missed" in report.lines()[1]


def test_somebody_may_say_stop():
    loop, arm, clock, _ = make(towards(TARGET))
    report = loop.run(5.0, stop=lambda: clock.t_s > 100.5)

    assert report.cause == "somebody said stop"
    assert arm.held == 1


def test_the_residual_is_added_on_fresh_state_and_reached_within_its_control_tick():
    class Residual:
        def predict_residual(self, seen):
            return np.ones((1, 6), np.float32)

    scale = np.array([2.0, 2.0, 2.0, 2.0, 2.0, 2.0])
    still = np.tile(HOME.astype(np.float32), (25, 1))
    loop, arm, _, _ = make(lambda _: still, residual=(Residual(), scale))
    loop.run(2.0)

    np.testing.assert_allclose(arm.q, HOME + scale, atol=1e-4)


@pytest.mark.parametrize(("n_bad", "ends"), [(1, False), (2, False), (3, True)])
@pytest.mark.parametrize("bus_hz", [30, 60, 120])
def test_one_action_that_is_none_is_put_up_with_and_three_in_a_row_end_the_run(n_bad, ends, bus_hz):
    calls = []

    def predict(observation):
        said = np.tile(HOME + 5.0, (25, 1))
        said[4 : 4 + n_bad] = np.nan
        calls.append(1)
        return said if len(calls) == 1 else np.tile(HOME + 5.0, (25, 1))

    loop, arm, _, _ = make(predict, bus_hz=bus_hz)
    report = loop.run(1.0)

    assert ("3 actions in a row were invalid" in report.cause) is ends
    assert report.refused == (n_bad * (bus_hz // 30) if not ends else 2 * (bus_hz // 30) + 1)
    assert np.isfinite(arm.sent).all()
    if not ends:
        np.testing.assert_allclose(arm.q[:5], HOME[:5] + 5.0, atol=1e-3)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize(("n_bad", "ends"), [(2, False), (3, True)])
def test_a_correction_that_is_none_is_left_out_and_counted_and_three_in_a_row_end_the_run(n_bad, ends, bad):
    class Residual:
        n = 0

        def predict_residual(self, seen):
            self.n += 1
            return np.full((1, 6), bad if 5 <= self.n < 5 + n_bad else 1.0, np.float32)

    still = np.tile(HOME.astype(np.float32), (25, 1))
    loop, arm, _, _ = make(lambda _: still, residual=(Residual(), np.full(6, 2.0)))
    report = loop.run(2.0)

    assert report.uncorrected == n_bad
    assert f"{n_bad} corrections left out" in report.lines()[2]
    assert report.refused == 0
    assert np.isfinite(arm.sent).all()
    assert ("in a row were invalid: the residual's correction is not finite" in report.cause) is ends
    if not ends:
        np.testing.assert_allclose(arm.q, HOME + 2.0, atol=1e-4)


def test_a_residual_is_not_blamed_for_an_action_of_the_base_that_is_none():
    said = np.tile(HOME.astype(np.float32), (25, 1))
    said[5] = np.nan

    class Residual:
        def predict_residual(self, seen):
            return np.zeros((1, 6), np.float32) if np.isfinite(seen).all() else np.full((1, 6), np.nan, np.float32)

    loop, _, _, _ = make(lambda _: said, residual=(Residual(), np.full(6, 2.0)))
    report = loop.run(2.0)

    assert (report.cause, report.uncorrected) == ("the time was up", 0)
    assert report.refused > 0


@pytest.mark.parametrize("bus_hz", [50, 15, 0, -30])
def test_a_rate_that_is_no_multiple_is_refused(bus_hz):
    with pytest.raises(ValueError, match=f"bus_hz is {bus_hz}; it must be a multiple of the policy's 30 Hz, as 30, 60, 90"):
        LoopConfig(30, bus_hz)


def test_a_residual_that_raises_ends_the_run_with_its_words():
    class Residual:
        def predict_residual(self, seen):
            raise RuntimeError("Non-zero status code returned while running MatMul")

    loop, arm, _, _ = make(towards(TARGET), residual=(Residual(), np.full(6, 2.0)))
    report = loop.run(2.0)

    assert "the policy's network failed: RuntimeError: Non-zero status code" in report.cause
    assert arm.held == 1


def test_a_log_on_a_full_disk_is_told_at_the_end(tmp_path):
    with log.RunLog(tmp_path / "run.log", TASK, {}) as tick_log:
        tick_log._file.close()
        tick_log._file = open("/dev/full", "wb")  # noqa: SIM115 - the log closes it
        loop, _, _, _ = make(towards(TARGET), tick_log=tick_log)
        report = loop.run(1.0)

    assert report.cause == "the time was up"
    assert report.ticks == 60
    assert report.lines()[-1].endswith("is incomplete: No space left on device")


NUMBERS = st.floats(allow_nan=True, allow_infinity=True, width=32)


@given(st.lists(st.lists(NUMBERS, min_size=6, max_size=6), min_size=3, max_size=3), st.sampled_from([30, 60, 120]))
def test_whatever_a_policy_says_what_is_sent_is_inside_every_limit(rows, bus_hz):
    chunk = np.repeat(np.array(rows, np.float32), 8, axis=0)
    loop, arm, _, _ = make(lambda _: chunk, bus_hz=bus_hz)
    loop.run(0.7)
    sent = np.array([HOME, *arm.sent])

    assert np.isfinite(sent).all()
    assert (sent >= LIMITS.lower - 1e-9).all()
    assert (sent <= LIMITS.upper + 1e-9).all()
    assert (np.abs(np.diff(sent, axis=0)) * bus_hz <= LIMITS.velocity + 1e-6).all()


def test_a_log_says_all_and_replays_to_the_bit(tmp_path):
    path = tmp_path / "run.log"
    header = {
        "limits": replay.header_of(LIMITS),
        "calibration": CALIBRATION.hash,
        "approach": 45.0,
        "control_hz": 30,
    }
    with log.RunLog(path, TASK, header) as tick_log:
        loop, arm, _, _ = make(towards(TARGET, per_step=20.0), tick_log=tick_log)
        report = loop.run(1.5)
    run = log.read(path)
    found = replay.replay(run, CALIBRATION)

    assert len(run.records) == report.ticks == found.n_ticks
    assert found.differing == ()
    np.testing.assert_array_equal(run.records["q_sent"][-1], arm.sent[-1])
    assert (run.records["reasons"] != 0).any()
    assert run.records["control"].sum() == report.ticks / 2
    assert run.records["ticks_sent"].shape[1] == facts.N_JOINTS


def test_a_log_of_a_run_that_held_replays_to_the_bit(tmp_path):
    """In a tick that begins a hold the speed was still that of a policy that had arrived."""

    class Frozen(Source):
        def read(self):
            return Stamped(min(self.clock.t_s, 101.0), np.array(OBJECTS, np.float32))

    with log.RunLog(tmp_path / "run.log", TASK, {"limits": replay.header_of(LIMITS), "approach": 45.0}) as tick_log:
        loop, arm, _, _ = make(towards(TARGET, per_step=20.0), objects=Frozen, tick_log=tick_log)
        arm.script[80] = lambda arm: setattr(arm, "q", arm.q + 10.0)  # somebody pushes it
        loop.run(2.0)
    run = log.read(tmp_path / "run.log")

    assert (run.records["verdict"] == 1).any()
    assert replay.replay(run).differing == ()


def test_a_log_holds_base_and_correction_apart_and_the_speed_of_the_joints(tmp_path):
    class Residual:
        def predict_residual(self, seen):
            return np.ones((1, 6), np.float32)

    still = np.tile(HOME.astype(np.float32), (25, 1))
    with log.RunLog(tmp_path / "run.log", TASK, {}) as tick_log:
        loop, _, _, _ = make(lambda _: still, takes_s=0.05, residual=(Residual(), np.full(6, 2.0)), tick_log=tick_log)
        loop.run(1.0)
    run = log.read(tmp_path / "run.log")
    last = run.records[-1]

    assert np.isnan(run.records["base"][0]).all()
    np.testing.assert_allclose(last["base"], HOME, atol=1e-5)
    np.testing.assert_allclose(last["correction"], 2.0, atol=1e-4)
    np.testing.assert_allclose(last["action"], last["base"] + last["correction"], atol=1e-4)
    assert last["velocity"].shape == (facts.N_JOINTS,)
    assert [event["text"] for event in run.events] == ["loop: the run begins", "loop: the run ended: the time was up"]


def test_a_log_that_was_tampered_with_does_not_replay(tmp_path):
    path = tmp_path / "run.log"
    header = {"limits": replay.header_of(LIMITS), "calibration": CALIBRATION.hash, "approach": 45.0}
    with log.RunLog(path, TASK, header) as tick_log:
        loop, _, _, _ = make(towards(TARGET), tick_log=tick_log)
        loop.run(0.5)
    run = log.read(path)
    records = run.records.copy()
    records["q_sent"][7, 2] += 1e-12
    records["ticks_sent"][9, 0] += 1

    assert replay.replay(run._replace(records=records), CALIBRATION).differing == (7, 9)
    assert replay.replay(run._replace(records=records)).differing == (7,)


def test_the_inference_answers_from_its_thread_and_hands_on_what_went_wrong():
    class Model:
        def predict_chunks(self, observation):
            if observation["x"][0, 0] < 0:
                raise ObservationError("no")
            return np.tile(observation["x"], (1, 4, 1))

    def answer(network):
        while True:
            chunk = network.take()
            if chunk is not None:
                return chunk

    with InferenceThread(Model()) as network:
        network.ask(1.5, {"x": np.full((1, 6), 3.0)})
        chunk = answer(network)
        network.ask(2.5, {"x": np.full((1, 6), -3.0)})
        with pytest.raises(ObservationError, match="no"):
            answer(network)

    assert chunk.t_s == 1.5
    assert chunk.actions.shape == (4, 6)


def test_whatever_a_network_raises_is_named_and_ends_the_run():
    class Model:
        def predict_chunks(self, observation):
            raise RuntimeError("[ONNXRuntimeError] : 2 : INVALID_ARGUMENT")

    with InferenceThread(Model()) as network:
        loop, arm, clock, _ = make(towards(TARGET))
        loop._inference = network
        loop._sleep = lambda seconds: (clock.sleep(seconds), time.sleep(0.001))
        report = loop.run(100.0)

    assert "the policy's network failed: RuntimeError: [ONNXRuntimeError]" in report.cause
    assert arm.held == 1


def test_a_network_that_hangs_does_not_keep_the_program(monkeypatch, caplog):
    class Model:
        def predict_chunks(self, observation):
            waiting.wait(30.0)
            return np.zeros((1, 4, 6))

    waiting = threading.Event()
    monkeypatch.setattr("soarm.runtime.inference._END_S", 0.05)
    with InferenceThread(Model()) as network:
        network.ask(0.0, {})
        time.sleep(0.05)
    waiting.set()

    assert "still computing after 0.05 s" in caplog.text
