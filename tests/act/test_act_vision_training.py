"""Training ACT on pictures: which it sees, what is learnt from them, frozen trunks, and several processes."""

import dataclasses

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from soarm.act import training
from soarm.act.loss import Objective, losses
from soarm.act.trainer import Trainer
from soarm.act.windows import Windows, observed, require_usable
from soarm.base import load_base, save_base
from soarm.errors import CheckpointError, DatasetError, MissingPackageError, ParamsError
from soarm.params import changed
from soarm.spec import ACTION, ENVIRONMENT_STATE, STATE, Feature
from soarm.vision.augmentation import AugmentationParams
from soarm.vision.imagenet import MEAN, STD
from soarm.vision.trunks import build_trunk

CPU = torch.device("cpu")
FRONT, WRIST = "observation.images.front", "observation.images.wrist"


@pytest.fixture
def params(params):
    inputs = (STATE, FRONT, WRIST)
    return dataclasses.replace(params, inputs=inputs, steps=6, val_windows=10, log_every=3)


@pytest.fixture
def frozen(params, tmp_path):
    """Parameters of a training on a trunk that does not learn."""
    torch.manual_seed(7)
    save_file(build_trunk("light").state_dict(), tmp_path / "trunk.safetensors")
    weights = {"pretrained_backbone_weights": str(tmp_path / "trunk.safetensors"), "freeze_backbone": True}
    return changed(params, {"network": weights}, "train_act")


def run(demonstrations, params, scratch, log=lambda step, metrics: None, seed=0):
    return training.train(demonstrations, params, seed=seed, scratch=scratch, log=log)


def same_bits(left, right):
    return all(torch.equal(a, b) for a, b in zip(left.state_dict().values(), right.state_dict().values(), strict=True))


def test_a_window_has_the_pictures_of_its_row(make_seen):
    data = make_seen(lengths=(4, 6, 5))

    batch = Windows(data, np.array([0, 2]), 3, CPU, (STATE, FRONT)).gather(torch.tensor([5, 1]))

    assert set(batch.observation) == {STATE, FRONT}
    assert batch.observation[FRONT].dtype == torch.uint8
    assert (batch.observation[FRONT].numpy() == data.pictures[FRONT].values[[11, 1]]).all()
    assert (batch.observation[STATE].numpy() == data.columns[STATE][[11, 1]]).all()


def test_what_is_observed_is_all_there_is_or_what_is_asked_for(make_seen):
    data = make_seen()

    assert observed(data) == (STATE, ENVIRONMENT_STATE, FRONT, WRIST)
    assert observed(data, (WRIST, STATE)) == (STATE, WRIST)


@pytest.mark.parametrize("inputs", [(FRONT,), (STATE, "observation.images.top"), (STATE, ACTION)])
def test_an_input_that_is_not_there_is_refused_with_those_that_are(make_seen, inputs):
    told = r"train_act.inputs is \[.*it must hold observation.state, .*images.front', 'observation.images.wrist'"
    with pytest.raises(DatasetError, match=told):
        observed(make_seen(), inputs)


def test_pictures_with_more_cells_than_attention_takes_are_refused_with_what_to_do(make_seen, params, monkeypatch):
    monkeypatch.setattr("soarm.act.trainer._MOST_CELLS", 2)

    with pytest.raises(ParamsError, match=r"front 24 x 16, .*wrist 16 x 16 px have 3 cells, .*at most 2\. .*dataset shrink"):
        Trainer(make_seen(), params, seed=0, device=CPU)


def test_cameras_without_pictures_and_of_another_size_are_both_named(make_seen):
    data = make_seen()
    data.features[FRONT] = Feature.image(16, 32)
    del data.pictures[WRIST]

    with pytest.raises(DatasetError, match=r"(?s)front has shape \(55, 16, 24, 3\); .* \(55, 16, 32, 3\).*wrist is missing"):
        require_usable(data)


@pytest.mark.parametrize(
    "inputs", [None, (STATE,), (STATE, ENVIRONMENT_STATE), (STATE, WRIST)], ids=["all", "state", "poses", "state and a camera"]
)
def test_a_policy_is_trained_saved_and_loaded_on_the_inputs_that_are_named(make_seen, params, tmp_path, inputs):
    data = make_seen()

    result = run(data, dataclasses.replace(params, inputs=inputs, steps=2, warmup_steps=0), tmp_path / "scratch")
    save_base(result.model, tmp_path / "saved")
    again = load_base(tmp_path / "saved")

    assert again.inputs == observed(data, inputs)
    seen = {key: (data.pictures[key].values if "images" in key else data.columns[key])[:3] for key in again.inputs}
    np.testing.assert_array_equal(again.predict_chunks(seen), result.model.predict_chunks(seen))


def test_pictures_are_changed_while_it_learns_and_not_when_it_is_validated(make_seen, params):
    trainer = Trainer(make_seen(), params, seed=0, device=CPU)
    seen = []
    trainer.objective.model.backbone.register_forward_pre_hook(lambda _, x: seen.append(x[0]))
    batch = trainer._windows.gather(torch.arange(8))

    one, other = trainer.objective(batch), trainer.objective(batch)
    losses(trainer.model, batch)

    assert one.l1 != other.l1
    assert not torch.equal(seen[0], seen[4])
    trainer.average.backbone.register_forward_pre_hook(lambda _, x: seen.append(x[0]))
    assert trainer.validate() == trainer.validate()


def test_what_only_a_picture_tells_is_learnt_from_it(make_seen, params, tmp_path, tiny_config):
    data, rng = make_seen(lengths=(30,) * 5), np.random.default_rng(0)
    brightness = rng.normal(size=(150, 1))
    data.pictures[FRONT].values[:] = (brightness[:, None, None] * 40 + 128).clip(0, 255)
    data.columns[ACTION][:] = brightness
    sizes = {"chunk_size": 1, "n_action_steps": 1, "dim_model": 32, "dim_feedforward": 32}
    network = dataclasses.replace(tiny_config, **sizes, dropout=0.0, use_vae=False)
    none = AugmentationParams(shift_px=0, brightness=0.0, contrast=0.0, colour=0.0)
    changes = {"steps": 60, "learning_rate": 3e-3, "log_every": 20, "batch_size": 16, "augmentation": none, "val_windows": 1}
    rows = []

    run(
        data,
        dataclasses.replace(params, network=network, inputs=(STATE, FRONT), **changes),
        tmp_path,
        lambda _, row: rows.append(row["train_l1"]),
    )

    assert len(rows) == 3
    assert rows[-1] < 0.25  # predicting the mean leaves 0.8


@pytest.mark.parametrize("kind", ["pictures and poses", "frozen"])
def test_an_interrupted_run_on_pictures_ends_with_the_same_bits(make_seen, params, frozen, tmp_path, kind):
    chosen = frozen if kind == "frozen" else dataclasses.replace(params, pose_loss_weight=0.5)
    data, curves, again = make_seen(), {}, {}
    whole = run(data, chosen, tmp_path / "a", curves.__setitem__)

    def stop(step, metrics):
        raise InterruptedError

    with pytest.raises(InterruptedError):
        run(data, dataclasses.replace(chosen, checkpoint_every=2), tmp_path / "b", stop)
    resumed = run(data, dataclasses.replace(chosen, checkpoint_every=2), tmp_path / "b", again.__setitem__)

    assert same_bits(whole.model, resumed.model)
    assert again == curves


def test_poses_are_learnt_beside_the_actions_and_leave_no_trace_in_the_policy(make_seen, params, tmp_path):
    rows = []

    result = run(make_seen(), dataclasses.replace(params, pose_loss_weight=1.0), tmp_path, lambda _, row: rows.append(row))

    assert rows[0]["pose"] > 0
    assert result.model.inputs == (STATE, FRONT, WRIST)
    assert not [name for name in result.model.state_dict() if "pose" in name or "objects" in name]
    assert "pose" not in next(iter(run_rows(make_seen(), params, tmp_path / "without")))


def run_rows(data, params, scratch):
    rows = []
    run(data, params, scratch, lambda _, row: rows.append(row))
    return rows


def test_the_trunk_learns_from_the_poses(make_seen, params):
    data = make_seen()
    gradients = []
    for weight in (0.0, 1.0):
        torch.manual_seed(0)
        trainer = Trainer(data, dataclasses.replace(params, pose_loss_weight=weight), seed=0, device=CPU)
        torch.manual_seed(1)
        trainer.objective(trainer._windows.gather(torch.arange(8))).total.backward()
        gradients.append(trainer.model.backbone.convs[0].weight.grad)

    assert not torch.allclose(*gradients)


def test_poses_that_are_not_there_cannot_be_learnt(make_seen, params, tmp_path):
    data = make_seen()
    del data.columns[ENVIRONMENT_STATE], data.features[ENVIRONMENT_STATE]

    with pytest.raises(DatasetError, match=r"pose_loss_weight is above 0, so observation.environment_state must be in the"):
        run(data, dataclasses.replace(params, pose_loss_weight=1.0), tmp_path)


def test_a_frozen_trunk_is_that_of_the_file_and_looks_at_every_picture_once(make_seen, frozen, monkeypatch):
    data = make_seen()
    trainer = Trainer(data, frozen, seed=0, device=CPU)
    monkeypatch.setattr("soarm.act.model.ACT.look", None)

    for _ in range(3):
        trainer.advance()
    trainer.validate()

    torch.manual_seed(7)
    assert same_bits(trainer.average.backbone, build_trunk("light"))


def test_kept_maps_are_what_the_trunk_makes_of_the_pictures(make_seen, frozen):
    trainer = Trainer(make_seen(), frozen, seed=0, device=CPU)
    pictures = Windows(make_seen(), trainer_episodes(trainer), 5, CPU, (STATE, FRONT, WRIST)).gather(torch.arange(4))

    batch = trainer._held_out.gather(torch.arange(4))

    assert set(batch.observation) == {STATE}
    for key in (FRONT, WRIST):
        expected = trainer.model.look(key, pictures.observation[key])
        torch.testing.assert_close(batch.maps[key], expected, rtol=1e-3, atol=1e-3)


def trainer_episodes(trainer):
    """Return the episode that five episodes and seed 0 hold out."""
    return np.random.default_rng(0).permutation(5)[:1]


def test_another_file_of_weights_is_another_run(make_seen, frozen, tmp_path):
    run(make_seen(), frozen, tmp_path / "scratch")
    save_file(build_trunk("light").state_dict(), tmp_path / "trunk.safetensors")

    with pytest.raises(
        CheckpointError, match=r"checkpoint of another run; it differs in:\n  backbone: '\w+' there, '\w+' here"
    ):
        run(make_seen(), frozen, tmp_path / "scratch")


@pytest.mark.parametrize(("trunk", "mean", "std"), [("resnet18", MEAN, STD), ("light", (0.5,) * 3, (0.25,) * 3)])
def test_weights_from_elsewhere_bring_the_statistics_of_their_pictures(make_seen, params, tmp_path, trunk, mean, std):
    torch.save(build_trunk(trunk).state_dict(), tmp_path / "trunk.pth")
    weights = {"vision_backbone": trunk, "pretrained_backbone_weights": str(tmp_path / "trunk.pth")}

    model = Trainer(make_seen(), changed(params, {"network": weights}, "train_act"), seed=0, device=CPU).model

    assert model.standardise_image_front.mean.tolist() == pytest.approx(mean)
    assert model.standardise_image_wrist.std.tolist() == pytest.approx(std)


def test_trunks_from_the_start_are_normalised_by_the_pictures_of_the_dataset(make_seen, params):
    data = make_seen()

    model = Trainer(data, params, seed=0, device=CPU).model

    starts, held_out = data.episode_starts, trainer_episodes(None)[0]
    kept = np.concatenate([np.arange(starts[i], starts[i + 1]) for i in range(5) if i != held_out])
    shares = data.pictures[FRONT].values[kept].reshape(-1, 3) / 255
    np.testing.assert_allclose(model.standardise_image_front.mean, shares.mean(axis=0), rtol=1e-4)
    np.testing.assert_allclose(model.standardise_image_front.std, shares.std(axis=0), rtol=1e-4)


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_mixed_precision_learns_with_weights_in_full_precision(make_seen, params, tmp_path, precision):
    result = run(make_seen(), dataclasses.replace(params, precision=precision, steps=3), tmp_path)

    assert {parameter.dtype for parameter in result.model.parameters()} == {torch.float32}
    assert not same_bits(result.model, run(make_seen(), dataclasses.replace(params, steps=3), tmp_path / "full").model)


def test_a_compiled_step_is_the_objective(make_seen, params, monkeypatch):
    compiled = []
    monkeypatch.setattr(torch, "compile", lambda module: compiled.append(module) or module)

    Trainer(make_seen(), dataclasses.replace(params, compile=True), seed=0, device=CPU).advance()

    assert isinstance(compiled[0], Objective)


def test_several_processes_need_a_share_of_the_batch_each(params):
    with pytest.raises(ParamsError, match=r"batch_size is 8; it must be a multiple of processes \(3\)"):
        dataclasses.replace(changed(params, {"processes": 3}, "train_act"))


def test_several_processes_need_accelerate(make_seen, params, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "accelerate", None)

    with pytest.raises(MissingPackageError, match=r"processes is 2, which needs the package accelerate: pip install"):
        run(make_seen(), dataclasses.replace(params, processes=2), tmp_path)


@pytest.mark.slow
def test_two_processes_take_the_step_of_one_and_stop_and_go_on_together(make_demonstrations, params, tmp_path, caplog):
    """Over gloo; without anything drawn at random the mean gradient of two halves is that of the whole, but for padding."""
    pytest.importorskip("accelerate")
    changes = {
        "network": {"dropout": 0.0, "use_vae": False},
        "inputs": None,
        "log_every": 1,
        "steps": 60,  # enough that the first is heard of before the last is taken
        "checkpoint_every": 2,
    }
    plain, data = changed(params, changes, "train_act"), make_demonstrations(lengths=(40,) * 5)
    shared, alone, both, again = changed(plain, {"processes": 2}, "train_act"), {}, {}, {}

    def stop(step, metrics):
        if step == 10:
            raise InterruptedError

    one = run(data, plain, tmp_path / "one", alone.__setitem__)
    with caplog.at_level("INFO"):
        two = run(data, shared, tmp_path / "two", both.__setitem__)
    with pytest.raises(InterruptedError):
        run(data, shared, tmp_path / "stopped", stop)
    resumed = run(data, shared, tmp_path / "stopped", again.__setitem__)

    assert list(both) == list(range(1, 61))
    assert both[1]["train_l1"] == pytest.approx(alone[1]["train_l1"], rel=0.05)
    assert both[1]["grad_norm"] == pytest.approx(alone[1]["grad_norm"], rel=0.2)
    assert "2 processes train together: a batch is still of 8 windows, 4 in each; the learning rate stays" in caplog.text
    assert same_bits(two.model, resumed.model)
    assert one.model.state_dict().keys() == two.model.state_dict().keys()
    assert both[60]["val_l1_deg"] == pytest.approx(alone[60]["val_l1_deg"], rel=0.1)
    assert min(again) > 2
    assert again == {step: both[step] for step in again}
    assert max(again) == 60
