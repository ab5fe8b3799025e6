"""The tasks there are, and what holds for each of them."""

from __future__ import annotations

import numpy as np
import pytest

from soarm.chunking import Step
from soarm.errors import ParamsError, SpecMismatchError
from soarm.spec import ENVIRONMENT_STATE, STATE, Feature, nameless
from soarm.tasks.registry import TASKS, find, task_of
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
