"""A task as a value: everything that recording, learning, evaluation and the robot's side need to know of it."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from soarm.spec import ACTION, ENVIRONMENT_STATE, JOINT_FEATURE, STATE, Feature, PolicySpec
from soarm.tasks.residual_observation import ResidualObservation, Term
from soarm.tasks.thing import Goal, Thing

SUCCESS = "success"
"""The outcome of an episode that did the task."""


class Column(NamedTuple):
    """A column of an evaluation's rows that belongs to a task.

    Attributes:
        name: With its unit.
        kind: Type of its values.
        read: The value, of a mapping by name: the last step's info, or the elements of the objects feature at the start.
    """

    name: str
    kind: type[bool] | type[float]
    read: Callable[[Mapping[str, Any]], bool | float]


def in_words(outcomes: type[enum.StrEnum], **others: str) -> dict[str, str]:
    """Return outcome -> the same in words, with spaces for underscores where none of `others` says it better."""
    return {outcome.value: others.get(outcome.value, outcome.value.replace("_", " ")) for outcome in outcomes}


@dataclasses.dataclass(frozen=True)
class Task:
    """A task of one arm.

    Attributes:
        name: As `task` in params.yaml has it; also the folder's.
        env_id: Id of its Gymnasium environments (`soarm.envs`).
        instruction: What the robot is asked to do, in words.
        objects: The environment state: what a policy is told of the objects, in the arm's base frame.
        things: What lies on the table, as the robot's side needs to know it.
        goal: When the task is done, as far as the robot's sensors can tell.
        stages: How far an episode gets, from START = 0 to the last; `info["stage"]` holds the furthest one reached.
        terms: Terms of the shaped reward, in the order in which they are summed; each a potential in [0, 1].
        residual: The task's own terms of the residual observation.
        outcomes: Outcome of an episode -> the same in words, from the furthest to the nearest; SUCCESS among them.
        classify: Info of the last step, and the distance beyond which an untouched object counts as knocked away [m] ->
            outcome.
        ending_columns: Columns of an evaluation's rows that are read from the info of the last step.
        scene_columns: Columns that tell where things lay at the start; the first two are x and y of what is moved [m].
    """

    name: str
    env_id: str
    instruction: str
    objects: Feature
    things: tuple[Thing, ...]
    goal: Goal
    stages: type[enum.IntEnum]
    terms: tuple[str, ...]
    residual: tuple[Term, ...]
    outcomes: Mapping[str, str]
    classify: Callable[[Mapping[str, Any], float], str]
    ending_columns: tuple[Column, ...]
    scene_columns: tuple[Column, ...]

    @cached_property
    def features(self) -> dict[str, Feature]:
        """Key -> Feature: what simulator and arm give a policy and take from it, and what is recorded of them."""
        return {STATE: JOINT_FEATURE, ENVIRONMENT_STATE: self.objects, ACTION: JOINT_FEATURE}

    @cached_property
    def residual_observation(self) -> ResidualObservation:
        """What a residual observes."""
        return ResidualObservation.of(self.objects.shape[0], self.residual)

    @cached_property
    def elements(self) -> dict[str, dict[str, int]]:
        """Name of a thing -> name of an element ("x") -> its place in the objects feature ("cube.x")."""
        found: dict[str, dict[str, int]] = {thing.name: {} for thing in self.things}
        for i, name in enumerate(self.objects.names):
            thing, _, element = name.partition(".")
            if thing in found:
                found[thing][element] = i
        return found

    @property
    def subject(self) -> str:
        """What the objects tell of, in words: "cube and bin"."""
        return self.named("and")

    def named(self, word: str) -> str:
        """Return the names of the things, that word before the last."""
        *first, last = [thing.name for thing in self.things] or ["the objects"]
        return f"{', '.join(first)} {word} {last}" if first else last

    def middle_m(self, thing: Thing, objects: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the middle of a thing, shape (3,) [m]; one whose height is not told stands on the table."""
        at = self.elements[thing.name]
        return np.array([objects[at["x"]], objects[at["y"]], objects[at["z"]] if "z" in at else thing.height_m / 2])

    @property
    def failures(self) -> tuple[str, ...]:
        """The failure classes, furthest first."""
        return tuple(outcome for outcome in self.outcomes if outcome != SUCCESS)

    @property
    def columns(self) -> tuple[Column, ...]:
        """The task's columns of an evaluation's rows, in their order."""
        return (*self.ending_columns, *self.scene_columns)

    def spec(self, control_hz: int) -> PolicySpec:
        """Return what an artefact of this task at a control rate [Hz] has to agree with."""
        return PolicySpec(self.features, control_hz, task=self.name)
