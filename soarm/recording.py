"""Demonstrations in the simulator: successful episodes of the scripted expert, or of a policy, kept as a dataset.

Noise (`noise_deg`) pushes the demonstrator off its path, and the recorded actions are those that it chose, without the noise:
a learner sees how to come back. This is noise injection (Laskey et al. 2017, "DART: Noise Injection for Robust Imitation
Learning", arXiv 1703.09327) with two differences. DART fits the noise to the learner's errors; here `noise_deg` is chosen, so
that no learner is needed. And noise is held for `soarm.policies.HOLD_STEPS` control steps: servos average white noise away.

Knows simulator and dataset; knows no stage, so that whoever needs more demonstrations records them the same way.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np

from soarm.dataset import layout
from soarm.dataset.recorder import Recorder
from soarm.dataset.video import CRF, Codec, Encoding
from soarm.errors import ParamsError, SimulationError
from soarm.policies import NotingPolicy, PushedPolicy, SceneNoise
from soarm.policy import Array, BatchPolicy, Observation, Rows, VectorPolicy
from soarm.quantities import Count, NotNegative, Threads
from soarm.rollout import Episode, rollout
from soarm.seeds import Scenes
from soarm.sim.batch_env import BatchSim
from soarm.sim.params import SimParams
from soarm.sim.registry import sim_task
from soarm.sim.task import DemonstratorParams
from soarm.spec import ACTION, ENVIRONMENT_STATE, STATE, TRUE_OBJECTS, Feature

Track = Callable[[Iterable[Episode], int], Iterable[Episode]]
_FIRST_TRIES, _LEAST_SUCCESS = 100, 0.05
"""From so many tries on, at least this share must have succeeded; recording stops otherwise."""


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
        policy: Folder of an exported bundle that demonstrates in the expert's place; None: the expert.
        noise_deg: Standard deviation of the noise on what is executed, which is not recorded [deg, percent].
        expert: How the scripted demonstrator moves.
    """

    n_episodes: Scenes
    n_rows: Count
    n_threads: Threads
    pictures: bool
    codec: Codec
    crf: Annotated[int, CRF]
    policy: str | None
    noise_deg: NotNegative
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


class Demonstrator:
    """The scripted demonstrator of every arm, a `BatchPolicy` who sees objects and arm as they are.

    What policies are told with errors, and what an arm with wrong zeros reads, a person with a leader arm in hand sees and
    makes up for. The observations that are recorded are the policies'.

    Args:
        env: The environments.
        sim: What they are of.
        params: How it moves.
    """

    def __init__(self, env: BatchSim, sim: SimParams, params: DemonstratorParams) -> None:
        self._env, self._sees_otherwise = env, sim.tells_wrongly or not sim.plain_servos
        self._scripts = VectorPolicy([sim.sim_task.expert(params, sim.control_hz) for _ in range(env.n_rows)])

    def reset(self, rows: Rows, seeds: Sequence[int]) -> None:
        """Start an episode in each of `rows`."""
        self._scripts.reset(rows, seeds)

    def act(self, observation: Observation, rows: Rows) -> Array:
        """Return joint targets, shape (len(rows), 6) [deg x 5, percent]."""
        if not self._sees_otherwise:
            return self._scripts.act(observation, rows)
        zeros = self._env.zeros(rows).astype(np.float32)
        objects = observation.get(TRUE_OBJECTS, observation[ENVIRONMENT_STATE])
        seen = {**observation, STATE: observation[STATE] - zeros, ENVIRONMENT_STATE: objects}
        return self._scripts.act(seen, rows) + zeros


def features_of(sim: SimParams, params: RecordParams) -> dict[str, Feature]:
    """Return the features of the dataset that `record` writes."""
    return {**sim.sim_task.task.features, **(sim.picture_features if params.pictures else {})}


def record(
    folder: Path,
    sim: SimParams,
    params: RecordParams,
    scene_seeds: Iterable[int],
    track: Track = lambda episodes, total: episodes,
    policy: BatchPolicy | None = None,
    cameras: Iterable[str] = (),
) -> Recorded:
    """Write a dataset of `params.n_episodes` successful demonstrations.

    Args:
        folder: Where to; a folder that is new or empty.
        sim: The environment; policies are told where the objects are.
        params: What to record.
        scene_seeds: Scenes to try, in order.
        track: Wraps the tries to show progress; takes them and the number of demonstrations wanted.
        policy: What demonstrates, for `params.n_rows` arms; None: the scripted expert. `params.policy` is not read.
        cameras: Those that it looks through.

    Raises:
        ParamsError: Pictures are to be recorded, and there are no cameras.
        SimulationError: Too few tries succeed, or there are too few scenes; what was recorded until then stays in `folder`.
    """
    if params.pictures and not sim.cameras:
        raise ParamsError("record.pictures is true, and sim.cameras names no camera; name one (docs/cameras.md), or say false")
    env = BatchSim(sim.told(sim.cameras if params.pictures else cameras), params.n_rows, params.n_threads)
    encoding = Encoding(params.codec, params.crf, simd=False)
    if policy is None:
        policy = Demonstrator(env, sim, params.expert)
    chosen: NotingPolicy[Array] = NotingPolicy(policy, lambda actions, rows: actions, params.n_rows)
    noise = SceneNoise(params.noise_deg, params.n_rows)
    executed = PushedPolicy(chosen, noise, params.n_rows) if params.noise_deg else chosen
    tries = frames = 0
    features = features_of(sim, params)
    made = Recorder.create(folder, features, sim.control_hz, layout.ROBOT_TYPE, env.task.instruction, encoding)
    with contextlib.closing(env), made as recorder:
        for episode in track(rollout(env, executed, scene_seeds, pictures=params.pictures), params.n_episodes):
            tries += 1
            actions = np.stack(chosen.take(episode.seed))
            if episode.success:
                recorder.save_episode({key: episode.observations[key] for key in features if key != ACTION}, actions)
                frames += len(episode)
            if recorder.n_episodes == params.n_episodes:
                return Recorded(params.n_episodes, tries, frames)
            if tries >= _FIRST_TRIES and recorder.n_episodes < _LEAST_SUCCESS * tries:
                break
        raise SimulationError(_too_few(recorder.n_episodes, tries, params))


def _too_few(n_episodes: int, tries: int, params: RecordParams) -> str:
    who = "the scripted demonstrator" if params.policy is None else f"the policy {params.policy} (record.policy)"
    return (
        f"{who} solved {n_episodes} of {tries} scenes with record.noise_deg {params.noise_deg:g}; record.n_episodes asks for "
        f"{params.n_episodes} solved ones, and after {_FIRST_TRIES} tries at least {_LEAST_SUCCESS:.0%} must be. Lower "
        "noise_deg, name another policy, or make scenes easier (sim.task, sim.physics)"
    )
