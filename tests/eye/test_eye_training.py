from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch

from soarm.errors import TrainingError
from soarm.estimation import Questions
from soarm.eye import frames
from soarm.eye.loss import Units, counted, loss
from soarm.eye.training import TrainedEye, TrainEyeParams, train
from soarm.policy import BatchPolicy
from soarm.sim.params import SimParams
from soarm.tasks.registry import find


def forget(step: int, metrics: Mapping[str, float]) -> None:
    """Log nothing."""


def test_a_training_that_was_killed_ends_with_the_same_bits(
    seeing: SimParams, demonstrators: BatchPolicy, tiny: TrainEyeParams, tried: TrainedEye, tmp_path: Path
) -> None:
    def killed(step: int, metrics: Mapping[str, float]) -> None:
        if step == 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(seeing, demonstrators, tiny, seed=0, scratch=tmp_path, log=killed)
    drawn = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.npz")}
    steps: list[int] = []
    again = train(
        seeing, demonstrators, tiny, seed=0, scratch=tmp_path, log=forget, track=lambda one, n, what: steps.append(n) or one
    )

    for name, weight in tried.model.state_dict().items():
        assert torch.equal(weight, again.model.state_dict()[name]), name
    assert steps[-4:] == [0, 2, 1, 1], "frames are there, two steps are left; and things are taken out of sight"
    assert drawn == {path: path.stat().st_mtime_ns for path in drawn}


def test_its_figures_tell_of_every_object_by_stage_and_visibility(tried: TrainedEye, tiny: TrainEyeParams) -> None:
    cube, found = tried.metrics["cube"], tried.metrics["bin"]

    assert tried.metrics["frames"] == tiny.n_frames
    assert cube["all"]["n"] == tiny.n_held_out
    assert cube["seen"]["n"] + cube.get("hidden", {"n": 0})["n"] == tiny.n_held_out
    assert cube["all"]["median_mm"] > 0
    assert cube["all"]["expected_mm"] > 0
    assert 0 < cube["all"]["median_deg"] <= 45
    assert math.isnan(found["all"]["median_deg"]), "a bin has no yaw"


def test_frames_are_drawn_once_and_a_lost_block_again(seeing: SimParams, tried: TrainedEye, tmp_path: Path) -> None:
    moments = tried.moments
    first = frames.draw(seeing, moments, range(10), tmp_path, n_workers=1)
    (block,) = tmp_path.iterdir()
    block.unlink()

    second = frames.draw(seeing, moments, range(10), tmp_path, n_workers=1)

    assert {name: pictures.shape for name, pictures in first.items()} == {"front": (10, 16, 24, 3), "wrist": (10, 16, 16, 3)}
    for name in first:
        np.testing.assert_array_equal(first[name], second[name])
        assert first[name].std() > 5


@pytest.mark.slow
def test_two_processes_draw_what_one_does(seeing: SimParams, tried: TrainedEye, tmp_path: Path) -> None:
    many = tried.moments.take(np.arange(2100) % len(tried.moments.qpos))

    one, two = (frames.draw(seeing, many, range(2100), tmp_path / str(n), n_workers=n) for n in (1, 2))

    for name in one:
        np.testing.assert_array_equal(one[name], two[name])


def test_answers_from_the_gripper_count_near_it_alone() -> None:
    questions = Questions(find("pick_place"))
    right = np.zeros((2, questions.dim), np.float32)
    cube = questions.answers[0]
    right[0, cube.offset], right[1, cube.offset] = (0.01, 0.0, 0.0), (0.3, 0.0, 0.0)

    counts = counted(questions, right)

    assert counts[0, cube.offset].tolist() == [*counts[0, cube.turn_offset].tolist(), 1.0] == [1.0] * 3
    assert counts[1, cube.offset].tolist() == [0.0] * 3
    assert counts[:, : questions.n_objects].all()


def test_the_loss_is_least_at_the_right_answers_and_the_expected_errors() -> None:
    questions = Questions(find("pick_place"))
    right = np.random.default_rng(0).normal(0.0, 0.05, (64, questions.dim)).astype(np.float32)
    units = tuple(torch.from_numpy(part) for part in Units.of(questions, right)[1:])
    target, counts = torch.from_numpy(right), torch.from_numpy(counted(questions, right))

    def at(off_m: float, expected_m: float) -> float:
        given = target.clone()
        for answer in questions.answers:
            given[:, [*answer.at[:1]]] += off_m
            given[:, answer.offset.start] += off_m
            given[:, answer.error] = math.log(expected_m)
        return float(loss(questions, units, given, target, counts))

    assert at(0.001, 0.001) < at(0.004, 0.004)
    assert at(0.004, 0.004) < min(at(0.004, 0.002), at(0.004, 0.008))


def test_a_loss_that_is_not_finite_is_an_error(
    seeing: SimParams,
    demonstrators: BatchPolicy,
    tiny: TrainEyeParams,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("soarm.eye.trainer.loss", lambda *told: told[2].sum() * math.nan)

    with pytest.raises(TrainingError, match=r"the loss of the eye is not finite before step 3; lower train_eye\.learn"):
        train(seeing, demonstrators, tiny, seed=0, scratch=tmp_path, log=forget)
