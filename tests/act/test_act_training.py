"""Training ACT: what it learns, that it repeats itself, and that a kill costs nothing but time."""

import dataclasses
import os
import signal
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import torch
import yaml

from soarm.act import training
from soarm.act.loss import divergence, losses, masked_l1
from soarm.act.model import Posterior
from soarm.act.trainer import learning_rate, update_average
from soarm.act.windows import Batch
from soarm.base import load_base, save_base
from soarm.errors import CheckpointError, DatasetError, ParamsError, TrainingError
from soarm.params import changed
from soarm.spec import ACTION, ENVIRONMENT_STATE, STATE


@pytest.fixture
def batch():
    torch.manual_seed(0)
    return Batch(
        {STATE: torch.randn(3, 6), ENVIRONMENT_STATE: torch.randn(3, 7)},
        torch.randn(3, 5, 6),
        torch.tensor([[False] * 5, [False] * 5, [False] + [True] * 4]),
    )


def run(demonstrations, params, scratch, log=lambda step, metrics: None, seed=0):
    return training.train(demonstrations, params, seed=seed, scratch=scratch, log=log)


def same_bits(left, right):
    return all(torch.equal(a, b) for a, b in zip(left.state_dict().values(), right.state_dict().values(), strict=True))


def test_what_stands_in_the_padding_changes_no_loss_and_no_gradient(make_act, batch):
    found = []
    for filler in (0.0, 1e3):
        model = make_act().train()
        torch.manual_seed(1)
        filled = batch._replace(action=torch.where(batch.is_pad[..., None], filler, batch.action))
        terms = losses(model, filled)
        terms.total.backward()
        found.append([*terms, *(p.grad for p in model.parameters() if p.grad is not None)])

    assert all(torch.equal(left, right) for left, right in zip(*found, strict=True))


def test_the_error_is_divided_by_the_number_of_real_actions():
    predicted, action = torch.ones(2, 4, 6), torch.zeros(2, 4, 6)
    is_pad = torch.tensor([[False] * 4, [False] + [True] * 3])

    assert masked_l1(predicted, action, is_pad).tolist() == [1.0] * 6


def test_the_divergence_of_the_prior_from_itself_is_zero():
    assert divergence(Posterior(torch.zeros(3, 4), torch.zeros(3, 4))) == 0.0


def test_the_divergence_is_torchs():
    mean, log_variance = torch.randn(3, 4), torch.randn(3, 4)
    normal = torch.distributions.Normal

    expected = torch.distributions.kl_divergence(normal(mean, (0.5 * log_variance).exp()), normal(0.0, 1.0)).sum(dim=1).mean()

    torch.testing.assert_close(divergence(Posterior(mean, log_variance)), expected)


def test_without_the_variational_encoder_the_loss_is_the_error_alone(make_act, batch):
    terms = losses(make_act(use_vae=False), batch)

    assert terms.kl == 0.0
    assert torch.equal(terms.total, terms.l1)


def test_the_learning_rate_warms_up_and_falls_to_almost_nothing():
    rates = [learning_rate(step, 1e-3, 10, 110) for step in range(110)]

    assert rates[0] == pytest.approx(1e-4)
    assert max(rates) == rates[10] == pytest.approx(1e-3)
    assert rates[60] == pytest.approx(0.5e-3)
    assert rates[-1] < 1e-6
    assert np.all(np.diff(rates[10:]) < 0)


def test_the_average_follows_fast_at_first_and_slowly_later(make_act):
    model, average = make_act(seed=1), make_act(seed=2)
    old, new = average.action_head.weight.detach().clone(), model.action_head.weight

    update_average(average, model, step=0, decay=0.99)
    torch.testing.assert_close(average.action_head.weight, 0.1 * old + 0.9 * new)

    old = average.action_head.weight.detach().clone()
    update_average(average, model, step=10**6, decay=0.99)
    torch.testing.assert_close(average.action_head.weight, 0.99 * old + 0.01 * new)


def test_a_small_problem_is_learnt(make_demonstrations, params, tmp_path, tiny_config):
    """Actions that follow from the observation are found far better than their mean is."""
    data = make_demonstrations(lengths=(40,) * 6)
    data.columns[ACTION][:] = np.sin(data.columns[STATE] / 20.0) * 30.0
    network = dataclasses.replace(
        tiny_config, chunk_size=1, n_action_steps=1, dim_model=32, dropout=0.0, n_vae_encoder_layers=1
    )
    changes = {"steps": 220, "batch_size": 32, "learning_rate": 1e-2, "log_every": 20, "val_windows": 1}
    small = dataclasses.replace(params, network=network, **changes)
    rows = []

    run(data, small, tmp_path, lambda step, metrics: rows.append(metrics["train_l1"]))

    assert rows[0] > 0.5
    assert rows[-1] < 0.3  # predicting the mean leaves 0.8


def test_a_chunk_that_the_observation_does_not_decide_is_read_into_the_latent(make_act):
    """With little divergence to pay, the variational encoder tells apart what the observation cannot."""
    torch.manual_seed(0)
    model = make_act(dropout=0.0, kl_weight=1e-3, dim_model=16, dim_feedforward=32).train()
    side = torch.tensor([1.0, -1.0] * 8)
    chunk = (model.standardise_action.mean + model.standardise_action.std * side[:, None])[:, None].expand(-1, 5, -1)
    observation = {STATE: torch.zeros(16, 6), ENVIRONMENT_STATE: torch.zeros(16, 7)}
    fixed = Batch(observation, chunk, torch.zeros(16, 5, dtype=torch.bool))
    optimiser = torch.optim.Adam(model.parameters(), lr=5e-3)
    for _ in range(200):
        optimiser.zero_grad()
        losses(model, fixed).total.backward()
        optimiser.step()

    assert losses(model, fixed).l1 < 0.3  # without a latent it cannot fall below 1


def test_demonstrations_without_objects_are_learnt_from(make_demonstrations, params, tmp_path):
    data = make_demonstrations()
    blind = dataclasses.replace(
        data,
        columns={key: values for key, values in data.columns.items() if key != ENVIRONMENT_STATE},
        features={key: feature for key, feature in data.features.items() if key != ENVIRONMENT_STATE},
    )

    result = run(blind, dataclasses.replace(params, steps=2, warmup_steps=0), tmp_path / "scratch")
    save_base(result.model, tmp_path / "saved")
    again = load_base(tmp_path / "saved")

    assert again.inputs == (STATE,)
    assert again.spec.features == blind.features
    seen = {STATE: blind.columns[STATE]}
    np.testing.assert_array_equal(again.predict_chunks(seen), result.model.predict_chunks(seen))


def test_the_same_seed_gives_the_same_bits_and_another_seed_does_not(make_demonstrations, params, tmp_path):
    data = make_demonstrations()
    short = dataclasses.replace(params, steps=4)

    one, two, other = (run(data, short, tmp_path / str(i), seed=seed).model for i, seed in enumerate((0, 0, 1)))

    assert same_bits(one, two)
    assert not same_bits(one, other)


def test_training_leaves_the_random_stream_as_it_was(make_demonstrations, params, tmp_path):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)

    run(make_demonstrations(), dataclasses.replace(params, steps=1, warmup_steps=0), tmp_path)

    assert torch.equal(torch.rand(3), expected)
    assert not torch.are_deterministic_algorithms_enabled()


class StoppedError(Exception):
    """Stands in for a kill."""


@pytest.mark.parametrize("at", [5, 10], ids=["after a checkpoint", "between checkpoints"])
def test_an_interrupted_run_ends_with_the_same_bits_and_the_same_curves(make_demonstrations, params, tmp_path, at):
    data, curves, again = make_demonstrations(), {}, {}
    whole = run(data, params, tmp_path / "a", curves.__setitem__)

    def stop(step, metrics):
        if step == at:
            raise StoppedError
        again[step] = metrics

    with pytest.raises(StoppedError):
        run(data, params, tmp_path / "b", stop)
    resumed = run(data, params, tmp_path / "b", again.__setitem__)

    assert same_bits(whole.model, resumed.model)
    assert again == curves
    assert list(curves) == [5, 10, 12]


def test_a_killed_process_is_resumed_to_the_same_bits(make_demonstrations, params, tmp_path):
    """SIGKILL in mid-step, in a process of its own; another process goes on."""
    data = make_demonstrations()
    np.savez(tmp_path / "data.npz", **data.columns, episode_starts=data.episode_starts)
    script = textwrap.dedent("""
        import os, signal, sys
        from pathlib import Path
        from types import SimpleNamespace
        import numpy as np, torch, yaml
        from soarm.act.params import TrainActParams
        from soarm.act.training import train
        from soarm.params import build
        from soarm.spec import ACTION, ENVIRONMENT_STATE, JOINT_FEATURE, STATE
        from soarm.tasks.pick_place import TASK
        torch.set_num_threads(1)
        folder = Path(sys.argv[1])
        arrays = dict(np.load(folder / "data.npz"))
        data = SimpleNamespace(episode_starts=arrays.pop("episode_starts"), columns=arrays, fps=30, hash=sys.argv[2],
                               features={STATE: JOINT_FEATURE, ENVIRONMENT_STATE: TASK.objects, ACTION: JOINT_FEATURE})
        params = build(TrainActParams, yaml.safe_load((folder / "params.yaml").read_text()), "test")
        def die(step, metrics):
            if step == 10:  # the last checkpoint is of step 8
                os.kill(os.getpid(), signal.SIGKILL)
        train(data, params, seed=0, scratch=folder / "killed", log=die)
    """)
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(dataclasses.asdict(params)))
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", script, str(tmp_path), data.hash]
    killed = subprocess.run(command, env=environment, capture_output=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()

    resumed = run(data, params, tmp_path / "killed")

    assert same_bits(resumed.model, run(data, params, tmp_path / "whole").model)


def test_a_finished_run_is_not_trained_again(make_demonstrations, params, tmp_path):
    first = run(make_demonstrations(), params, tmp_path)
    steps = []

    second = run(make_demonstrations(), params, tmp_path, lambda step, metrics: steps.append(step))

    assert steps == []
    assert same_bits(first.model, second.model)


def test_a_truncated_training_checkpoint_is_refused(make_demonstrations, params, tmp_path):
    run(make_demonstrations(), params, tmp_path)
    path = tmp_path / "resume.pt"
    path.write_bytes(path.read_bytes()[:-1000])

    with pytest.raises(CheckpointError, match=r"resume.pt is truncated or not a training checkpoint .*delete it to train"):
        run(make_demonstrations(), params, tmp_path)


def test_the_training_checkpoint_of_another_run_is_refused(make_demonstrations, params, tmp_path):
    run(make_demonstrations(), params, tmp_path)

    with pytest.raises(CheckpointError, match=r"another run; it differs in:\n  params.learning_rate: 0.001 there, 0.002 here"):
        run(make_demonstrations(), dataclasses.replace(params, learning_rate=2e-3), tmp_path)


def test_the_result_says_what_it_was_made_of(make_demonstrations, params, tmp_path):
    data = make_demonstrations()

    result = run(data, params, tmp_path)

    assert {"parameters", "samples_per_s", "val_l1_deg", "val_gripper_percent"} <= set(result.metrics)
    assert result.metrics["parameters"] == result.model.n_parameters
    assert result.model.spec.dataset_hash == data.hash
    assert result.model.spec.control_hz == data.fps
    assert result.model.spec.git_rev is None  # the same weights at another revision are the same artefact
    assert result.model.spec.statistics_hash
    assert not result.model.training


def test_validation_is_the_error_in_joint_units_with_the_gripper_apart(make_demonstrations, params, tmp_path, monkeypatch):
    """A network that is off by one standard unit is off by the standard deviation of each joint."""
    data = make_demonstrations(lengths=(30, 30))
    data.columns[ACTION][:] = np.arange(6)  # constant, so that normalising divides by the floor
    wide = dataclasses.replace(params, std_floor=2.0, val_fraction=0.5, steps=1, warmup_steps=0)
    monkeypatch.setattr(
        "soarm.act.model.ACT.decode",
        lambda self, observation, latent: self.action_head.bias * 0 + torch.ones(len(observation[STATE]), 5, 6),
    )

    metrics = run(data, wide, tmp_path).metrics

    assert metrics["val_l1_deg"] == pytest.approx(2.0, rel=1e-5)
    assert metrics["val_gripper_percent"] == pytest.approx(2.0, rel=1e-5)


def test_a_loss_that_is_not_finite_stops_training(make_demonstrations, params, tmp_path):
    wild = dataclasses.replace(params, learning_rate=1e30, warmup_steps=0)

    with pytest.raises(TrainingError, match=r"not finite before step 5 .*lower train_act.learning_rate \(now 1e\+30\)"):
        run(make_demonstrations(), wild, tmp_path)


def test_bad_data_is_refused_before_anything_is_written(make_demonstrations, params, tmp_path):
    data = make_demonstrations()
    data.columns[ACTION][3] = np.inf

    with pytest.raises(DatasetError, match=r"action is NaN or infinite in 1 rows, first in row 3 \(episode 0\)"):
        run(data, params, tmp_path)

    assert not list(tmp_path.iterdir())


def test_a_device_that_is_not_there_is_not_replaced(make_demonstrations, params, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)

    with pytest.raises(ParamsError, match=r"device is 'cuda', but torch \S+ finds no CUDA device; set it to 'cpu' or"):
        run(make_demonstrations(), dataclasses.replace(params, device="cuda"), tmp_path)

    assert training.resolve_device("auto") == torch.device("cpu")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"steps": 0}, r"steps is 0; it must be at least 1"),
        ({"warmup_steps": 12}, r"warmup_steps is 12; it must be in 0..steps - 1 \(11\)"),
        ({"ema_decay": 1.0}, r"ema_decay is 1.0; it must be at least 0 and below 1"),
        ({"val_fraction": 0.0}, r"val_fraction is 0.0; it must be above 0 and below 1"),
        ({"learning_rate": 0.0, "std_floor": -1.0}, r"(?s)learning_rate is 0.0; .*std_floor is -1.0; it must be above 0"),
        ({"weight_decay": -0.1}, r"weight_decay is -0.1; it must be at least 0"),
    ],
)
def test_parameters_out_of_range_are_refused(params, change, message):
    with pytest.raises(ParamsError, match=message):
        changed(params, change, "train_act")
