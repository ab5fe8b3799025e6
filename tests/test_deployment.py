from __future__ import annotations

import dataclasses
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from soarm import deployment
from soarm import params as params_file
from soarm.deployment import DeployParams, DriveStack, WireStats
from soarm.errors import ParamsError
from soarm.policy import VectorPolicy
from soarm.recording import RecordParams
from soarm.rollout import rollout
from soarm.runtime.schedule import Schedule
from soarm.seeds import scene_seeds
from soarm.sim.batch_env import BatchSim
from soarm.sim.params import CameraParams, SimParams
from soarm.sim.pick_place.expert import Expert
from soarm.spec import ENVIRONMENT_STATE, IMAGES, TRUE_OBJECTS, Feature
from soarm.tasks.registry import TASKS
from soarm.twin.faults import Fault
from soarm.twin.sensing import senses_of

LOADED = params_file.load(Path(__file__).parents[1] / "params.yaml", "pick_place")
PARAMS = LOADED.section("deploy_check", DeployParams)
SEEDS = scene_seeds("validation")[:2]


@pytest.fixture(scope="module")
def expert(request):
    settings = LOADED.section("record", RecordParams).expert.noiseless()
    return lambda: VectorPolicy([Expert(settings, 30)])


class OneAtATime:
    """The expert as a network whose chunks hold one action."""

    def __init__(self, expert, seed):
        self._policy = expert()
        self._policy.reset(np.zeros(1, int), [seed])

    def predict_chunks(self, observation):
        return self._policy.act(observation, np.zeros(1, int))[None]


def drive_stack(expert):
    return lambda seed: DriveStack(OneAtATime(expert, seed), Schedule(30, 1))


def test_through_the_wire_the_expert_does_what_it_does_in_the_simulator(sim, expert):
    direct = list(rollout(BatchSim(sim, 1), expert(), SEEDS))
    stats = WireStats()
    with deployment.wired(sim, PARAMS, "position") as arm:
        wire = list(arm.episodes(drive_stack(expert), SEEDS, stats))
        gaps = deployment.gap_per_joint([arm.follow(direct[0])])
    found = stats.to_dict(1 / 30)

    assert [episode.success for episode in wire] == [episode.success for episode in direct] == [True, True]
    for left, right in zip(wire, direct, strict=True):
        np.testing.assert_allclose(left.observations[ENVIRONMENT_STATE][0], right.observations[ENVIRONMENT_STATE][0])
        assert abs(len(left) - len(right)) < 30
    assert max(gaps.values()) < 1.0
    assert found["ticks"] == sum(map(len, wire))
    assert 0 <= found["clamped_fraction"] < 1
    assert set(found["clamped_by"]) == {"range", "lead", "velocity", "acceleration", "table"}
    assert found["missed_answers"] == 0
    assert found["stops"] == []


def test_an_arm_that_stops_has_failed_that_episode_and_goes_on_with_the_next(sim, expert):
    stats = WireStats()
    with deployment.wired(sim, PARAMS, "position") as arm:
        arm._twin.inject(Fault("overload", servo_id=6, after_writes=40))
        wire = list(arm.episodes(drive_stack(expert), SEEDS, stats))

    assert [episode.success for episode in wire] == [False, True]
    assert stats.stops == ["the arm is in FAULT: gripper (servo 6) reports OVERLOAD"]
    assert len(wire[0]) < 45


@pytest.mark.usefixtures("rays")
def test_a_policy_that_looks_sees_the_twins_cameras_and_the_truth_is_kept_beside_what_it_is_told(sim, expert):
    small = dataclasses.replace(sim, cameras={"front": CameraParams(16, 12)})
    seen = []

    class Looks(OneAtATime):
        def predict_chunks(self, observation):
            seen.append(observation[f"{IMAGES}.front"])
            return super().predict_chunks(observation)

    bundle = SimpleNamespace(cameras={"front": Feature.image(12, 16)}, eye_cameras={})
    with deployment.wired(small, PARAMS, "position") as arm:
        arm._twin.inject(Fault("overload", servo_id=6, after_writes=20))  # a short episode
        stack = lambda seed: DriveStack(Looks(expert, seed), Schedule(30, 1))  # noqa: E731
        (episode,) = arm.episodes(stack, SEEDS[:1], WireStats(), senses_of(bundle))

    assert len(seen) >= len(episode) == 20
    assert all((one.dtype, one.shape) == (np.uint8, (1, 12, 16, 3)) for one in seen)
    assert len({one.tobytes() for one in seen}) > 10
    np.testing.assert_array_equal(episode.observations[TRUE_OBJECTS], episode.observations[ENVIRONMENT_STATE])


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(set(TASKS) - {"pick_place"}))
@pytest.mark.parametrize("servo_model", ["position", "sts3215"])
def test_through_the_wire_the_demonstrator_of_every_task_does_it(name, servo_model):
    of_task = params_file.load(Path(__file__).parents[1] / "params.yaml", name)
    sim, settings = of_task.section("sim", SimParams), of_task.section("record", RecordParams).expert.noiseless()
    stats = WireStats()
    with deployment.wired(sim, PARAMS, servo_model) as arm:
        wire = list(arm.episodes(drive_stack(lambda: VectorPolicy([sim.sim_task.expert(settings, 30)])), range(6), stats))

    assert sum(episode.success for episode in wire) >= 5
    assert {episode.observations[ENVIRONMENT_STATE].shape[1:] for episode in wire} == {sim.sim_task.task.objects.shape}
    assert stats.stops == []


@pytest.mark.parametrize(("name", "value"), [("n_scenes", 0), ("n_servo_scenes", 1000)])
def test_parameters_that_make_no_sense_are_refused(name, value):
    with pytest.raises(ParamsError, match=name):
        params_file.changed(PARAMS, {name: value}, "deploy_check")
