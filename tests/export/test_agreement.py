import numpy as np
import pytest

from soarm.errors import ParityError
from soarm.export.agreement import Agreement, compare
from soarm.rollout import StepResult
from soarm.spec import STATE


class OneStepEnv:
    """Ends after one step; a success if the first joint's target is above the seed."""

    n_rows, control_hz = 2, 30

    def __init__(self):
        self._seeds = np.zeros(2)

    def reset(self, rows, seeds):
        self._seeds[rows] = list(seeds)
        return {STATE: np.zeros((len(rows), 6), np.float32)}

    def step(self, actions, rows):
        success = actions[:, 0] > self._seeds[rows]
        return StepResult(
            {STATE: np.zeros((len(rows), 6), np.float32)}, success * 1.0, success, ~success, {"is_success": success}
        )


class Constant:
    def __init__(self, value):
        self._value = value

    def reset(self, rows, seeds):
        pass

    def act(self, observation, rows):
        return np.full((len(rows), 6), self._value, np.float32)


def outcomes(n, trained, exported):
    return Agreement(np.arange(n) < trained, np.arange(n) < exported)


def test_both_policies_run_on_the_same_scenes():
    agreement = compare(OneStepEnv(), Constant(6.5), Constant(4.5), range(10))

    assert agreement.trained.tolist() == [True] * 7 + [False] * 3
    assert agreement.exported.tolist() == [True] * 5 + [False] * 5
    rates = {"torch_success_rate": 0.7, "onnx_success_rate": 0.5}
    assert agreement.to_dict() == {"check_scenes": 10, **rates, "episodes_differ": 2}


def test_equal_outcomes_pass():
    outcomes(50, 30, 30).require(0.01)


def test_seven_lost_scenes_of_seven_that_differ_may_be_chance():
    outcomes(50, 30, 23).require(0.01)


def test_eight_lost_scenes_of_eight_that_differ_are_refused():
    message = r"same 50 scenes .* in 60.0% and the exported one in 44.0%: 8 scenes lost, 0 gained, p = 0.0078"
    with pytest.raises(ParityError, match=message):
        outcomes(50, 30, 22).require(0.01)


def test_flips_both_ways_pass():
    trained = np.arange(50) < 25
    exported = np.where(np.arange(50) % 5 == 0, ~trained, trained)

    agreement = Agreement(trained, exported)

    agreement.require(0.01)
    assert agreement.to_dict()["episodes_differ"] == 10
