"""Tiny networks and made-up demonstrations, in memory."""

import dataclasses

import numpy as np
import pytest
import torch

from soarm.act.model import ACT, Blueprint
from soarm.act.normalisation import Statistics
from soarm.act.params import TrainActParams
from soarm.spec import ACTION, ENVIRONMENT_STATE, JOINT_FEATURE, STATE, Feature, PolicySpec
from soarm.tasks.pick_place import TASK
from soarm.vision.augmentation import AugmentationParams

FRONT, WRIST = "observation.images.front", "observation.images.wrist"
CAMERAS = {FRONT: Feature.image(16, 24), WRIST: Feature.image(16, 16)}
FEATURES = {STATE: JOINT_FEATURE, ENVIRONMENT_STATE: TASK.objects, ACTION: JOINT_FEATURE}


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture
def params(tiny_config):
    """Parameters of a training of a moment."""
    return TrainActParams(
        network=tiny_config,
        inputs=None,
        device="cpu",
        processes=1,
        precision="float32",
        compile=False,
        steps=12,
        batch_size=8,
        learning_rate=1e-3,
        warmup_steps=2,
        weight_decay=1e-4,
        max_grad_norm=10.0,
        ema_decay=0.9,
        std_floor=0.01,
        augmentation=AugmentationParams(shift_px=1, brightness=0.1, contrast=0.1, colour=0.1),
        pose_loss_weight=0.0,
        val_fraction=0.2,
        val_windows=20,
        log_every=5,
        checkpoint_every=4,
    )


@pytest.fixture
def make_act(make_demonstrations, tiny_config):
    """Return a maker of tiny untrained networks with made-up statistics."""

    def make(seed=0, features=FEATURES, **changes) -> ACT:
        config = dataclasses.replace(tiny_config, **changes)
        spec = PolicySpec(
            features,
            control_hz=30,
            chunk_size=config.chunk_size,
            n_action_steps=config.n_action_steps,
            temporal_ensemble_coeff=config.temporal_ensemble_coeff,
        )
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            model = Blueprint(config, spec).build()
        found = Statistics.of(make_demonstrations().columns, std_floor=0.01)
        pictures = {key: (0.4, 0.5, 0.6) for key, feature in features.items() if feature.kind == "image"}
        model.fit_normalisation(Statistics({**found.mean, **pictures}, {**found.std, **pictures}))
        return model

    return make


@pytest.fixture
def tiny_act(make_act):
    return make_act()


@pytest.fixture
def observation(make_demonstrations):
    columns = make_demonstrations(seed=3).columns
    return {STATE: columns[STATE][:4], ENVIRONMENT_STATE: columns[ENVIRONMENT_STATE][:4]}


class PicturesInMemory:
    """Pictures as `soarm.base.Pictures` wants them."""

    def __init__(self, values):
        self.values, self.shape = values, values.shape[1:]

    def __len__(self):
        return len(self.values)

    def gather(self, rows):
        return self.values[rows]


@pytest.fixture
def make_seen(make_demonstrations):
    """Return a maker of demonstrations with two cameras, whose pictures are noise around a colour that the actions follow."""

    def make(lengths=(12, 9, 15, 11, 8), seed=0):
        data = make_demonstrations(lengths, seed)
        rng, n = np.random.default_rng(seed), sum(lengths)
        colour = data.columns[ENVIRONMENT_STATE][:, None, None, :3] * 30.0 + 128.0
        pictures = {
            key: (colour + rng.normal(size=(n, *feature.shape)) * 5.0).clip(0, 255).astype(np.uint8)
            for key, feature in CAMERAS.items()
        }
        return Seen(
            columns=data.columns,
            pictures={key: PicturesInMemory(values) for key, values in pictures.items()},
            episode_starts=data.episode_starts,
            fps=data.fps,
            features={**data.features, **CAMERAS},
            hash=data.hash,
        )

    return make


@dataclasses.dataclass(frozen=True)
class Seen:
    """Demonstrations with pictures, in memory."""

    columns: dict
    pictures: dict
    episode_starts: np.ndarray
    fps: int
    features: dict
    hash: str
