"""The Action Chunking Transformer on joint positions and, where they are observed, object poses and pictures.

Knows numbers in and numbers out, in LeRobot units; knows no dataset, no file and no training loop.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from soarm.act.config import INPUTS, ACTConfig
from soarm.act.layers import DecoderLayer, EncoderLayer, cell_positions, sinusoidal_positions
from soarm.act.normalisation import Standardise, Statistics
from soarm.errors import SpecMismatchError
from soarm.policy import Array, Observation
from soarm.spec import ACTION, IMAGES, STATE, PolicySpec, image_keys
from soarm.vision.perception import ArmPose, Perception
from soarm.vision.trunks import build_trunk, map_shape

_POSE = "pose"
"""Key of the arm's pose in what `ACT.standardised` returns."""


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
    for z, one for each vector observed and one for each cell of a convolutional trunk's map of each picture; a transformer
    decoder turns T learned queries into T actions. At inference z is 0. Parameter names and shapes are LeRobot's, and so is
    the function computed. With `ACTConfig.perception`, which LeRobot's has not, one token tells what all cameras see.

    A picture goes in as it is, uint8 (B, H, W, 3), or as floats of the same scale. In the exported graph every `Conv` belongs
    to the path of the pictures: the trunk's, and after its map the projection `encoder_img_feat_input_proj` or the views'.

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
        cameras: Keys of the cameras among them.
    """

    vae_encoder_pos_enc: Tensor

    def __init__(self, config: ACTConfig, spec: PolicySpec) -> None:
        super().__init__()
        _require_fitting(config, spec)
        self.config = config
        self.spec = spec
        self._vectors = tuple(key for key in INPUTS if key in spec.features)
        self.cameras = image_keys(spec.features)
        self.inputs = (*self._vectors, *self.cameras)
        sizes = {key: spec.features[key].shape[0] for key in (*self._vectors, ACTION)}
        for key in self._vectors:
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
        if self.cameras:
            for key in self.cameras:
                self.add_module(f"standardise_{_name(key)}", Standardise(3))
            self._build_vision()
        self.encoder = _Stack(EncoderLayer(*layer) for _ in range(config.n_encoder_layers))
        self.decoder = _Stack((DecoderLayer(*layer) for _ in range(config.n_decoder_layers)), norm=nn.LayerNorm(dim))
        self.encoder_latent_input_proj = nn.Linear(config.latent_dim, dim)
        for key in self._vectors:
            self.add_module(f"encoder_{INPUTS[key][0]}_input_proj", nn.Linear(sizes[key], dim))
        if self.has_perception:
            self.encoder_perception_input_proj = nn.Sequential(nn.LayerNorm(self.n_seen), nn.Linear(self.n_seen, dim))
        elif self.cameras:
            self.encoder_img_feat_input_proj = nn.Conv2d(self.backbone.n_channels, dim, kernel_size=1)
        self.encoder_1d_feature_pos_embed = nn.Embedding(1 + len(self._vectors) + self.has_perception, dim)
        self.decoder_pos_embed = nn.Embedding(config.chunk_size, dim)
        self.action_head = nn.Linear(dim, sizes[ACTION])
        for stack in (self.encoder, self.decoder):
            for parameter in stack.parameters():
                if parameter.dim() > 1:
                    nn.init.xavier_uniform_(parameter)

    def _build_vision(self) -> None:
        """Build what looks: a trunk whose cells are tokens, or perception."""
        config, learns = self.config, not self.config.freeze_backbone
        sizes = {key: self.spec.features[key].shape[:2] for key in self.cameras}
        if config.perception is not None:
            named = {_camera(key): (height, width) for key, (height, width) in sizes.items()}
            self.perception = Perception(config.vision_backbone, config.perception, named).requires_grad_(learns)
            self.arm_pose = ArmPose()
            return
        self.backbone = build_trunk(config.vision_backbone).requires_grad_(learns)
        for key, size in sizes.items():
            _, n_rows, n_columns = map_shape(self.backbone, *size)
            positions = cell_positions(n_rows, n_columns, config.dim_model)
            self.register_buffer(f"position_{_name(key)}", positions, persistent=False)

    @property
    def blueprint(self) -> Blueprint:
        """What rebuilds this network without its weights."""
        return Blueprint(self.config, self.spec)

    @property
    def n_parameters(self) -> int:
        """Number of trainable parameters."""
        return sum(parameter.numel() for parameter in self.parameters())

    @property
    def n_cells(self) -> int:
        """Number of cells of the maps of all cameras together, a token each; none with perception."""
        return 0 if self.has_perception else sum(len(self.get_buffer(f"position_{_name(key)}")) for key in self.cameras)

    @property
    def has_perception(self) -> bool:
        """Whether one token tells what all cameras see."""
        return bool(self.cameras) and self.config.perception is not None

    @property
    def n_seen(self) -> int:
        """Numbers that a pose is read from: the features of perception, or the keypoints of every channel of every map."""
        if self.config.perception is not None:
            return self.config.perception.hidden
        return 2 * self.backbone.n_channels * len(self.cameras)

    def fit_normalisation(self, statistics: Statistics) -> None:
        """Take over the statistics of the training data."""
        for key in (*self.inputs, ACTION):
            self._standardise(key).fit(statistics.mean[key], statistics.std[key])

    @property
    def statistics(self) -> Statistics:
        """The statistics that normalise `inputs` and actions; of a camera, those of its three channels in 0..1."""
        layers = {key: self._standardise(key) for key in (*self.inputs, ACTION)}
        mean = {key: tuple(layer.mean.tolist()) for key, layer in layers.items()}
        return Statistics(mean, {key: tuple(layer.std.tolist()) for key, layer in layers.items()})

    def forward(self, observation: Mapping[str, Tensor]) -> Tensor:
        """Predict chunks with the latent at zero: the graph that is exported.

        Args:
            observation: Feature key -> raw values, shape (B, *shape), for each of `inputs`.

        Returns:
            Actions, shape (B, T, 6) [deg x 5, percent].
        """
        return self.chunks(self.standardised(observation))

    def chunks(self, observation: Mapping[str, Tensor]) -> Tensor:
        """Predict chunks with the latent at zero from what `standardised` returns; the actions are raw, (B, T, 6)."""
        latent = observation[STATE].new_zeros(1, self.config.latent_dim)
        actions: Tensor = self.standardise_action.inverse(self.decode(observation, latent))
        return actions

    def standardised(self, observation: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return raw values of `inputs` as the transformer takes them.

        Args:
            observation: Feature key -> raw values, (B, *shape). A camera may be missing, for whoever has its map.

        Returns:
            Feature key -> (B, n), normalised; of a camera what `look` gives. With perception also the arm's pose.
        """
        vectors = {key: self._standardise(key)(observation[key]) for key in self._vectors}
        if self.has_perception:
            vectors[_POSE] = self.arm_pose(observation[STATE])
        return vectors | {key: self.look(key, observation[key]) for key in self.cameras if key in observation}

    def look(self, camera: str, pictures: Tensor) -> Tensor:
        """Return maps (B, C, h, w) of a camera's pictures, (B, H, W, 3) in 0..255; with perception views of them, (B, V)."""
        normalised = self._standardise(camera)(pictures.float() / 255.0).permute(0, 3, 1, 2)
        if self.has_perception:
            return self.perception.view(_camera(camera), normalised)
        maps: Tensor = self.backbone(normalised)
        return maps

    def seen(self, observation: Mapping[str, Tensor]) -> list[Tensor]:
        """Return what tells of the pictures in what `standardised` gives: the features of perception, or a map per camera."""
        looked = [observation[key] for key in self.cameras]
        return [self.perception(looked, observation[_POSE])] if self.has_perception else looked

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
            observation: What `standardised` returns, of each of `inputs`.
            latent: (B, L), or (1, L) for all rows.

        Returns:
            (B, T, 6).
        """
        tokens = [self.encoder_latent_input_proj(latent).expand(observation[STATE].shape[0], -1)]
        tokens += [self.get_submodule(f"encoder_{INPUTS[key][0]}_input_proj")(observation[key]) for key in self._vectors]
        seen = self.seen(observation)
        if self.has_perception:
            tokens.append(self.encoder_perception_input_proj(seen[0]))
        memory = torch.stack(tokens, dim=1)  # (B, 1 + vectors, D), and what is perceived
        position = self.encoder_1d_feature_pos_embed.weight
        if self.cameras and not self.has_perception:
            cells = [self.encoder_img_feat_input_proj(maps).flatten(2).mT for maps in seen]  # (B, h w, D)
            memory = torch.cat([memory, *cells], dim=1)  # (B, 1 + vectors + cells, D)
            position = torch.cat([position, *(self.get_buffer(f"position_{_name(key)}") for key in self.cameras)])
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
        raw = {key: torch.as_tensor(observation[key], dtype=torch.float32, device=device) for key in self._vectors}
        raw |= {key: torch.as_tensor(observation[key], dtype=torch.uint8, device=device) for key in self.cameras}
        was_training = self.training
        if was_training:
            self.eval()
        chunks: Array = self(raw).cpu().numpy()
        if was_training:
            self.train()
        return chunks

    def _standardise(self, key: str) -> Standardise:
        layer = self.get_submodule(f"standardise_{ACTION if key == ACTION else _name(key)}")
        assert isinstance(layer, Standardise)
        return layer


class _Stack(nn.Module):
    """Layers under the name LeRobot gives them, with the norm that follows."""

    def __init__(self, layers, norm: nn.Module | None = None) -> None:  # type: ignore[no-untyped-def]
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.norm = nn.Identity() if norm is None else norm


def _name(key: str) -> str:
    """Return the name of a feature's normalisation; a module's name holds no "."."""
    return INPUTS[key][1] if key in INPUTS else f"image_{_camera(key)}"


def _camera(key: str) -> str:
    """Return the name of a camera, as a module's."""
    return key.removeprefix(f"{IMAGES}.").replace(".", "_")


def _require_fitting(config: ACTConfig, spec: PolicySpec) -> None:
    faults = [f"{key} is missing" for key in (STATE, ACTION) if key not in spec.features]
    for key, feature in spec.features.items():
        if feature.kind == "image" and config.dim_model % 4:
            faults.append(f"{key} is an image, and positions in two dimensions need a dim_model that is a multiple of 4")
        elif feature.kind != "image" and key not in (*INPUTS, ACTION):
            faults.append(f"{key} is not an input of this network")
    faults += [
        f"{name} is {getattr(spec, name)!r} in the specification and {getattr(config, name)!r} in the network"
        for name in ("chunk_size", "n_action_steps", "temporal_ensemble_coeff")
        if getattr(spec, name) != getattr(config, name)
    ]
    if faults:
        raise SpecMismatchError(
            f"ACT takes {', '.join(INPUTS)} and images, and gives {ACTION}; the specification does not fit: "
            + "; ".join(faults)
        )
