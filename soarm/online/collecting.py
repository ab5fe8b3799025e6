"""Episodes of base and residual on an arm, written step by step as they were executed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from soarm.online.arm_env import ArmEnv
from soarm.online.steps import StepFile
from soarm.policies import ChunkedPolicy
from soarm.policy import Array, ChunkModel, ResidualModel, Rows, add_residual
from soarm.residual.exploration import Explorer
from soarm.spec import PolicySpec, as_features
from soarm.tasks.registry import find
from soarm.tasks.residual_observation import N_LOOKAHEAD

_ROW: Rows = np.zeros(1, np.intp)
_SYNC_STEPS = 30
"""Steps between two waits for the disk: a second of them is what a power cut can cost."""


class EpisodeReport(NamedTuple):
    """What an episode was.

    Attributes:
        n_steps: Its steps.
        n_human: Of these, those that a person drove.
        success: Whether the task was done.
        discarded: Whether nothing is learnt from it.
        stopped: Why the arm stopped; None where it did not.
        temperature_c: Of the warmest servo at the end [degC].
        late_s: How late the loop's ticks began, 99 % of them no later [s].
    """

    n_steps: int
    n_human: int
    success: bool
    discarded: bool
    stopped: str | None
    temperature_c: int
    late_s: float


class Collector:
    """Runs episodes and writes them.

    Args:
        env: The arm.
        base: The frozen base.
        spec: Of base and residual.
        actor: The residual; whoever learns may change it between two steps.
        explorer: Noise, for one row.
        steps: The file.
        prefills: Whether the base is to act alone, with noise in every other episode, and not the residual.
    """

    def __init__(
        self,
        env: ArmEnv,
        base: ChunkModel,
        spec: PolicySpec,
        actor: ResidualModel,
        explorer: Explorer,
        steps: StepFile,
        prefills: Callable[[], bool] = lambda: False,
    ) -> None:
        assert spec.residual_scale is not None
        self._env, self._actor, self._explorer, self._steps, self._prefills = env, actor, explorer, steps, prefills
        self._base = ChunkedPolicy(base, spec, 1, N_LOOKAHEAD)
        self._scale = np.asarray(spec.residual_scale, np.float32)
        self._terms = find(spec.task).residual_observation

    def episode(self, seed: int, each: Callable[[], None] = lambda: None) -> EpisodeReport:
        """Run one episode.

        Args:
            seed: Of the scene.
            each: Called after every step.
        """
        observation, info = self._env.reset(seed=seed)
        self._base.reset(_ROW, [seed])
        n_steps = n_human = 0
        ended = False
        while not ended:
            seen, action = self._look(observation)
            explored = self._explorer.prefill() if self._prefills() else self._explorer.around(self._residual(seen), 0.0)
            observation, _, terminated, truncated, info = self._env.step(add_residual(action, explored, self._scale)[0])
            by_hand = bool(info["intervention"])
            self._steps.add(seen[0], ((info["executed"] - action[0]) / self._scale).astype(np.float32), human=by_hand)
            if by_hand:  # what is left of the chunk was for where the arm was
                self._base.player.reset(_ROW)
            n_steps, n_human, ended = n_steps + 1, n_human + by_hand, terminated or truncated
            if n_steps % _SYNC_STEPS == 0:
                self._steps.sync()
            each()
        self._explorer.end_episodes(np.ones(1, np.bool_))
        discarded = bool(info["discarded"])
        self._steps.end(self._look(observation)[0][0], success=info["is_success"], discarded=discarded)
        how = info["is_success"], discarded, info.get("stopped")
        return EpisodeReport(n_steps, n_human, *how, int(info["temperature_c"]), info["late_s"])

    def _look(self, observation: dict[str, Any]) -> tuple[Array, Array]:
        """Return what the residual observes, shape (1, D), and the base's action, shape (1, 6)."""
        batch = {key: np.asarray(value)[None] for key, value in as_features(observation).items()}
        step = self._base.advance(batch, _ROW)
        return self._terms.compute(batch, step), step.action

    def _residual(self, seen: Array) -> Array:
        return self._actor.predict_residual(seen)
