"""The evaluator: any batch policy, any batched environment, a list of scenes, one row per episode.

Knows the rollout and what to keep of an episode; knows no simulator and no network.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from soarm import arm
from soarm.errors import ObservationError
from soarm.evaluation.results import EpisodeRow, Results
from soarm.policy import Array, BatchPolicy
from soarm.quantities import Count, Positive, Threads
from soarm.rollout import BatchEnv, Episode, rollout
from soarm.seeds import Scenes
from soarm.spec import ENVIRONMENT_STATE, TRUE_OBJECTS, content_hash
from soarm.tasks.task import Task

_ARM_JOINTS = [j for j in range(arm.N_JOINTS) if j != arm.GRIPPER]


@dataclasses.dataclass(frozen=True)
class ScenesParams:
    """On which scenes a policy is run, and how.

    Attributes:
        n_scenes: Held-out scenes.
        n_rows: Episodes that run at once.
        n_threads: Threads of the batched simulation.
        knocked_away_m: An object that was never handled counts as knocked away beyond this distance [m].
    """

    n_scenes: Scenes
    n_rows: Count
    n_threads: Threads
    knocked_away_m: Positive


@dataclasses.dataclass(frozen=True)
class EvaluationParams(ScenesParams):
    """How policies of the chain are evaluated.

    Attributes:
        blocks: In how many parts the scenes are evaluated, each by itself: as many processes or machines can share them.
    """

    blocks: Count

    def __post_init__(self) -> None:
        if self.blocks > self.n_scenes:
            raise ValueError(f"blocks is {self.blocks}, and there are {self.n_scenes} scenes; a block has at least one")


def blocks_of(seeds: Sequence[int], n_blocks: int) -> dict[str, Sequence[int]]:
    """Return seeds in their order in blocks whose sizes differ by one at most; they are named "1-of-8" and so on."""
    n_blocks = min(n_blocks, len(seeds))
    ends = [i * len(seeds) // n_blocks for i in range(n_blocks + 1)]
    return {f"{i + 1}-of-{n_blocks}": seeds[ends[i] : ends[i + 1]] for i in range(n_blocks)}


def evaluate(
    env: BatchEnv,
    policy: BatchPolicy,
    seeds: Iterable[int],
    *,
    knocked_away_m: float,
    provenance: Mapping[str, str] | None = None,
) -> Results:
    """Run `policy` once per seed and return one row per episode, in the order of the seeds.

    Args:
        env: Where it acts. Its observations must hold the object poses (`observation.environment_state`), also for a policy
            that does not look at them: the rows say where things lay.
        policy: What acts.
        seeds: Scene seeds.
        knocked_away_m: See `ScenesParams` [m].
        provenance: What the rows follow from; see `Results.provenance`.
    """
    episodes = rollout(env, policy, seeds)
    return results_of(episodes, env.task, env.control_hz, knocked_away_m=knocked_away_m, provenance=provenance)


def results_of(
    episodes: Iterable[Episode],
    task: Task,
    control_hz: int,
    *,
    knocked_away_m: float,
    provenance: Mapping[str, str] | None = None,
) -> Results:
    """Return one row per finished episode of a task; the rest as `evaluate`."""
    rows = (episode_row(episode, task, control_hz, knocked_away_m) for episode in episodes)
    return Results(tuple(rows), task, dict(provenance or {}))


def provenance_of(policy: Path, world: object, params: EvaluationParams) -> dict[str, str]:
    """Return `Results.provenance`: a hash of the policy's files, one of the simulator's parameters, and how it was evaluated.

    `n_rows` and `blocks` belong to it: a network rounds differently in batches of other sizes (by some 1e-5 degrees), and
    contacts turn that into other episodes.

    Args:
        policy: Folder the policy was loaded from.
        world: The simulator's parameters, a dataclass.
        params: How it is evaluated.
    """
    return {
        "policy": policy_hash(policy),
        "simulator": content_hash(repr(world)),
        "n_rows": str(params.n_rows),
        **({"blocks": str(params.blocks)} if params.blocks > 1 else {}),
        "knocked_away_m": str(params.knocked_away_m),
    }


def policy_hash(policy: Path) -> str:
    """Return the hash of a policy's files by which results say whose they are."""
    files = sorted(path for path in policy.rglob("*") if path.is_file())
    return content_hash(repr([(path.relative_to(policy).as_posix(), content_hash(path.read_bytes())) for path in files]))


def episode_row(episode: Episode, task: Task, control_hz: int, knocked_away_m: float) -> EpisodeRow:
    """Return the row of one finished episode of a task.

    Raises:
        ObservationError: The episode does not hold the object poses.
    """
    if ENVIRONMENT_STATE not in episode.observations:
        raise ObservationError(
            f"the environment observes {sorted(episode.observations)} but not {ENVIRONMENT_STATE}; evaluation needs the "
            "object poses to say where things lay: give it an environment that observes them (the policy need not use them)"
        )
    first = episode.observations.get(TRUE_OBJECTS, episode.observations[ENVIRONMENT_STATE])[0]
    objects = dict(zip(task.objects.names, first.astype(np.float64), strict=True))
    last = {key: values[-1] for key, values in episode.info.items()}
    ending = {column.name: column.kind(column.read(last)) for column in task.ending_columns}
    return EpisodeRow(
        seed=int(episode.seed),
        success=episode.success,
        outcome=str(task.classify(last, knocked_away_m)),
        furthest_stage=task.stages(int(last["stage"])).name.lower(),
        steps=len(episode),
        time_to_success_s=len(episode) / control_hz if episode.success else math.nan,
        return_shaped=float(last["shaped_return"]),
        return_sparse=float(episode.rewards.sum()),
        action_acceleration_rms_deg_s2=difference_rms(episode.actions, control_hz, order=2),
        action_jerk_rms_deg_s3=difference_rms(episode.actions, control_hz, order=3),
        of_task=ending | {column.name: column.kind(column.read(objects)) for column in task.scene_columns},
    )


def difference_rms(actions: Array, control_hz: int, order: int) -> float:
    """Return the root mean square of a time derivative of the commanded arm joints, by finite differences.

    The gripper is left out: its unit is percent, and opening and closing it fast is no fault.

    Args:
        actions: Commanded positions, shape (T, 6) [deg x 5, percent].
        control_hz: Control rate [Hz].
        order: 2 for acceleration [deg/s^2], 3 for jerk [deg/s^3].

    Returns:
        The root mean square over steps and joints; NaN when the episode is too short to have one (T <= order).
    """
    if len(actions) <= order:
        return math.nan
    derivative = np.diff(actions[:, _ARM_JOINTS].astype(np.float64), n=order, axis=0) * float(control_hz) ** order
    return float(np.sqrt(np.mean(derivative**2)))
