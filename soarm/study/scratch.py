"""Reinforcement learning without a base: TD3 with demonstrations in its replay, in the manner of RLPD.

RLPD (Ball et al. 2023, arXiv 2302.02948) learns from nothing but a sparse reward and demonstrations that make up half of every
batch, with LayerNorm in the critics. Here it is the project's own `ResidualTD3BC` with the base taken away: the "base" is one
constant pose in the middle of what was demonstrated, the bound reaches all around it, and the "residual" is the whole action.
Observation, networks, replay, n-step returns and environments are the residual's, so that what differs is the base.

Departures from RLPD: TD3 instead of SAC (no entropy), five critics instead of ten, and as many updates per step as the
parameters say instead of 20. The share of demonstrations, exploration and updates are those of the parameters.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from torch import nn

from soarm import params
from soarm.policy import Array, Observation
from soarm.quantities import NotNegative
from soarm.residual.objective import Ramp
from soarm.spec import ACTION, STATE, PolicySpec
from soarm.study.method import MethodInput, MethodResult
from soarm.study.residual import learn

LEAST = 1.0
"""Least bound of a joint, for one that hardly moves in the demonstrations [deg, percent]."""
_NONE = Ramp(0.0, 0.0, 1.0)


@dataclass(frozen=True)
class ScratchOptions:
    """Options of the method `scratch`.

    Attributes:
        margin: How much further than the demonstrations the actions may reach, as a share of half their range; less than 0
            would put demonstrated actions out of reach.
    """

    margin: NotNegative


def scratch(inputs: MethodInput) -> MethodResult:
    """Learn the whole action; the last network is the policy.

    Neither the pull to the base nor the one to demonstrated corrections is used, whatever the parameters say: there is no base
    to stay near, and RLPD clones nothing.
    """
    options = params.build(ScratchOptions, inputs.options, "options of scratch")
    actions = inputs.demonstrations.columns[ACTION]
    low, high = actions.min(axis=0), actions.max(axis=0)
    spec = PolicySpec(
        features=inputs.base.spec.features,
        control_hz=inputs.base.spec.control_hz,
        chunk_size=1,
        n_action_steps=1,
        dataset_hash=inputs.base.spec.dataset_hash,
        task=inputs.base.spec.task,
    )
    still = ConstantPose(PoseBlueprint(spec, tuple(((low + high) / 2).tolist())))
    bound = tuple(np.maximum((high - low) / 2 * (1.0 + options.margin), LEAST).tolist())
    learner = replace(inputs.params.learner, penalty=_NONE, imitation=_NONE)
    return learn(inputs, still, replace(inputs.params, learner=learner), bound)


@dataclass(frozen=True)
class PoseBlueprint:
    """How to build a `ConstantPose`.

    Attributes:
        spec: Its specification; a chunk is one action.
        config: What it answers, shape (6,) [deg x 5, percent].
    """

    spec: PolicySpec
    config: tuple[float, ...]

    def build(self) -> ConstantPose:
        """Return it."""
        return ConstantPose(self)


class ConstantPose(nn.Module):
    """A base that always answers one pose: a `soarm.base.BasePolicy`.

    Args:
        blueprint: What it is built from.
    """

    inputs = ()

    def __init__(self, blueprint: PoseBlueprint) -> None:
        super().__init__()
        self.blueprint, self.spec = blueprint, blueprint.spec

    def predict_chunks(self, observation: Observation) -> Array:
        """Return the pose, shape (B, 1, 6) [deg x 5, percent]."""
        return np.tile(np.array(self.blueprint.config, np.float32), (len(observation[STATE]), 1, 1))
