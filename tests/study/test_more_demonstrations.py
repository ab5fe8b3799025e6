from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from soarm import arm
from soarm.act import training
from soarm.errors import ParamsError
from soarm.spec import ACTION, ENVIRONMENT_STATE, STATE
from soarm.study.method import MethodInput
from soarm.study.more_demonstrations import more_demonstrations

OPTIONS = {"fractions": [0.5, 1.0], "steps": [3, 3]}


def teaching(inputs: MethodInput) -> MethodInput:
    """Return an input with time for two demonstrations in each half of the budget."""
    sim = dataclasses.replace(inputs.sim, task=dataclasses.replace(inputs.sim.task, time_limit_s=6.0))
    record = dataclasses.replace(inputs.record, n_rows=2, n_threads=1)
    params = dataclasses.replace(inputs.params, env_steps=800)
    return dataclasses.replace(inputs, sim=sim, record=record, params=params, options=OPTIONS)


def test_frames_are_counted_and_learnt_from(inputs: MethodInput, monkeypatch: pytest.MonkeyPatch) -> None:
    data: list[Any] = []
    train = training.train
    monkeypatch.setattr(
        training, "train", lambda gathered, *args, **kwargs: data.append(gathered) or train(gathered, *args, **kwargs)
    )

    result = more_demonstrations(teaching(inputs))

    metrics, n = result.metrics, inputs.demonstrations.n_frames
    assert [len(gathered.columns[ACTION]) - n for gathered in data][-1] == metrics["frames"]
    assert len(data[0].columns[ACTION]) < len(data[1].columns[ACTION])
    assert len(data[1].episode_starts) - len(inputs.demonstrations.episode_starts) == metrics["demonstrations"]
    assert 0 < metrics["frames"] <= metrics["env_steps"] <= 800
    assert metrics["env_steps"] > 800 - 6 * 30  # no further demonstration would have been sure to fit
    assert metrics["teleoperation_h"] == pytest.approx(metrics["env_steps"] / 30 / 3600)
    steps = [point.step for point in result.curve]
    assert steps[0] == 0
    assert 0 < steps[1] <= 400 < steps[2] == metrics["env_steps"]
    seen = {key: inputs.demonstrations.columns[key][:3] for key in (STATE, ENVIRONMENT_STATE)}
    action = result.policy(3).act(seen, np.arange(3))
    assert ((action >= arm.LOWER) & (action <= arm.UPPER)).all()


@pytest.mark.parametrize(
    ("fractions", "message"),
    [
        ([], r"fractions is \[\]; it must be one entry or more"),
        ([0.5, 0.5], "it must be numbers that rise"),
        ([0.0, 1.0], r"fractions\[0\] is 0.0; it must be above 0"),
        ([0.5, 1.5], r"fractions\[1\] is 1.5; it must be above 0 and at most 1"),
    ],
)
def test_fractions_must_rise(inputs: MethodInput, fractions: list[float], message: str) -> None:
    with pytest.raises(ParamsError, match=message):
        more_demonstrations(dataclasses.replace(inputs, options={"fractions": fractions, "steps": [3] * len(fractions)}))


def test_every_training_has_its_steps(inputs: MethodInput) -> None:
    with pytest.raises(ParamsError, match=r"steps is \[3\]; there must be one number for each of \[0.5, 1.0\]"):
        more_demonstrations(dataclasses.replace(inputs, options={"fractions": [0.5, 1.0], "steps": [3]}))
