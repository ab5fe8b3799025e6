"""Scripted demonstrations: the expert in the simulator, its successful episodes kept as a dataset.

Knows simulator and dataset; knows no stage, so that whoever needs more demonstrations records them the same way.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from soarm.dataset import layout
from soarm.dataset.recorder import Recorder
from soarm.policy import VectorPolicy
from soarm.quantities import Count, Threads
from soarm.rollout import Episode, rollout
from soarm.seeds import Scenes
from soarm.sim.batch_env import BatchSim
from soarm.sim.params import SimParams
from soarm.sim.registry import sim_task
from soarm.sim.task import DemonstratorParams

Track = Callable[[Iterable[Episode], int], Iterable[Episode]]


@dataclasses.dataclass(frozen=True)
class RecordParams:
    """What is recorded.

    Attributes:
        n_episodes: Successful demonstrations to keep.
        n_rows: Episodes simulated at once.
        n_threads: Threads that step physics.
        expert: How the demonstrator moves.
    """

    n_episodes: Scenes
    n_rows: Count
    n_threads: Threads
    expert: DemonstratorParams

    @classmethod
    @functools.cache
    def for_task(cls, name: str) -> type[RecordParams]:
        """Return the dataclass that the section `record` is read as: with the parameters of the task's demonstrator."""
        own = [("expert", sim_task(name).expert_params)]
        return dataclasses.make_dataclass(cls.__name__, own, bases=(cls,), frozen=True)


class Recorded(NamedTuple):
    """What recording took."""

    episodes: int
    tries: int
    frames: int


def record(
    folder: Path,
    sim: SimParams,
    params: RecordParams,
    scene_seeds: Iterable[int],
    track: Track = lambda episodes, total: episodes,
) -> Recorded:
    """Write a dataset of `params.n_episodes` successful demonstrations.

    Args:
        folder: Where to; a folder that is new or empty.
        sim: The environment.
        params: What to record.
        scene_seeds: Scenes to try, in order.
        track: Wraps the tries to show progress; takes them and the number of demonstrations wanted.
    """
    env = BatchSim(sim.told, params.n_rows, params.n_threads)
    policy = VectorPolicy([sim.sim_task.expert(params.expert, sim.control_hz) for _ in range(params.n_rows)])
    tries = frames = 0
    with Recorder.create(folder, env.task.features, sim.control_hz, layout.ROBOT_TYPE, env.task.instruction) as recorder:
        for episode in track(rollout(env, policy, scene_seeds), params.n_episodes):
            tries += 1
            if episode.success:
                recorder.save_episode(episode.observations, episode.actions)
                frames += len(episode)
            if recorder.n_episodes == params.n_episodes:
                break
    return Recorded(params.n_episodes, tries, frames)
