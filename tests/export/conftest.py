"""One tiny ACT and one tiny residual, exported once for all tests: an export takes seconds."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from soarm.act.config import ACTConfig
from soarm.act.model import ACT
from soarm.act.normalisation import Statistics
from soarm.export.bundle import write_bundle
from soarm.residual.actor import ResidualActor
from soarm.residual.encoder import ObservationParams
from soarm.runtime.bundle import Bundle
from soarm.spec import ACTION, ENVIRONMENT_STATE, JOINT_FEATURE, STATE, PolicySpec
from soarm.tasks.pick_place import TASK

LAYOUT = TASK.residual_observation

OPSET = 20
SPEC = PolicySpec(
    features={ACTION: JOINT_FEATURE, ENVIRONMENT_STATE: TASK.objects, STATE: JOINT_FEATURE},  # not in forward's order
    control_hz=30,
    chunk_size=6,
    n_action_steps=4,
    residual_scale=(4.0, 4.0, 4.0, 4.0, 8.0, 10.0),
    dataset_hash="0123456789abcdef",
)
CONFIG = ACTConfig(
    chunk_size=6,
    n_action_steps=4,
    temporal_ensemble_coeff=None,
    dim_model=16,
    n_heads=2,
    dim_feedforward=32,
    n_encoder_layers=1,
    n_decoder_layers=1,
    use_vae=True,
    n_vae_encoder_layers=1,
    latent_dim=4,
    kl_weight=10.0,
    dropout=0.1,
)


@dataclasses.dataclass(frozen=True)
class Trained:
    """The torch side."""

    act: ACT
    residual: ResidualActor
    spec: PolicySpec


@pytest.fixture(scope="session")
def trained() -> Trained:
    """Networks with random weights and a normalisation like that of demonstrations."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        act = ACT(CONFIG, SPEC)
        residual = ResidualActor(
            (32,), layer_norm=True, observation=ObservationParams(("phase",), tanh_features=True)
        )  # a mask to export
        for parameter in residual.net[-2].parameters():
            torch.nn.init.normal_(parameter, std=0.3)
    mean = {
        STATE: (1.0, -40.0, 50.0, 60.0, 0.0, 30.0),
        ENVIRONMENT_STATE: (0.1,) * 7,
        ACTION: (1.0, -40.0, 50.0, 60.0, 0.0, 30.0),
    }
    std = {STATE: (30.0,) * 6, ENVIRONMENT_STATE: (0.1,) * 7, ACTION: (30.0,) * 6}
    act.fit_normalisation(Statistics(mean, std))
    rng = np.random.default_rng(0)
    statistics = rng.normal(size=LAYOUT.dim), rng.uniform(0.1, 30, LAYOUT.dim)
    residual.sight.set_statistics(*(one.astype(np.float32) for one in statistics))
    return Trained(act.train(), residual, SPEC)  # in training mode, with dropout: the export must switch it off


@pytest.fixture(scope="session")
def exported(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the bundle."""
    folder = tmp_path_factory.mktemp("bundle")
    write_bundle(folder, trained.spec, trained.act, trained.residual, OPSET)
    return folder


@pytest.fixture(scope="session")
def bundle(exported: Path) -> Bundle:
    """The bundle, opened."""
    return Bundle.open(exported)


@pytest.fixture(scope="session")
def episodes() -> list[dict[str, np.ndarray]]:
    """Recorded observations: three episodes of different lengths."""
    rng = np.random.default_rng(1)
    scale, zero = np.array([40, 40, 40, 40, 60, 30]), np.array([0, -40, 40, 40, 0, 40])
    return [
        {
            STATE: (rng.normal(size=(n, 6)) * scale + zero).astype(np.float32),
            ENVIRONMENT_STATE: (rng.normal(size=(n, 7)) * 0.2).astype(np.float32),
        }
        for n in (30, 7, 19)
    ]
