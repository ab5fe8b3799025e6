"""The tasks there are, and what holds for each of them."""

from __future__ import annotations

import dataclasses
import importlib.machinery
import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from soarm.chunking import Step
from soarm.errors import ParamsError, SpecMismatchError
from soarm.sim.registry import sim_task
from soarm.spec import ENVIRONMENT_STATE, STATE, Feature, nameless
from soarm.tasks import registry
from soarm.tasks.registry import TASKS, find, load, require_distinct, task_of
from soarm.tasks.residual_observation import N_LOOKAHEAD
from soarm.tasks.task import SUCCESS, Task

EVERY = pytest.mark.parametrize("task", TASKS.values(), ids=list(TASKS))


def test_a_task_is_found_by_the_name_of_its_folder() -> None:
    assert {name: task.name for name, task in TASKS.items()} == {name: name for name in TASKS}
    assert find("pick_place") is TASKS["pick_place"]


def test_a_task_that_is_not_there_is_refused_with_those_there_are() -> None:
    with pytest.raises(SpecMismatchError, match=r"the task is 'juggle'; there are \[.*'pick_place'"):
        find("juggle")
    with pytest.raises(ParamsError, match="the task is 'juggle'"):
        find("juggle", ParamsError)


def test_a_folder_that_exports_no_task_or_another_s_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for exported, found in (({}, "it names none"), ({"TASK": TASKS["stack"]}, "it names the task 'stack'")):
        monkeypatch.setitem(sys.modules, "soarm.tasks.mine", SimpleNamespace(**exported))
        with pytest.raises(
            SpecMismatchError, match=rf"soarm/tasks/mine must export a `Task` of the name 'mine' as TASK; {found}"
        ):
            load("mine")


def test_tasks_that_could_pass_for_each_other_are_refused() -> None:
    copied = dataclasses.replace(TASKS["stack"], name="mine")
    with pytest.raises(SpecMismatchError, match=r"stack, mine have the same env_id, SoArm/Stack-v0; rename one's"):
        require_distinct({"stack": TASKS["stack"], "mine": copied})
    with pytest.raises(SpecMismatchError, match=r"stack, mine have the same names of objects, \('cube\.x', "):
        require_distinct({"stack": TASKS["stack"], "mine": dataclasses.replace(copied, env_id="SoArm/Mine-v0")})


def test_a_task_without_its_simulator_s_side_or_with_another_s_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry.TASKS, "mine", dataclasses.replace(TASKS["stack"], name="mine"))
    with pytest.raises(SpecMismatchError, match="there is no soarm/sim/mine, with the task's bodies"):
        sim_task("mine")
    side = ModuleType("soarm.sim.mine")
    side.__spec__ = importlib.machinery.ModuleSpec("soarm.sim.mine", None)
    vars(side)["SIM_TASK"] = sim_task("stack")
    monkeypatch.setitem(sys.modules, "soarm.sim.mine", side)
    with pytest.raises(SpecMismatchError, match="soarm/sim/mine must export a `SimTask` of the task mine"):
        sim_task("mine")


@EVERY
def test_a_dataset_says_its_task_by_the_names_of_its_objects(task: Task) -> None:
    unnamed = Feature(task.objects.shape, nameless(ENVIRONMENT_STATE, *task.objects.shape), task.objects.units)

    assert task_of(task.features) == task.name
    assert task_of({ENVIRONMENT_STATE: unnamed}) is None
    assert task_of({}) is None


@EVERY
def test_a_residual_observation_is_as_its_terms_say(task: Task) -> None:
    layout, rng = task.residual_observation, np.random.default_rng(0)
    observation = {
        STATE: rng.uniform(-20.0, 20.0, (3, 6)).astype(np.float32),
        ENVIRONMENT_STATE: rng.uniform(0.1, 0.2, (3, *task.objects.shape)).astype(np.float32),
    }
    actions = rng.normal(size=(3, 1 + N_LOOKAHEAD, 6)).astype(np.float32)
    seen = layout.compute(observation, Step(actions[:, 0], np.full(3, 0.25, np.float32), actions[:, 1:]))

    assert seen.dtype == np.float32
    assert seen.shape == (3, layout.dim)
    assert list(layout.blocks) == [term.name for term in layout.terms]
    np.testing.assert_array_equal(seen[:, layout.blocks["objects"]], observation[ENVIRONMENT_STATE])
    np.testing.assert_array_equal(seen[:, layout.base_action], actions[:, 0])
    np.testing.assert_array_equal(seen[:, layout.blocks["lookahead"]], actions[:, 1:].reshape(3, -1))


@EVERY
def test_success_is_an_outcome_and_stages_begin_at_the_start(task: Task) -> None:
    assert SUCCESS in task.outcomes
    assert SUCCESS not in task.failures
    assert [int(stage) for stage in task.stages] == list(range(len(task.stages)))
    assert [name[-4:] for name in (task.scene_columns[0].name, task.scene_columns[1].name)] == ["_x_m", "_y_m"]


@EVERY
def test_every_element_of_the_objects_is_of_a_thing_and_the_goal_says_when_the_task_is_done(task: Task) -> None:
    told = {f"{name}.{element}" for name, elements in task.elements.items() for element in elements}
    objects = dict.fromkeys(task.objects.names, 0.0)

    assert told == set(task.objects.names)
    assert all({"x", "y"} <= set(elements) for elements in task.elements.values())
    assert task.goal.thing in (None, *task.elements)
    assert isinstance(task.goal.reached(objects, np.zeros(3)), bool)
    assert task.goal.words.startswith("the ")
    assert task.instruction.endswith(".")
