"""Export of a base that looks at pictures, and the recorded pictures that it is compared on."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from soarm.act.model import ACT
from soarm.export.bundle import write_bundle
from soarm.export.parity import measure, recorded
from soarm.runtime.bundle import BASE, Bundle
from soarm.spec import ACTION, JOINT_FEATURE, STATE, Feature

FRONT, WRIST = "observation.images.front", "observation.images.wrist"


class Noise:
    """Pictures of noise; see `soarm.base.Pictures`."""

    shape = (16, 24, 3)

    def __len__(self):
        return 20

    def gather(self, rows):
        return np.stack([np.random.default_rng(row).integers(0, 256, self.shape).astype(np.uint8) for row in rows])


@pytest.mark.chain  # an export of its own takes seconds
def test_a_base_that_looks_takes_uint8_pictures_and_agrees_on_recorded_ones(trained, tmp_path):
    features = {ACTION: JOINT_FEATURE, FRONT: Feature.image(16, 24), STATE: JOINT_FEATURE}
    spec = dataclasses.replace(trained.spec, features=features, residual_scale=None)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        act = ACT(trained.act.config, spec)
    state = np.random.default_rng(0).normal(size=(20, 6)).astype(np.float32)
    columns, pictures = {STATE: state, ACTION: state}, {FRONT: Noise(), WRIST: None}
    data = SimpleNamespace(n_frames=20, episode_starts=np.array([0, 8, 20]), columns=columns, pictures=pictures)

    write_bundle(tmp_path, spec, act, None, 20)
    bundle, episodes = Bundle.open(tmp_path), recorded(data, 15, act.inputs)
    parity = measure(bundle, act, None, spec, episodes)

    assert {node.name: node.type for node in bundle.sessions[BASE].get_inputs()} == {
        STATE: "tensor(float)",
        FRONT: "tensor(uint8)",
    }
    assert [set(episode) for episode in episodes] == [{STATE, FRONT}] * 2
    assert (episodes[1][FRONT] == Noise().gather(range(8, 20))).all()
    assert parity.n_observations == 20
    assert 0 < parity.max_abs_deg < 1e-3
