from __future__ import annotations

import dataclasses
from types import ModuleType

import numpy as np
import pytest

from soarm.policy import Array
from soarm.residual.exploration import Explorer


def explorer(task: ModuleType, n_rows: int = 4, **changed: object) -> Explorer:
    params = dataclasses.replace(task.EXPLORATION, **changed)
    return Explorer(n_rows, params, np.random.default_rng(0))


def test_noise_falls_linearly_while_learning(task: ModuleType) -> None:
    one = explorer(task, 4000, hold_steps=1)
    stds = [one.around(np.zeros((4000, 6), np.float32), progress).std() for progress in (0.0, 0.5, 1.0)]

    assert stds == pytest.approx([0.3, 0.2, 0.1], rel=0.03)


def test_noise_falls_with_the_progress_of_learning(task: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, float]] = []
    real = Explorer.around
    model = task.make_model()

    def around(self: Explorer, greedy: Array, progress: float) -> Array:
        asked.append((model.num_timesteps, progress))
        return real(self, greedy, progress)

    monkeypatch.setattr(Explorer, "around", around)
    model.learn(200, log_interval=None)

    assert asked == [(step, pytest.approx((step - 120) / 80)) for step in range(120, 200, 4)]
