"""ACT whose cameras are one token: what an eye's file brings, what is kept of frozen pictures, what LeRobot has not."""

import dataclasses

import numpy as np
import pytest
import torch

from soarm.act.trainer import Trainer
from soarm.errors import CheckpointError
from soarm.eye import checkpoint
from soarm.eye.network import Eye, EyeConfig
from soarm.lerobot.writing import write_policy
from soarm.params import changed
from soarm.spec import ACTION, ENVIRONMENT_STATE, JOINT_FEATURE, STATE, Feature
from soarm.tasks.pick_place import TASK
from soarm.vision.perception import PerceptionConfig

CPU = torch.device("cpu")
FRONT, WRIST = "observation.images.front", "observation.images.wrist"
SIZES = PerceptionConfig(n_keypoints=3, n_glimpses=1, map_channels=2, map_dim=4, hidden=8)
CAMERAS = {"front": Feature.image(16, 24), "wrist": Feature.image(16, 16)}


@pytest.fixture
def features():
    return {
        STATE: JOINT_FEATURE,
        **{f"observation.images.{name}": one for name, one in CAMERAS.items()},
        ACTION: JOINT_FEATURE,
    }


@pytest.fixture
def eye(tmp_path):
    """An untrained eye that thinks of poses in units of its own, on disk."""
    one = Eye(EyeConfig(**dataclasses.asdict(SIZES), vision_backbone="light"), TASK, CAMERAS)
    one.perception.fit(np.full(18, 0.5, np.float32), np.full(18, 2.0, np.float32))
    checkpoint.save(one, tmp_path)
    return one


@pytest.fixture
def params(params, eye, tmp_path):
    """Parameters of a training on what that eye perceives."""
    weights = {"pretrained_backbone_weights": str(tmp_path / checkpoint.WEIGHTS_FILE), "freeze_backbone": True}
    network = {**weights, "perception": dataclasses.asdict(SIZES)}
    return changed(
        dataclasses.replace(params, inputs=(STATE, FRONT, WRIST), val_windows=10), {"network": network}, "train_act"
    )


def test_all_cameras_are_one_token(make_act, features, observation):
    model = make_act(features=features, perception=SIZES).eval()
    rng = np.random.default_rng(0)
    seen = {STATE: observation[STATE]}
    seen |= {key: rng.integers(0, 256, (4, *features[key].shape)).astype(np.uint8) for key in (FRONT, WRIST)}
    before = model.predict_chunks(seen)

    assert model.encoder_1d_feature_pos_embed.weight.shape == (3, 8)  # the latent, the state and what is perceived
    assert model.n_cells == 0
    for key, value in seen.items():
        assert np.abs(model.predict_chunks({**seen, key: np.roll(value, 1, axis=0)}) - before).max() > 1e-5, key


def test_what_an_eye_perceives_comes_with_its_file_and_stays_as_it_is(make_seen, params, eye):
    trainer = Trainer(make_seen(), params, seed=0, device=CPU)

    for _ in range(3):
        trainer.advance()

    assert trainer.identity["backbone"]
    for name, weight in eye.perception.state_dict().items():
        assert torch.equal(trainer.average.perception.state_dict()[name], weight), name


def test_it_perceives_what_the_eye_does(make_seen, params, eye):
    data = make_seen()
    model = Trainer(data, params, seed=0, device=CPU).average
    seen = {key: torch.from_numpy(data.pictures[key].values[:4]) for key in (FRONT, WRIST)}
    state = torch.tensor(data.columns[STATE][:4])

    (perceived,) = model.seen(model.standardised({STATE: state, **seen}))
    of_the_eye = eye.look({STATE: state.numpy(), **{key: value.numpy() for key, value in seen.items()}})

    answers = eye.answer_mean + eye.answer_scale * eye.answers(perceived)
    np.testing.assert_allclose(answers.detach().numpy(), of_the_eye, rtol=1e-4, atol=1e-5)


def test_views_of_frozen_pictures_are_kept(make_seen, params, monkeypatch):
    trainer = Trainer(make_seen(), params, seed=0, device=CPU)
    monkeypatch.setattr("soarm.act.model.ACT.look", None)

    trainer.advance()

    assert np.isfinite(trainer.validate()["val_l1_deg"])


def test_without_a_file_it_learns_and_knows_where_the_arm_is(make_seen, params):
    network = {"pretrained_backbone_weights": None, "freeze_backbone": False}
    data = make_seen()
    trainer = Trainer(data, changed(params, {"network": network, "pose_loss_weight": 1.0}, "train_act"), seed=0, device=CPU)
    before = trainer.model.perception.layers[0].weight.clone()

    trainer.advance()

    assert not torch.equal(trainer.model.perception.layers[0].weight, before)
    assert trainer.model.perception.pose_mean.abs().max() > 0.1
    assert trainer.report()["pose"] > 0.0


def test_a_policy_without_cameras_says_nothing_of_perception(make_seen, params):
    inputs = (STATE, ENVIRONMENT_STATE)

    assert Trainer(make_seen(), dataclasses.replace(params, inputs=inputs), seed=0, device=CPU).model.config.perception is None


def test_an_eye_of_other_sizes_is_refused(make_seen, params):
    other = dataclasses.asdict(dataclasses.replace(SIZES, n_keypoints=4))

    with pytest.raises(CheckpointError, match=r"(?s)views.front.keypoints.weight: \(3, .*\(4, .*of an eye of the same trunk"):
        Trainer(make_seen(), changed(params, {"network": {"perception": other}}, "train_act"), seed=0, device=CPU)


def test_lerobot_has_no_such_network(make_act, features, tmp_path):
    model = make_act(features=features, perception=SIZES, vision_backbone="resnet18")

    with pytest.raises(CheckpointError, match=r"'resnet18' and one token for all cameras; LeRobot.*perception: null"):
        write_policy(model, tmp_path)
