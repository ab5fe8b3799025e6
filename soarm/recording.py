"""Scripted demonstrations: the expert in the simulator, its successful episodes kept as a dataset.

Knows simulator and dataset; knows no stage, so that whoever needs more demonstrations records them the same way.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, NamedTuple

from soarm.dataset import layout
from soarm.dataset.recorder import Recorder
from soarm.dataset.video import CRF, Codec, Encoding
from soarm.errors import ParamsError
from soarm.policy import VectorPolicy
from soarm.quantities import Count, Threads
from soarm.rollout import Episode, rollout
from soarm.seeds import Scenes
from soarm.sim.batch_env import BatchSim
from soarm.sim.params import SimParams
from soarm.sim.registry import sim_task
from soarm.sim.task import DemonstratorParams
from soarm.spec import Feature

Track = Callable[[Iterable[Episode], int], Iterable[Episode]]


@dataclasses.dataclass(frozen=True)
class RecordParams:
    """What is recorded.

    Attributes:
        n_episodes: Successful demonstrations to keep.
        n_rows: Episodes simulated at once.
        n_threads: Threads that step physics.
        pictures: Whether what the cameras of `sim.cameras` see is recorded as well, as videos.
        codec: Of the videos.
        crf: Their quality, 0 (best) upwards.
        expert: How the demonstrator moves.
    """

    n_episodes: Scenes
    n_rows: Count
    n_threads: Threads
    pictures: bool
    codec: Codec
    crf: Annotated[int, CRF]
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


def features_of(sim: SimParams, params: RecordParams) -> dict[str, Feature]:
    """Return the features of the dataset that `record` writes."""
    return {**sim.sim_task.task.features, **(sim.picture_features if params.pictures else {})}


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

    Raises:
        ParamsError: Pictures are to be recorded, and there are no cameras.
    """
    if params.pictures and not sim.cameras:
        raise ParamsError("record.pictures is true, and sim.cameras names no camera; name one (docs/cameras.md), or say false")
    env = BatchSim(sim.told(sim.cameras if params.pictures else ()), params.n_rows, params.n_threads)
    encoding = Encoding(params.codec, params.crf, simd=False)
    policy = VectorPolicy([sim.sim_task.expert(params.expert, sim.control_hz) for _ in range(params.n_rows)])
    tries = frames = 0
    features = features_of(sim, params)
    made = Recorder.create(folder, features, sim.control_hz, layout.ROBOT_TYPE, env.task.instruction, encoding)
    with contextlib.closing(env), made as recorder:
        for episode in track(rollout(env, policy, scene_seeds, pictures=params.pictures), params.n_episodes):
            tries += 1
            if episode.success:
                recorder.save_episode(episode.observations, episode.actions)
                frames += len(episode)
            if recorder.n_episodes == params.n_episodes:
                break
    return Recorded(params.n_episodes, tries, frames)
