"""How an arm learns: the parameters of `soarm rl-train --arm`, section `online` of params.yaml."""

from __future__ import annotations

import dataclasses

from soarm.quantities import Count, NotNegative, Positive, PositiveShare, ShareBelowOne, Whole
from soarm.residual.exploration import ExplorationParams


@dataclasses.dataclass(frozen=True)
class OnlineParams:
    """How a residual goes on learning on an arm; what stands nowhere here is as the simulator trained it.

    Attributes:
        exploration: Noise. `prefill_steps` are made by the residual that there is, before anything is learnt of them.
        updates_per_step: Updates per step of the arm.
        warmup_updates: Of these the first are the critics' alone: those of the simulator know another arm.
        batch_size: Transitions of an update, demonstrations included.
        buffer_size: Steps remembered.
        actor_lr: Adam's learning rate for the actor.
        critic_lr: And for the critics.
        n_steps: Steps of reward before the critic takes over.
        penalty: beta, the pull to the residual that it started from: to the base, where it started from zero.
        imitation: beta_d, the pull to demonstrated corrections; a person's steps count as demonstrated.
        demonstration_share: Share of demonstrated transitions in a batch; where there are some of a person, half are theirs.
        publish_every: Updates between two actors that are handed to the arm.
        checkpoint_s: Seconds between two checkpoints of the networks; the steps are on disk in any case [s].
    """

    exploration: ExplorationParams
    updates_per_step: Positive
    warmup_updates: Whole
    batch_size: Count
    buffer_size: Count
    actor_lr: PositiveShare
    critic_lr: PositiveShare
    n_steps: Count
    penalty: NotNegative
    imitation: NotNegative
    demonstration_share: ShareBelowOne
    publish_every: Count
    checkpoint_s: Positive
