"""The book-keeping of running episodes, over floats or arrays: reward, furthest stage, held success, time limit."""

from __future__ import annotations

from typing import Any, NamedTuple

from soarm.sim.params import SimParams
from soarm.sim.task import Number, Ops, Progress, Seen, assess
from soarm.tasks.pick_place import TASK


class Memory(NamedTuple):
    """What an episode carries from step to step."""

    potentials: tuple[Number, ...]
    stage: Number
    held_steps: Number
    steps: Number
    shaped_return: Number
    start_x: Number
    start_y: Number


class Outcome(NamedTuple):
    """What a control step gave, floats or arrays; `info` as in `soarm.rollout.StepResult`."""

    memory: Memory
    reward: Number
    terminated: Number
    truncated: Number
    info: dict[str, Any]


class Book:
    """The rules of an episode.

    The shaped reward of a term is `shaping_gamma * potential_after - potential_before`, times its weight; the potential of the
    terminal state is zero, so that the sum over an episode depends on its start and on success alone (Ng, Harada, Russell
    1999; Grzes 2017 on terminal states).
    """

    def __init__(self, params: SimParams, ops: Ops) -> None:
        weights = params.weights
        self._ops = ops
        self._gamma = params.shaping_gamma
        self._success_weight = weights.success
        self._weights = tuple(getattr(weights, term) for term in TASK.terms)
        self._hold_steps = params.hold_steps
        self._max_steps = params.max_steps
        self._shaped = params.reward == "shaped"

    def start(self, seen: Seen) -> Memory:
        """Open the book on a fresh scene."""
        progress = assess(self._ops, seen)
        zero = seen.cube[0] * 0
        return Memory(progress.potentials, progress.stage, zero, zero, zero, seen.cube[0], seen.cube[1])

    def step(self, memory: Memory, seen: Seen) -> Outcome:
        """Account for one control step."""
        now: Progress = assess(self._ops, seen)
        held_steps = (memory.held_steps + 1) * now.done
        steps = memory.steps + 1
        terminated = held_steps >= self._hold_steps
        truncated = (steps >= self._max_steps) & (terminated == 0)
        success = terminated * self._success_weight
        going_on = self._gamma * (1 - terminated * 1)
        w, after, before = self._weights, now.potentials, memory.potentials
        reach = w[0] * (going_on * after[0] - before[0])
        grasp = w[1] * (going_on * after[1] - before[1])
        lift = w[2] * (going_on * after[2] - before[2])
        transport = w[3] * (going_on * after[3] - before[3])
        place = w[4] * (going_on * after[4] - before[4])
        shaped = success + reach + grasp + lift + transport + place
        moved_x, moved_y = seen.cube[0] - memory.start_x, seen.cube[1] - memory.start_y
        stage = self._ops.maximum(memory.stage, now.stage)
        shaped_return = memory.shaped_return + shaped
        info = {
            "is_success": terminated,
            "stage": stage,
            "holding": now.holding,
            "cube_moved_m": self._ops.sqrt(moved_x * moved_x + moved_y * moved_y),
            "shaped_return": shaped_return,
            "reward/success": success,
            "reward/reach": reach,
            "reward/grasp": grasp,
            "reward/lift": lift,
            "reward/transport": transport,
            "reward/place": place,
        }
        carried = Memory(after, stage, held_steps, steps, shaped_return, memory.start_x, memory.start_y)
        return Outcome(carried, shaped if self._shaped else success, terminated, truncated, info)
