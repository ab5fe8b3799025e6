"""The size and the loss of an ACT network, in LeRobot's words."""

from __future__ import annotations

import dataclasses
from typing import Annotated

from soarm.quantities import Count, NotNegative, ShareBelowOne, within
from soarm.spec import ENVIRONMENT_STATE, STATE
from soarm.vision.perception import PerceptionConfig
from soarm.vision.trunks import TrunkName

INPUTS = {STATE: ("robot_state", "state"), ENVIRONMENT_STATE: ("env_state", "objects")}
"""Vector that ACT observes, where a specification has it -> its name in LeRobot's parameters and that of its normalisation.

Their tokens stand in this order, whatever the order of the specification, which no file keeps. `STATE` is always there. Those
of cameras follow in the order of the specification, on which nothing but rounding depends: a token says where it stands in its
picture, and not in which picture.
"""


@dataclasses.dataclass(frozen=True)
class ACTConfig:
    """What defines an ACT network; names and meaning as in LeRobot's configuration of ACT.

    Attributes:
        chunk_size: T, actions predicted at once.
        n_action_steps: Actions executed of each chunk before the next query, 1..chunk_size.
        temporal_ensemble_coeff: ACT's exponential weight (the paper's m, 0.01), which needs n_action_steps 1; None: open loop.
        dim_model: D, width of the transformer; a multiple of n_heads, and even.
        n_heads: Attention heads.
        dim_feedforward: Width of the hidden layer of the feed-forward blocks.
        n_encoder_layers: Layers of the transformer encoder.
        n_decoder_layers: Layers of the transformer decoder. The paper says 7, its code uses the output of the first alone,
            hence LeRobot's 1.
        use_vae: Learn with the variational encoder; without it the latent is always zero.
        n_vae_encoder_layers: Layers of the variational encoder, used in training only.
        latent_dim: Size of the latent.
        kl_weight: Weight of the Kullback-Leibler term in the loss.
        dropout: Dropout probability in every transformer layer, in [0, 1).
        vision_backbone: Trunk that looks at the pictures of every camera, one of `soarm.vision.trunks.TRUNKS`; unused without
            cameras.
        pretrained_backbone_weights: File of the weights it starts from; `eye`: those that the stage `train_eye` learnt; None:
            random ones.
        freeze_backbone: Leave those weights as they are, which lets training compute each picture's map once.
        perception: Sizes of what puts all cameras and the arm's pose together to one token, as an eye does
            (`soarm.vision.perception`); weights of an eye bring all of it along. None: every cell of every camera's map is a
            token, as in LeRobot's ACT.

    The last four have defaults because checkpoints of old lack them; params.yaml says them all the same.
    """

    chunk_size: Count
    n_action_steps: Count
    temporal_ensemble_coeff: Annotated[float, within(least=-1, most=1)] | None
    dim_model: Count
    n_heads: Count
    dim_feedforward: Count
    n_encoder_layers: Count
    n_decoder_layers: Count
    use_vae: bool
    n_vae_encoder_layers: Count
    latent_dim: Count
    kl_weight: NotNegative
    dropout: ShareBelowOne
    vision_backbone: TrunkName = "light"
    pretrained_backbone_weights: str | None = None
    freeze_backbone: bool = False
    perception: PerceptionConfig | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be built or played.

        Raises:
            ValueError: Lists every fault.
        """
        faults = []
        if self.dim_model % self.n_heads or self.dim_model % 2:
            faults.append(f"dim_model is {self.dim_model}; it must be even and a multiple of n_heads ({self.n_heads})")
        if self.n_action_steps > self.chunk_size:
            faults.append(f"n_action_steps is {self.n_action_steps}; it must be in 1..chunk_size ({self.chunk_size})")
        if self.temporal_ensemble_coeff is not None and self.n_action_steps != 1:
            faults.append(
                f"temporal_ensemble_coeff is {self.temporal_ensemble_coeff} with n_action_steps {self.n_action_steps}; an "
                "ensemble queries the network at every step: set n_action_steps to 1, or temporal_ensemble_coeff to null"
            )
        if self.freeze_backbone and self.pretrained_backbone_weights is None:
            faults.append(
                "freeze_backbone is true with pretrained_backbone_weights null; a trunk that does not learn must be given its "
                "weights: name a file, or set freeze_backbone to false"
            )
        if faults:
            raise ValueError("; ".join(faults))
