"""A task that the core has never heard of goes through simulator, rollout, evaluation and residual observation."""

from __future__ import annotations

import dataclasses
import enum
from typing import Any, ClassVar

import numpy as np
import pytest

from soarm.chunking import Step
from soarm.evaluation.evaluator import evaluate
from soarm.evaluation.results import Results
from soarm.evaluation.summary import summarise
from soarm.quantities import NotNegative
from soarm.sim.batch_env import BatchSim
from soarm.sim.draw import draw_physics
from soarm.sim.env import SimEnv
from soarm.sim.params import PhysicsParams, RewardWeights, SimParams, TaskParams
from soarm.sim.pick_place.params import PickPlaceParams
from soarm.sim.task import Number, Ops, Physics, Progress, SimTask
from soarm.spec import ENVIRONMENT_STATE, STATE, Feature
from soarm.tasks.registry import TASKS
from soarm.tasks.residual_observation import N_LOOKAHEAD, Term
from soarm.tasks.task import Column, Task
from soarm.tasks.thing import Goal


class Stage(enum.IntEnum):
    START = 0
    UP = 1


POINT = Task(
    name="point",
    env_id="SoArm/Point-v0",
    instruction="Bring the gripper above the shoulder.",
    objects=Feature((2,), ("mark.x", "mark.z"), ("m", "m")),
    things=(),
    goal=Goal("the gripper is up", None, lambda _, tcp_m: bool(tcp_m[2] > 0.0)),
    stages=Stage,
    terms=("height",),
    residual=(Term("mark_height", 1, lambda at: at.objects[:, 1:2] - at.tcp[:, 2:], (0.05,)),),
    outcomes={"success": "success", "too_low": "stayed too low"},
    classify=lambda info, _: "success" if info["is_success"] else "too_low",
    ending_columns=(Column("height_m", float, lambda info: float(info["height_m"])),),
    scene_columns=(Column("mark_x_m", float, lambda at: at["mark.x"]), Column("mark_y_m", float, lambda at: at["mark.z"])),
)


@dataclasses.dataclass(frozen=True)
class Weights(RewardWeights):
    height: NotNegative


@dataclasses.dataclass(frozen=True)
class PointParams(SimParams):
    task_name: ClassVar[str] = "point"

    weights: Weights
    physics: PhysicsParams
    task: TaskParams


@dataclasses.dataclass(frozen=True)
class Scene:
    qpos: np.ndarray
    physics: Physics


def evaluate_progress(ops: Ops, tcp: Any) -> Progress:
    height: Number = ops.minimum(ops.maximum(tcp[2] / 0.3, 0.0), 1.0)
    up = tcp[2] > 0.0
    return Progress((height,), up * 1, up, (tcp[0], tcp[1]), {"height_m": tcp[2] * 1.0})


SIM_POINT = SimTask(
    task=POINT,
    params_type=PointParams,
    expert_params=object,
    fields={},
    add_to=lambda spec, params: None,
    draw=lambda rng, params: Scene(np.radians(rng.uniform(-5.0, 5.0, 6)), draw_physics(rng, params.physics)),
    write=lambda data, scene: None,
    write_physics=lambda model, fields, physics: None,
    state=lambda view: view.tcp,
    objects=lambda view: [view.qpos[0] * 0 + 0.1, view.qpos[0] * 0 + 0.2],
    evaluate_progress=evaluate_progress,
    expert=lambda params, control_hz: pytest.fail("nobody asks"),
)


@pytest.fixture
def params(sim: PickPlaceParams, monkeypatch: pytest.MonkeyPatch) -> PointParams:
    monkeypatch.setitem(TASKS, "point", POINT)
    monkeypatch.setattr("soarm.sim.params.sim_task", {"point": SIM_POINT}.__getitem__)
    servos = {field.name: getattr(sim.physics, field.name) for field in dataclasses.fields(PhysicsParams)}
    shared = {field.name: getattr(sim, field.name) for field in dataclasses.fields(SimParams)}
    task = TaskParams(sim.task.home, sim.task.home_jitter, success_hold_s=0.2, time_limit_s=0.5)
    own = {"weights": Weights(1.0, 0.5), "physics": PhysicsParams(**servos), "task": task, "reward": "shaped"}
    return PointParams(**shared | own)


class Still:
    def reset(self, rows: Any, seeds: Any) -> None:
        pass

    def act(self, observation: Any, rows: Any) -> Any:
        return observation[STATE]


def test_batch_and_single_environment_give_the_same_bits(params: PointParams) -> None:
    batch, single = BatchSim(params, 2), SimEnv(params)
    first = batch.reset(np.arange(2), [3, 4])
    observation, _ = single.reset(seed=4)
    result = batch.step(first[STATE], np.arange(2))
    after, reward, *_, info = single.step(observation[STATE])

    assert batch.task is POINT
    assert observation[ENVIRONMENT_STATE].shape == (2,)
    for key in after:
        np.testing.assert_array_equal(first[key][1], observation[key])
        np.testing.assert_array_equal(result.observation[key][1], after[key])
    assert reward == result.reward[1]
    assert {key: value[1] for key, value in result.info.items()} == info
    assert "reward/height" in info


def test_rows_have_the_columns_of_the_task_and_come_back_from_disk(params: PointParams, tmp_path: Any) -> None:
    results = evaluate(BatchSim(params, 2), Still(), range(3), knocked_away_m=0.03)
    results.save(tmp_path)
    summary = summarise(Results.load(tmp_path))

    assert results.rows[0].value("mark_x_m") == pytest.approx(0.1)
    assert summary.success_rate == 1.0
    assert (summary.failures, summary.reached) == ({"too_low": 0}, {"up": 3})


def test_its_residual_observation_follows_from_its_terms() -> None:
    observation = {STATE: np.zeros((1, 6), np.float32), ENVIRONMENT_STATE: np.full((1, 2), 0.2, np.float32)}
    step = Step(np.zeros((1, 6), np.float32), np.zeros(1, np.float32), np.zeros((1, N_LOOKAHEAD, 6), np.float32))
    layout = POINT.residual_observation

    assert layout.compute(observation, step).shape == (1, layout.dim)
    assert layout.dim == 6 + 2 + 3 + 1 + 6 + 2 + 6 * N_LOOKAHEAD
