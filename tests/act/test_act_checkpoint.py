"""A saved ACT: what comes back, and what is refused."""

import json

import pytest
import torch

from soarm.act import checkpoint
from soarm.errors import CheckpointError


def test_a_loaded_network_computes_the_same_bits(tiny_act, tmp_path, observation):
    checkpoint.save(tiny_act, tmp_path)

    again = checkpoint.load(tmp_path)

    assert (again.predict_chunks(observation) == tiny_act.predict_chunks(observation)).all()
    assert again.config == tiny_act.config
    assert again.spec == tiny_act.spec
    assert not again.training


def test_the_same_network_gives_the_same_bytes(tiny_act, tmp_path):
    checkpoint.save(tiny_act, tmp_path / "a")
    checkpoint.save(checkpoint.load(tmp_path / "a"), tmp_path / "b")

    for name in (checkpoint.CONFIG_FILE, checkpoint.WEIGHTS_FILE):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


@pytest.mark.parametrize("name", [checkpoint.CONFIG_FILE, checkpoint.WEIGHTS_FILE])
def test_a_missing_file_is_named(tiny_act, tmp_path, name):
    checkpoint.save(tiny_act, tmp_path)
    (tmp_path / name).unlink()

    with pytest.raises(CheckpointError, match=rf"{name} does not exist.*dvc repro train_act"):
        checkpoint.load(tmp_path)


@pytest.mark.parametrize("name", [checkpoint.CONFIG_FILE, checkpoint.WEIGHTS_FILE])
@pytest.mark.parametrize("keep", [0.0, 0.5, 0.99])
def test_a_truncated_file_is_named(tiny_act, tmp_path, name, keep):
    checkpoint.save(tiny_act, tmp_path)
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(content[: int(keep * len(content))])

    with pytest.raises(CheckpointError, match=rf"{name} is truncated or not"):
        checkpoint.load(tmp_path)


def test_weights_of_another_network_are_refused(tiny_act, make_act, tmp_path):
    checkpoint.save(tiny_act, tmp_path)
    checkpoint.save(make_act(dim_feedforward=24), tmp_path / "other")
    (tmp_path / "other" / checkpoint.WEIGHTS_FILE).replace(tmp_path / checkpoint.WEIGHTS_FILE)

    with pytest.raises(
        CheckpointError, match=r"another network:\n  \S+linear1.bias: \(24,\) in the file, \(16,\) in the network"
    ):
        checkpoint.load(tmp_path)


def test_a_specification_of_another_network_is_refused(tiny_act, tmp_path):
    checkpoint.save(tiny_act, tmp_path)
    path = tmp_path / checkpoint.CONFIG_FILE
    config = json.loads(path.read_text())
    config["spec"]["chunk_size"] = 99
    path.write_text(json.dumps(config))

    with pytest.raises(CheckpointError, match=r"chunk_size is 99 in the specification and 5 in the network"):
        checkpoint.load(tmp_path)


def test_a_config_with_an_unknown_key_is_refused(tiny_act, tmp_path):
    checkpoint.save(tiny_act, tmp_path)
    path = tmp_path / checkpoint.CONFIG_FILE
    config = json.loads(path.read_text())
    config["network"]["n_layers"] = 3
    path.write_text(json.dumps(config))

    with pytest.raises(CheckpointError, match=r"unknown keys \['n_layers'\]; legal keys are"):
        checkpoint.load(tmp_path)


def test_a_config_of_something_else_is_refused(tiny_act, tmp_path):
    checkpoint.save(tiny_act, tmp_path)
    (tmp_path / checkpoint.CONFIG_FILE).write_text('{"type": "act"}')

    with pytest.raises(CheckpointError, match="does not describe an ACT of soarm"):
        checkpoint.load(tmp_path)


def test_a_failed_write_leaves_the_old_checkpoint(tiny_act, tmp_path, monkeypatch):
    checkpoint.save(tiny_act, tmp_path)
    before = (tmp_path / checkpoint.WEIGHTS_FILE).read_bytes()
    with torch.no_grad():
        tiny_act.action_head.bias += 1.0

    def full_disk(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full_disk)
    with pytest.raises(CheckpointError, match="No space left"):
        checkpoint.save(tiny_act, tmp_path)

    assert (tmp_path / checkpoint.WEIGHTS_FILE).read_bytes() == before
