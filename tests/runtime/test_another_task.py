"""Tasks that the robot's side has never heard of: a lid goes onto a pot, and a crumb is swept onto a dish."""

from __future__ import annotations

import dataclasses
import functools
import json
from types import SimpleNamespace

import numpy as np
import pytest

from soarm import kinematics
from soarm.cli import main
from soarm.errors import LogError, ObservationError
from soarm.hardware.config import ArmConfig
from soarm.hardware.observation import Observed
from soarm.hardware.registers import Status, Telemetry
from soarm.hardware.states import State
from soarm.runtime import gate, log
from soarm.runtime.carried import CarriedObjects
from soarm.runtime.limits import Limits
from soarm.runtime.lockstep import Clock, SyncInference
from soarm.runtime.loop import Loop, LoopConfig
from soarm.runtime.objects import CalledObjects, FileObjects, on_the_table
from soarm.runtime.plausible import require_plausible
from soarm.runtime.schedule import Schedule
from soarm.runtime.sensors import Stamped
from soarm.runtime.standing import Box, boxes
from soarm.runtime.success import SuccessMonitor
from soarm.runtime.tracked import TrackedObjects
from soarm.spec import ENVIRONMENT_STATE, STATE, Feature
from soarm.tasks.pick_place import TASK
from soarm.tasks.registry import TASKS
from soarm.tasks.residual_observation import Term
from soarm.tasks.thing import Goal, Grip, Surface, Thing
from soarm.teleop.convert import pieces
from soarm.teleop.follower import ArmFollower
from soarm.teleop.recording import recorder

POT, LID = (0.1, -0.2), (-0.05, -0.22)
POSE = ("x", "y", "z", "yaw4_cos", "yaw4_sin")


def made_up(name, goal, things, elements):
    names = tuple(f"{thing}.{element}" for thing, told in elements.items() for element in told)
    units = tuple("1" if "yaw4" in one else "m" for one in names)
    own = (Term("place", 2, lambda at: at.objects[:, :2]),)
    told = {"objects": Feature((len(names),), names, units), "things": things, "goal": goal}
    return dataclasses.replace(TASK, name=name, env_id="", instruction=f"Do the {name}.", residual=own, **told)


COVER = made_up(
    "cover",
    Goal("the lid is on the pot", "lid", lambda at, _: abs(at["lid.z"] - 0.06) < 0.008 and abs(at["lid.x"] - POT[0]) < 0.01),
    (
        Thing("pot", 0.02, 0.05, nearest_m=0.1, surface=Surface(0.015, 0.05, walled=False)),
        Thing("mat", 0.03, 0.0, nearest_m=0.1),
        Thing("lid", 0.01, 0.02, nearest_m=0.05, grip=Grip((0.02, 0.02, 0.015), (6.0, 20.0), 25.0, 0.02, 12.0)),
    ),
    {"pot": ("x", "y", "yaw4_cos", "yaw4_sin"), "lid": POSE, "mat": ("x", "y")},
)
SWEEP = made_up(
    "sweep",
    Goal("the crumb is on the dish", "crumb", lambda at, _: at["crumb.z"] < 0.02 and abs(at["crumb.x"] - at["dish.x"]) < 0.02),
    (Thing("crumb", 0.01, 0.02, nearest_m=0.05), Thing("dish", 0.03, 0.0, nearest_m=0.05)),
    {"dish": ("x", "y"), "crumb": POSE},
)
LYING = on_the_table(COVER, {"pot": (*POT, 0.0), "lid": (*LID, 0.0), "mat": (0.0, -0.3)})
HOME = np.array([0.0, 0.0, 5.0, 80.0, -80.0, 40.0])
QUIET = Telemetry(0, 0, 0.0, 7.4, 30, Status(0), False, 0.0)


@pytest.fixture(autouse=True)
def known(monkeypatch):
    for task in (COVER, SWEEP):
        monkeypatch.setitem(TASKS, task.name, task)


def lid_at(x, y, z):
    objects = LYING.copy()
    objects[4:7] = x, y, z
    return objects


def around(x, y, z, percent):
    """Return joints with the fingers down around a point."""
    return np.array([*reaching(x, y, z), percent])


@functools.cache
def reaching(x, y, z):
    rotation = kinematics.gripper_rotation([[0.0, -0.5, -1.0]] * 2, [[1.0, 0.0, 0.0], [-1.0, 0.0, 0.0]])
    found = kinematics.solve_ik([[x, y, z]] * 2, rotation, HOME, iterations=200)
    return found.q[found.rotation_error_deg.argmin()][:5]


def test_what_a_person_measures_stands_where_the_task_tells_it():
    assert dict(zip(COVER.objects.names, LYING.tolist(), strict=True)) == {
        **{"pot.x": 0.1, "pot.y": -0.2, "pot.yaw4_cos": 1.0, "pot.yaw4_sin": 0.0},
        **{"lid.x": -0.05, "lid.y": -0.22, "lid.z": 0.01, "lid.yaw4_cos": 1.0, "lid.yaw4_sin": 0.0},
        **{"mat.x": 0.0, "mat.y": -0.3},
    }


def test_a_task_that_tells_what_no_ruler_measures_says_so():
    more = Feature((12,), (*COVER.objects.names, "pot.steam"), (*COVER.objects.units, "1"))

    with pytest.raises(ObservationError, match=r"no ruler measures pot.steam of the task cover; give --objects FILE"):
        on_the_table(dataclasses.replace(COVER, objects=more), {"pot": (*POT, 0.0), "lid": (*LID, 0.0), "mat": (0.0, -0.3)})


def test_what_cannot_be_is_named_by_the_things_of_the_task():
    with pytest.raises(ObservationError) as caught:
        require_plausible(COVER, [0.0, -0.1, 1.0, 1.0, 0.0, -0.2, 0.5, 1.0, 0.0, 0.5, 0.0], "seen")
    with pytest.raises(ObservationError, match="With the sign of y turned they could be"):
        require_plausible(SWEEP, [0.0, 0.2, 0.1, 0.2, 0.01, 1.0, 0.0], "seen")

    first, *faults = str(caught.value).splitlines()
    assert first == "seen: pot, mat or lid cannot be there:"
    assert "the pot is in the arm's base" in faults[0]
    assert "at least 0.1 is free" in faults[0]
    assert "the mat is out of reach" in faults[1]
    assert "pot.yaw4_sin, (1, 1), have length 1.41421; no pot has more than 1" in faults[2]
    assert "the lid's middle is higher than the arm reaches: z is 0.5 m;" in faults[3]
    assert faults[3].endswith("on the table it is 0.01")


def test_marks_are_in_nobodys_way_and_a_lid_stands_on_the_pot_or_below_the_hand():
    turned = 2**0.5
    pot = Box("pot", *POT, 0.02 * turned, 0.05)

    assert boxes(COVER, LYING) == (pot, Box("lid", *LID, 0.01 * turned, 0.02))
    assert boxes(COVER, lid_at(*POT, 0.06))[1] == Box("lid", *POT, 0.01 * turned, pytest.approx(0.07))
    assert boxes(COVER, lid_at(*POT, 0.3))[1].height_m == pytest.approx(0.07), "there it would fall on the pot"
    assert boxes(COVER, lid_at(*LID, 0.3))[1].height_m == pytest.approx(0.02)


@pytest.mark.parametrize(("over", "height_m"), [(POT, 0.06), ((0.05, -0.25), 0.01)], ids=["the pot", "the table"])
def test_a_lid_goes_with_the_hand_and_falls_on_what_is_below(over, height_m):
    objects = CarriedObjects(COVER, LYING, now=lambda: 5.0)
    for place, percent, told in ((0.012, 13.0, 5.0), (0.1, 13.0, 5.0)):
        for _ in range(3):
            objects.update(around(*LID, place, percent), around(*LID, place, told))
    lifted = objects.read().value[6]
    objects.update(around(*over, 0.1, 13.0), HOME)
    carried = objects.read().value[4:7]
    objects.update(around(*over, 0.1, 18.0), HOME)
    fallen = objects.read().value[4:7]

    assert lifted == pytest.approx(0.1, abs=0.006)
    np.testing.assert_allclose(carried, [*over, 0.1], atol=0.01)
    np.testing.assert_allclose(fallen, [*carried[:2], height_m], atol=1e-6)
    np.testing.assert_array_equal(objects.read().value[[0, 1, 9, 10]], LYING[[0, 1, 9, 10]].astype(np.float32))


def test_a_thing_that_is_moved_without_being_held_cannot_be_followed_by_the_hand(tmp_path):
    lying = on_the_table(SWEEP, {"crumb": (0.0, -0.2, 0.0), "dish": (0.1, -0.2)})

    with pytest.raises(ObservationError, match=r"the task sweep moves the crumb without holding it.*give --objects FILE"):
        CarriedObjects(SWEEP, lying)
    (tmp_path / "objects.json").write_text(json.dumps({"objects": lying.tolist()}))
    np.testing.assert_allclose(FileObjects(SWEEP, tmp_path / "objects.json").read().value, lying)


def first_success(task, objects, q):
    monitor = SuccessMonitor(task, 0.3)
    return next((i for i in range(30) if monitor.reached(Stamped(i / 30, np.asarray(objects(i), np.float32)), q)), None)


def test_a_task_is_done_when_its_thing_is_let_go_and_rests_where_it_has_to_be():
    held, let_go = around(*POT, 0.06, 13.0), around(*POT, 0.06, 26.0)

    assert first_success(COVER, lambda _: lid_at(*POT, 0.06), let_go) == 9
    assert first_success(COVER, lambda _: lid_at(*POT, 0.06), held) is None
    assert first_success(COVER, lambda _: LYING, let_go) is None
    assert first_success(COVER, lambda i: lid_at(0.1 + 0.001 * (i % 10), -0.2 - 0.01 * i, 0.06), let_go) is None, "it moves"


def test_a_thing_that_is_never_held_need_not_be_let_go_and_without_one_the_gripper_has_to_rest():
    swept = on_the_table(SWEEP, {"crumb": (0.0, -0.2, 0.0), "dish": (0.0, -0.2)})
    up = dataclasses.replace(SWEEP, goal=Goal("the gripper is up", None, lambda _, tcp_m: bool(tcp_m[2] > 0.05)))

    assert first_success(SWEEP, lambda _: swept, around(0.0, -0.2, 0.02, 0.0)) == 9
    assert first_success(up, lambda _: swept, HOME) == 9
    assert first_success(up, lambda _: swept, around(0.0, -0.2, 0.02, 0.0)) is None


class StillArm:
    """Stays where it is."""

    state, fault = State.HOLD, None

    def observe(self):
        return Observed(0.0, HOME.copy(), np.zeros(6), np.zeros(6), np.zeros(6, np.int64), (QUIET,) * 6, np.zeros(6, np.int64))

    def command(self, q):
        return np.zeros(6, np.int64)

    def hold(self):
        self.state = State.HOLD

    def activate(self):
        self.state = State.ACTIVE


def run(path, seconds=2.0):
    """Run a policy with a residual; the lid is on the pot after half a second."""
    clock, observed = Clock(), []
    network = SimpleNamespace(predict_chunks=lambda observation: observed.append(observation) or np.tile(HOME, (1, 30, 1)))
    residual = SimpleNamespace(predict_residual=lambda seen: observed.append(seen) or np.zeros((1, 6), np.float32))
    lid = SimpleNamespace(subject=COVER.subject)
    lid.read = lambda: Stamped(clock.now(), (LYING if clock.now() < 0.5 else lid_at(*POT, 0.06)).astype(np.float32))
    limits = Limits.usual(np.full(6, -110.0), np.full(6, 110.0))
    with log.RunLog(path, COVER, {"control_hz": 30}, clock.now) as run_log:
        loop = Loop(
            *(StillArm(), COVER, SyncInference(network), Schedule(30, 10), (residual, np.ones(6))),
            *({ENVIRONMENT_STATE: lid}, limits, LoopConfig(30, 30), run_log, clock.now, clock.sleep),
            success=SuccessMonitor(COVER, 0.3),
        )
        return loop.run(seconds), observed


def test_a_run_ends_with_the_goal_of_the_task_and_its_log_tells_of_its_objects(tmp_path, caplog):
    caplog.set_level("INFO")
    report, observed = run(tmp_path / "run.log")
    read = log.read(tmp_path / "run.log")

    assert report.cause == "the lid is on the pot"
    assert report.ended_well
    assert report.lines()[1].startswith("success: the lid is on the pot, 0.8 s")
    assert {one.shape[1] for one in observed if isinstance(one, np.ndarray)} == {COVER.residual_observation.dim}
    assert observed[0][ENVIRONMENT_STATE].shape == (1, 11)
    assert (read.task, read.header["task"]) == (COVER, "cover")
    np.testing.assert_allclose(read.records["objects"][0], LYING, rtol=1e-6)
    assert main(["show-log", str(tmp_path / "run.log")]) == 0
    assert "success: the lid is on the pot, 0.8 s after the start" in caplog.text


def test_a_log_becomes_episodes_of_its_task_and_one_of_a_task_that_is_not_there_says_so(tmp_path, monkeypatch):
    run(tmp_path / "run.log")
    (piece,) = pieces(log.read(tmp_path / "run.log"))
    with recorder(tmp_path / "data", 30, COVER) as made:
        made.save_episode(piece.observations, piece.actions)
    info = json.loads((tmp_path / "data/meta/info.json").read_text())
    monkeypatch.delitem(TASKS, "cover")

    assert piece.observations[ENVIRONMENT_STATE].shape[1] == 11
    assert info["features"][ENVIRONMENT_STATE]["shape"] == [11]
    with pytest.raises(LogError, match=r"the task is 'cover'; there are \["):
        log.read(tmp_path / "run.log")


def test_by_hand_what_sensors_tell_is_recorded():
    objects = CalledObjects(COVER, lambda: LYING, now=lambda: 5.0)
    follower = ArmFollower(StillArm(), {ENVIRONMENT_STATE: objects}, lambda wanted, _: wanted, 30, now=lambda: 6.0)

    assert list(follower.observe()) == [STATE, ENVIRONMENT_STATE]
    assert str(follower.unfit()).startswith("pot, mat and lid were last seen 1.00 s ago")


@pytest.fixture
def driven(monkeypatch, tmp_path):
    """Return what `soarm drive` would be run with: task, words of the command line -> settings."""
    found = []

    def run(settings, *rest):
        found.append(settings)
        return SimpleNamespace(lines=list, ended_well=True)

    monkeypatch.setattr("soarm.runtime.drive.run", run)
    monkeypatch.setattr("soarm.hardware.calibration.Calibration.load", lambda path: None)

    def drive(task, *words):
        monkeypatch.setattr(
            "soarm.runtime.bundle.Bundle.open",
            lambda folder: SimpleNamespace(task=task, sessions={}, cameras={}, eye_cameras={}, spec=task.spec(30)),
        )
        status = main(["drive", "bundle", "--port", "p", "--calibration", "c", *words])
        return found.pop().sensors[ENVIRONMENT_STATE] if status == 0 else None

    return drive


MEASURED = ["--place", "pot=0.1,-0.2,0", "--place", "lid=-0.05,-0.22,0", "--place", "mat=0,-0.3"]


def test_drive_takes_a_place_for_each_thing_and_needs_those_of_the_bundles_task(driven, caplog, tmp_path):
    caplog.set_level("INFO")
    np.testing.assert_allclose(driven(COVER, *MEASURED).read().value, LYING, rtol=1e-6)
    assert isinstance(driven(SWEEP, "--objects", "objects.json"), TrackedObjects)
    for words in (MEASURED[:-2], [*MEASURED, "--objects", "o"], [*MEASURED, "--place", "bin=0.1,-0.2"], []):
        assert driven(COVER, *words) is None

    needed = "--place pot=X,Y,YAW --place mat=X,Y --place lid=X,Y,YAW"
    assert caplog.text.count(f"needs to know where pot, mat and lid lie: say all of {needed}") == 4
    assert "given was --place pot=0.1,-0.2,0, --place lid=-0.05,-0.22,0, --place mat=0,-0.3, --place bin" in caplog.text
    assert driven(SWEEP, "--place", "crumb=0,-0.2,0", "--place", "dish=0.1,-0.2") is None
    assert "moves the crumb without holding it" in caplog.text
    assert driven(TASK, "--place", "cube=0,-0.2,15", "--place", "bin=0.15,-0.15") is not None


def test_the_gate_refuses_nothing_for_the_name_of_a_task_and_what_no_sensor_tells_by_its_key():
    found = gate.faults(COVER.spec(30), None, ArmConfig(), 7.4, [ENVIRONMENT_STATE])

    assert found["features"] == []
    (fault,) = gate.faults(COVER.spec(30), None, ArmConfig(), 7.4, [])["features"]
    assert fault == "the policy wants ['observation.environment_state']; this runtime gives observation.state"
