"""A saved ACT: what comes back, and what is refused."""

import json

import pytest
import torch

from soarm.base import CONFIG_FILE, WEIGHTS_FILE, load_base, save_base
from soarm.errors import CheckpointError


def test_a_loaded_network_computes_the_same_bits(tiny_act, tmp_path, observation):
    save_base(tiny_act, tmp_path)

    again = load_base(tmp_path)

    assert (again.predict_chunks(observation) == tiny_act.predict_chunks(observation)).all()
    assert again.config == tiny_act.config
    assert again.spec == tiny_act.spec
    assert not again.training


def test_the_same_network_gives_the_same_bytes(tiny_act, tmp_path):
    save_base(tiny_act, tmp_path / "a")
    save_base(load_base(tmp_path / "a"), tmp_path / "b")

    for name in (CONFIG_FILE, WEIGHTS_FILE):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


@pytest.mark.parametrize("name", [CONFIG_FILE, WEIGHTS_FILE])
def test_a_missing_file_is_named(tiny_act, tmp_path, name):
    save_base(tiny_act, tmp_path)
    (tmp_path / name).unlink()

    with pytest.raises(CheckpointError, match=rf"{name} does not exist.*dvc repro train_act"):
        load_base(tmp_path)


@pytest.mark.parametrize("name", [CONFIG_FILE, WEIGHTS_FILE])
@pytest.mark.parametrize("keep", [0.0, 0.5, 0.99])
def test_a_truncated_file_is_named(tiny_act, tmp_path, name, keep):
    save_base(tiny_act, tmp_path)
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(content[: int(keep * len(content))])

    with pytest.raises(CheckpointError, match=rf"{name} is truncated or not"):
        load_base(tmp_path)


def test_weights_of_another_network_are_refused(tiny_act, make_act, tmp_path):
    save_base(tiny_act, tmp_path)
    save_base(make_act(dim_feedforward=24), tmp_path / "other")
    (tmp_path / "other" / WEIGHTS_FILE).replace(tmp_path / WEIGHTS_FILE)

    with pytest.raises(
        CheckpointError, match=r"another network:\n  \S+linear1.bias: \(24,\) in the file, \(16,\) in the network"
    ):
        load_base(tmp_path)


def test_a_specification_of_another_network_is_refused(tiny_act, tmp_path):
    save_base(tiny_act, tmp_path)
    path = tmp_path / CONFIG_FILE
    config = json.loads(path.read_text())
    config["spec"]["chunk_size"] = 99
    path.write_text(json.dumps(config))

    with pytest.raises(CheckpointError, match=r"chunk_size is 99 in the specification and 5 in the network"):
        load_base(tmp_path)


def test_a_config_with_an_unknown_key_is_refused(tiny_act, tmp_path):
    save_base(tiny_act, tmp_path)
    path = tmp_path / CONFIG_FILE
    config = json.loads(path.read_text())
    config["network"]["n_layers"] = 3
    path.write_text(json.dumps(config))

    with pytest.raises(CheckpointError, match=r"unknown keys \['n_layers'\]; legal keys are"):
        load_base(tmp_path)


def test_a_config_of_something_else_is_refused(tiny_act, tmp_path):
    save_base(tiny_act, tmp_path)
    (tmp_path / CONFIG_FILE).write_text('{"type": "act", "network": {}, "spec": {}}')

    with pytest.raises(
        CheckpointError, match=r"does not describe a base of soarm: its type is 'act', legal are \['soarm.act'\]"
    ):
        load_base(tmp_path)


def test_a_failed_write_leaves_the_old_checkpoint(tiny_act, tmp_path, monkeypatch):
    save_base(tiny_act, tmp_path)
    before = (tmp_path / WEIGHTS_FILE).read_bytes()
    with torch.no_grad():
        tiny_act.action_head.bias += 1.0

    def full_disk(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full_disk)
    with pytest.raises(CheckpointError, match="No space left"):
        save_base(tiny_act, tmp_path)

    assert (tmp_path / WEIGHTS_FILE).read_bytes() == before
