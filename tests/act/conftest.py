"""Tiny networks and made-up demonstrations, in memory."""

import dataclasses

import pytest
import torch

from soarm.act.config import ACTConfig
from soarm.act.model import ACT, Blueprint
from soarm.act.normalisation import Statistics
from soarm.spec import ACTION, ENVIRONMENT_STATE, JOINT_FEATURE, STATE, PolicySpec
from soarm.tasks.pick_place import TASK

FEATURES = {STATE: JOINT_FEATURE, ENVIRONMENT_STATE: TASK.objects, ACTION: JOINT_FEATURE}
TINY = ACTConfig(
    chunk_size=5,
    n_action_steps=3,
    temporal_ensemble_coeff=None,
    dim_model=8,
    n_heads=2,
    dim_feedforward=16,
    n_encoder_layers=1,
    n_decoder_layers=1,
    use_vae=True,
    n_vae_encoder_layers=2,
    latent_dim=4,
    kl_weight=1.0,
    dropout=0.1,
)


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture
def tiny_config():
    return TINY


@pytest.fixture
def make_act(make_demonstrations):
    """Return a maker of tiny untrained networks with made-up statistics."""

    def make(seed=0, features=FEATURES, **changes) -> ACT:
        config = dataclasses.replace(TINY, **changes)
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
        model.fit_normalisation(Statistics.of(make_demonstrations().columns, std_floor=0.01))
        return model

    return make


@pytest.fixture
def tiny_act(make_act):
    return make_act()


@pytest.fixture
def observation(make_demonstrations):
    columns = make_demonstrations(seed=3).columns
    return {STATE: columns[STATE][:4], ENVIRONMENT_STATE: columns[ENVIRONMENT_STATE][:4]}
