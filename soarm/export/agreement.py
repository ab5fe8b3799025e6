"""Comparison of the exported and the trained policy in the simulator: success on the same scenes.

The networks agree to a few millionths of a degree (`soarm.export.parity`), but contacts magnify that: now and then a cube that
was barely gripped falls in one run and not in the other. Such flips go either way. A bundle that is really worse loses more
scenes than it gains, and that is what is tested: McNemar's exact test on the scenes where the outcomes differ.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from soarm.errors import ParityError
from soarm.evaluation.statistics import paired_table
from soarm.policy import BatchPolicy
from soarm.rollout import BatchEnv, rollout


@dataclasses.dataclass(frozen=True)
class Agreement:
    """Outcomes of the same scenes under both policies.

    Attributes:
        trained: Success per scene with the torch policy, shape (N,) bool.
        exported: Success per scene with the ONNX policy, shape (N,) bool.
    """

    trained: NDArray[np.bool_]
    exported: NDArray[np.bool_]

    def to_dict(self) -> dict[str, float | int]:
        """Return the metrics of the stage `export` on this: success rates in [0, 1], and numbers of scenes."""
        return {
            "check_scenes": len(self.trained),
            "torch_success_rate": float(self.trained.mean()),
            "onnx_success_rate": float(self.exported.mean()),
            "episodes_differ": int((self.trained != self.exported).sum()),
        }

    def require(self, min_p: float) -> None:
        """Refuse a bundle whose success differs by more than chance allows.

        Args:
            min_p: Smallest p-value accepted, in (0, 1): how often a faithful bundle would be refused. At 0.01 it takes eight
                scenes lost and none gained.

        Raises:
            ParityError: Gives both success rates and the split.
        """
        table = paired_table(self.trained, self.exported)
        if table.mcnemar_p >= min_p:
            return
        raise ParityError(
            f"on the same {len(self.trained)} scenes the trained policy succeeds in {self.trained.mean():.1%} and the "
            f"exported one in {self.exported.mean():.1%}: {table.base_only} scenes lost, {table.residual_only} gained, "
            f"p = {table.mcnemar_p:.2g}, and less than {min_p:g} is no chance. The bundle is not released. The networks "
            "passed parity, so look at how chunks are played: soarm.runtime.onnx_policy, n_action_steps, "
            "temporal_ensemble_coeff."
        )


def compare(
    env: BatchEnv, trained: BatchPolicy, exported: BatchPolicy, seeds: Sequence[int], exported_env: BatchEnv | None = None
) -> Agreement:
    """Run both policies once per seed.

    Args:
        env: Where the trained policy acts.
        trained: In torch.
        exported: In ONNX.
        seeds: Of the scenes.
        exported_env: Where the exported one acts, as with an exported eye; None for the same.
    """
    return Agreement(outcomes(env, trained, seeds), outcomes(env if exported_env is None else exported_env, exported, seeds))


def outcomes(env: BatchEnv, policy: BatchPolicy, seeds: Sequence[int]) -> NDArray[np.bool_]:
    """Run a policy once per seed and return its success per scene, shape (len(seeds),)."""
    return np.array([episode.success for episode in rollout(env, policy, seeds)], np.bool_)
