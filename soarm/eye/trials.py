"""What a policy is worth when its pictures say nothing: it must fail, or it knows from elsewhere where the objects are."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from soarm.estimation import SeeingEnv
from soarm.evaluation.evaluator import ScenesParams, evaluate, policy_hash
from soarm.evaluation.results import Results
from soarm.evaluation.statistics import paired_table
from soarm.evaluation.summary import summarise
from soarm.eye.world import estimator_for
from soarm.lazy import stack
from soarm.policy import BatchPolicy, Observation, Rows
from soarm.rollout import BatchEnv, EnvWrapper
from soarm.sim.batch_env import BatchSim
from soarm.sim.params import SimParams
from soarm.spec import IMAGES

Tampering = Literal["blank", "permuted"]
"""Pictures of an even grey, or those of the next row, where another scene is played."""
_GREY = 128
TRUE = "true_poses"
"""The way in which a policy is told where the objects are."""


class TamperedEnv(EnvWrapper):
    """Environments whose pictures are replaced by others of the same size.

    Args:
        env: Environments that observe pictures; of two rows or more, if they are permuted.
        how: By which.
    """

    def __init__(self, env: BatchEnv, how: Tampering) -> None:
        super().__init__(env)
        self._how = how
        self._last: defaultdict[str, dict[int, Any]] = defaultdict(dict)  # key -> row -> picture

    def _told(self, observation: Observation, rows: Rows) -> Observation:
        seen = dict(observation)
        for key in [key for key in seen if key.startswith(f"{IMAGES}.")]:
            grey, every = np.full(seen[key].shape[1:], _GREY, np.uint8), self._last[key]
            if self._how == "permuted":
                every.update(zip(map(int, rows), seen[key], strict=True))
            seen[key] = stack([every.get((int(row) + 1) % self.n_rows, grey) for row in rows])
        return seen


def world_of(sim: SimParams, eye: Path) -> object:
    """Return what rows of an evaluation follow from beside the policy: the simulator, and the eye where it asks for one."""
    return sim if sim.objects_from == "simulator" else (sim, policy_hash(eye))


def without_the_eye(
    sim: SimParams,
    eye: Path,
    policy: BatchPolicy,
    cameras: Iterable[str],
    seeds: range,
    n_leak_scenes: int,
    how: ScenesParams,
    track: Callable[[range, None, str], Iterable[int]],
) -> dict[str, Results]:
    """Return the rows of a policy that learns otherwise where the objects are, or not at all; none where there is no eye.

    Args:
        sim: The simulator.
        eye: Folder of the eye.
        policy: As it was evaluated through its eye.
        cameras: Those that it looks through itself.
        seeds: Of the scenes on which `true_poses` are told.
        n_leak_scenes: Of these, scenes in which `blank_pictures` and `permuted_pictures` show the eye nothing of the scene.
        how: How it is evaluated.
        track: Wraps scenes to show progress; takes them, None, and a description.
    """
    if sim.objects_from == "simulator":
        return {}
    envs: dict[str, BatchEnv] = {TRUE: BatchSim(sim.told(cameras), how.n_rows, how.n_threads)}
    for tampering in get_args(Tampering):
        tampered = TamperedEnv(BatchSim(sim, how.n_rows, how.n_threads), tampering)
        envs[f"{tampering}_pictures"] = SeeingEnv(tampered, estimator_for(sim, eye))
    found = {}
    for name, env in envs.items():
        scenes = track(seeds if name == TRUE else seeds[:n_leak_scenes], None, f"evaluating with {name.replace('_', ' ')}")
        found[name] = evaluate(env, policy, scenes, knocked_away_m=how.knocked_away_m)
    return found


def compared(through: Results, others: Mapping[str, Results]) -> dict[str, Any]:
    """Return, per other way of telling a policy where the objects are, its success and the pairs with the eye's.

    Args:
        through: Rows of the policy through its eye.
        others: Name of a way -> rows of the same policy on the first of the same scenes.
    """
    found: dict[str, Any] = {}
    for name, rows in others.items():
        table, summary = paired_table(through.success[: len(rows)], rows.success), summarise(rows)
        found[name] = {
            "n_scenes": len(rows),
            "success_rate": summary.success_rate,
            "success_ci95": summary.success_ci95,
            "eye_success_rate": float(through.success[: len(rows)].mean()),
            "only_the_eye": table.base_only,
            "only_this": table.residual_only,
            "mcnemar_p": table.mcnemar_p,
        }
    return found
