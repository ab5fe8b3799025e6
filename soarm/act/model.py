"""The Action Chunking Transformer on vectors: joint positions and, where they are observed, object poses.

Knows numbers in and numbers out, in LeRobot units; knows no dataset, no file and no training loop.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from soarm.act.config import INPUTS, ACTConfig
from soarm.act.layers import DecoderLayer, EncoderLayer, sinusoidal_positions
from soarm.act.normalisation import Standardise, Statistics
from soarm.errors import SpecMismatchError
from soarm.policy import Array, Observation
from soarm.spec import ACTION, STATE, PolicySpec


@dataclasses.dataclass(frozen=True)
class Blueprint:
    """All that is needed to build a network of the right shapes, without its weights."""

    config: ACTConfig
    spec: PolicySpec

    def build(self) -> ACT:
        """Return an untrained network; `load_state_dict` brings weights and normalisation."""
        return ACT(self.config, self.spec)


class Posterior(NamedTuple):
    """Diagonal Gaussian over the latent, both (B, L)."""

    mean: Tensor
    log_variance: Tensor


class ACT(nn.Module):
    """Action Chunking Transformer (Zhao et al. 2023, arXiv 2304.13705) with the conventions of LeRobot's.

    A variational encoder reads the demonstrated chunk into a latent z, in training only; a transformer encoder mixes one token
    for z and one for each feature observed; a transformer decoder turns T learned queries into T actions. At inference z is 0.
    Parameter names and shapes are LeRobot's, and so is the function computed.

    Deviations, all for speed:
        - The decoder starts from zeros, so until its first cross-attention all rows of a batch are equal: that part is
          computed once per batch instead of once per row. In training these rows share their dropout.
        - The last layer of the variational encoder computes only the token that is read.

    Args:
        config: Sizes.
        spec: Features and chunking; must agree with `config`.

    Raises:
        SpecMismatchError: `spec` has other features or another chunking than the network.

    Attributes:
        inputs: Keys of the features it observes, in the order of their tokens and of the exported graph's inputs.
    """

    vae_encoder_pos_enc: Tensor

    def __init__(self, config: ACTConfig, spec: PolicySpec) -> None:
        super().__init__()
        _require_fitting(config, spec)
        self.config = config
        self.spec = spec
        self.inputs = tuple(key for key in INPUTS if key in spec.features)
        sizes = {key: spec.features[key].shape[0] for key in (*self.inputs, ACTION)}
        for key in self.inputs:
            self.add_module(f"standardise_{INPUTS[key][1]}", Standardise(sizes[key]))
        self.standardise_action = Standardise(sizes[ACTION])
        dim = config.dim_model
        layer = (dim, config.n_heads, config.dim_feedforward, config.dropout)
        if config.use_vae:
            self.vae_encoder = _Stack(EncoderLayer(*layer) for _ in range(config.n_vae_encoder_layers))
            self.vae_encoder_cls_embed = nn.Embedding(1, dim)
            self.vae_encoder_robot_state_input_proj = nn.Linear(sizes[STATE], dim)
            self.vae_encoder_action_input_proj = nn.Linear(sizes[ACTION], dim)
            self.vae_encoder_latent_output_proj = nn.Linear(dim, 2 * config.latent_dim)
            self.register_buffer("vae_encoder_pos_enc", sinusoidal_positions(2 + config.chunk_size, dim), persistent=False)
        self.encoder = _Stack(EncoderLayer(*layer) for _ in range(config.n_encoder_layers))
        self.decoder = _Stack((DecoderLayer(*layer) for _ in range(config.n_decoder_layers)), norm=nn.LayerNorm(dim))
        self.encoder_latent_input_proj = nn.Linear(config.latent_dim, dim)
        for key in self.inputs:
            self.add_module(f"encoder_{INPUTS[key][0]}_input_proj", nn.Linear(sizes[key], dim))
        self.encoder_1d_feature_pos_embed = nn.Embedding(1 + len(self.inputs), dim)
        self.decoder_pos_embed = nn.Embedding(config.chunk_size, dim)
        self.action_head = nn.Linear(dim, sizes[ACTION])
        for stack in (self.encoder, self.decoder):
            for parameter in stack.parameters():
                if parameter.dim() > 1:
                    nn.init.xavier_uniform_(parameter)

    @property
    def blueprint(self) -> Blueprint:
        """What rebuilds this network without its weights."""
        return Blueprint(self.config, self.spec)

    @property
    def n_parameters(self) -> int:
        """Number of trainable parameters."""
        return sum(parameter.numel() for parameter in self.parameters())

    def fit_normalisation(self, statistics: Statistics) -> None:
        """Take over the statistics of the training data."""
        for key in (*self.inputs, ACTION):
            self._standardise(key).fit(statistics.mean[key], statistics.std[key])

    def forward(self, observation: Mapping[str, Tensor]) -> Tensor:
        """Predict chunks with the latent at zero: the graph that is exported.

        Args:
            observation: Feature key -> raw values, shape (B, n), for each of `inputs`.

        Returns:
            Actions, shape (B, T, 6) [deg x 5, percent].
        """
        latent = observation[STATE].new_zeros(1, self.config.latent_dim)
        actions: Tensor = self.standardise_action.inverse(self.decode(self.standardised(observation), latent))
        return actions

    def standardised(self, observation: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return raw values of `inputs` normalised, shapes (B, n)."""
        return {key: self._standardise(key)(observation[key]) for key in self.inputs}

    def encode(self, state: Tensor, action: Tensor, is_pad: Tensor) -> Posterior:
        """Read demonstrated chunks into distributions over the latent; everything normalised.

        Args:
            state: (B, 6).
            action: (B, T, 6).
            is_pad: (B, T), True where the episode had already ended.
        """
        cls = self.vae_encoder_cls_embed.weight.expand(len(state), 1, -1)
        joints = self.vae_encoder_robot_state_input_proj(state)[:, None]
        x = torch.cat([cls, joints, self.vae_encoder_action_input_proj(action)], dim=1)  # (B, 2 + T, D)
        mask = nn.functional.pad(~is_pad, (2, 0), value=True)[:, None, None]  # (B, 1, 1, 2 + T)
        *first, last = self.vae_encoder.layers
        assert isinstance(last, EncoderLayer)
        for layer in first:
            x = layer(x, self.vae_encoder_pos_enc, mask)
        cls = last.first_token(x, self.vae_encoder_pos_enc, mask)  # (B, D)
        mean, log_variance = self.vae_encoder_latent_output_proj(cls).chunk(2, dim=-1)
        return Posterior(mean, log_variance)

    def decode(self, observation: Mapping[str, Tensor], latent: Tensor) -> Tensor:
        """Predict chunks from an observation and a latent; everything normalised.

        Args:
            observation: Feature key -> (B, n), for each of `inputs`.
            latent: (B, L), or (1, L) for all rows.

        Returns:
            (B, T, 6).
        """
        tokens = [self.encoder_latent_input_proj(latent).expand(observation[STATE].shape[0], -1)]
        tokens += [self.get_submodule(f"encoder_{INPUTS[key][0]}_input_proj")(observation[key]) for key in self.inputs]
        memory = torch.stack(tokens, dim=1)  # (B, 1 + inputs, D)
        position = self.encoder_1d_feature_pos_embed.weight
        for layer in self.encoder.layers:
            memory = layer(memory, position)
        queries = self.decoder_pos_embed.weight
        x = torch.zeros_like(queries)[None]  # (1, T, D): no row differs before the first cross-attention
        memory_key = memory + position
        for layer in self.decoder.layers:
            x = layer(x, queries, memory, memory_key)  # (B, T, D)
        actions: Tensor = self.action_head(self.decoder.norm(x))
        return actions

    @torch.inference_mode()
    def predict_chunks(self, observation: Observation) -> Array:
        """Predict chunks from raw arrays, without dropout and with the latent at zero (`soarm.policy.ChunkModel`)."""
        device = self.action_head.weight.device
        raw = {key: torch.as_tensor(observation[key], dtype=torch.float32, device=device) for key in self.inputs}
        was_training = self.training
        if was_training:
            self.eval()
        chunks: Array = self(raw).cpu().numpy()
        if was_training:
            self.train()
        return chunks

    def _standardise(self, key: str) -> Standardise:
        layer = self.standardise_action if key == ACTION else self.get_submodule(f"standardise_{INPUTS[key][1]}")
        assert isinstance(layer, Standardise)
        return layer


class _Stack(nn.Module):
    """Layers under the name LeRobot gives them, with the norm that follows."""

    def __init__(self, layers, norm: nn.Module | None = None) -> None:  # type: ignore[no-untyped-def]
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.norm = nn.Identity() if norm is None else norm


def _require_fitting(config: ACTConfig, spec: PolicySpec) -> None:
    faults = [f"{key} is missing" for key in (STATE, ACTION) if key not in spec.features]
    for key, feature in spec.features.items():
        if feature.kind == "image":
            faults.append(f"{key} is an image, which ACT does not look at yet")
        elif key not in (*INPUTS, ACTION):
            faults.append(f"{key} is not an input of this network")
    faults += [
        f"{name} is {getattr(spec, name)!r} in the specification and {getattr(config, name)!r} in the network"
        for name in ("chunk_size", "n_action_steps", "temporal_ensemble_coeff")
        if getattr(spec, name) != getattr(config, name)
    ]
    if faults:
        raise SpecMismatchError(
            f"ACT takes {' and '.join(INPUTS)} and gives {ACTION}; the specification does not fit: " + "; ".join(faults)
        )
