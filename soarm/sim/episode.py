"""The rules of running episodes, over floats or arrays: reward, furthest stage, held success, time limit."""

from __future__ import annotations

from typing import Any, NamedTuple

from soarm.sim.params import SimParams
from soarm.sim.task import Number, Ops, Progress


class EpisodeState(NamedTuple):
    """What an episode carries from step to step."""

    potentials: tuple[Number, ...]
    stage: Number
    held_steps: Number
    steps: Number
    shaped_return: Number
    start_x: Number
    start_y: Number


class StepOutcome(NamedTuple):
    """What a control step gave, floats or arrays; `info` as in `soarm.rollout.StepResult`."""

    state: EpisodeState
    reward: Number
    terminated: Number
    truncated: Number
    info: dict[str, Any]


class EpisodeRules:
    """The rules of an episode.

    The shaped reward of a term is `shaping_gamma * potential_after - potential_before`, times its weight; the potential of the
    terminal state is zero, so that the sum over an episode depends on its start and on success alone (Ng, Harada, Russell
    1999; Grzes 2017 on terminal states).
    """

    def __init__(self, params: SimParams, ops: Ops) -> None:
        weights, terms = params.weights, params.sim_task.task.terms
        self._evaluate, self._ops = params.sim_task.evaluate_progress, ops
        self._gamma = params.shaping_gamma
        self._success_weight = weights.success
        self._weighted = tuple((f"reward/{term}", getattr(weights, term)) for term in terms)
        self._hold_steps = params.hold_steps
        self._max_steps = params.max_steps
        self._shaped = params.reward == "shaped"

    def start(self, state: Any) -> EpisodeState:
        """Return the state of an episode that begins; `state` is the task's."""
        progress = self._evaluate(self._ops, state)
        x, y = progress.place
        zero = x * 0
        return EpisodeState(progress.potentials, progress.stage, zero, zero, zero, x, y)

    def step(self, episode: EpisodeState, state: Any) -> StepOutcome:
        """Account for one control step, after which the task's state is `state`."""
        now: Progress = self._evaluate(self._ops, state)
        held_steps = (episode.held_steps + 1) * now.done
        steps = episode.steps + 1
        terminated = held_steps >= self._hold_steps
        truncated = (steps >= self._max_steps) & (terminated == 0)
        success = terminated * self._success_weight
        going_on = self._gamma * (1 - terminated * 1)
        shaped, rewards = success, {"reward/success": success}
        for (name, weight), after, before in zip(self._weighted, now.potentials, episode.potentials, strict=True):
            rewards[name] = weight * (going_on * after - before)
            shaped = shaped + rewards[name]
        moved_x, moved_y = now.place[0] - episode.start_x, now.place[1] - episode.start_y
        stage = self._ops.maximum(episode.stage, now.stage)
        shaped_return = episode.shaped_return + shaped
        info = {
            "is_success": terminated,
            "stage": stage,
            "moved_m": self._ops.sqrt(moved_x * moved_x + moved_y * moved_y),
            "shaped_return": shaped_return,
            **now.info,
            **rewards,
        }
        carried = EpisodeState(now.potentials, stage, held_steps, steps, shaped_return, episode.start_x, episode.start_y)
        return StepOutcome(carried, shaped if self._shaped else success, terminated, truncated, info)
