"""`tensorboard_log` does what users of Stable-Baselines3 expect: folders, names and steps of their event files."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest

pytest.importorskip("tensorboard")


def scalars(folder: Path) -> dict[str, list[int]]:
    """Return tag -> steps of an event folder."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(folder)).Reload()
    return {tag: [event.step for event in found.Scalars(tag)] for tag in found.Tags()["scalars"]}


def test_a_residual_logs_as_other_algorithms_do(task: ModuleType, tmp_path: Path) -> None:
    model = task.make_model(tensorboard_log=str(tmp_path))
    model.learn(560, tb_log_name="residual")
    model.learn(100, tb_log_name="residual", reset_num_timesteps=False)
    first = scalars(tmp_path / "residual_1")
    model.save(tmp_path / "model")
    again = type(model).load(tmp_path / "model", task.make_env())
    again.learn(60, tb_log_name="residual")

    assert {"rollout/ep_rew_mean", "rollout/ep_len_mean", "rollout/success_rate", "time/fps"} <= set(first)
    assert {"train/critic_loss", "train/n_updates", "train/q_mean", "train/residual_abs"} <= set(first)
    assert {tag.split("/")[0] for tag in first} == {"rollout", "train", "time"}
    assert first["time/fps"] == sorted(first["time/fps"])
    assert 560 < first["time/fps"][-1] <= 660  # the second call went on where the first ended
    assert sorted(path.name for path in tmp_path.glob("residual_*")) == ["residual_1", "residual_2"]
    assert max(scalars(tmp_path / "residual_2")["time/fps"]) <= 60
