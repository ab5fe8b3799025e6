"""What spoils demonstrations although the files are sound."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from soarm import spec
from soarm.dataset.quality import findings
from soarm.dataset.reader import Dataset
from soarm.dataset.recorder import Recorder

FPS, LENGTH = 30, 60
Spoil = Callable[[int, np.ndarray, np.ndarray], None]


@pytest.fixture
def found(tmp_path: Path, start: Callable[[Path], Recorder]) -> Callable[..., list[str]]:
    """Return a function that records three good episodes, spoils them, and says what is found in them."""

    def run(spoil: Spoil | None = None, length: int = LENGTH) -> list[str]:
        recorder = start(tmp_path / "dataset")
        for number in range(3):
            phase = np.linspace(0.0, 2.0 * np.pi, length)[:, None] + np.arange(6) + number  # no two joints or episodes alike
            action = 30.0 * np.sin(phase)
            state = np.concatenate([action[:1], action[:-1]]) + 0.5  # a servo follows a step behind
            if spoil is not None:
                spoil(number, state, action)
            objects = np.zeros((length, 7), np.float32)
            observation = {spec.STATE: state.astype(np.float32), spec.ENVIRONMENT_STATE: objects}
            recorder.save_episode(observation, action.astype(np.float32))
        recorder.finalize()
        return findings(Dataset.open(tmp_path / "dataset"))

    return run


def test_nothing_is_found_in_good_demonstrations(found: Callable[..., list[str]]) -> None:
    assert found() == []


def test_an_action_that_is_the_state_of_its_own_step_is_found(found: Callable[..., list[str]]) -> None:
    def spoil(number: int, state: np.ndarray, action: np.ndarray) -> None:
        action[:] = state

    assert next(line for line in found(spoil) if "stand still" in line).startswith(
        "every episode: the action equals the state"
    )


def test_an_action_that_is_the_next_state_is_as_it_should_be(found: Callable[..., list[str]]) -> None:
    def spoil(number: int, state: np.ndarray, action: np.ndarray) -> None:
        action[:-1] = state[1:]

    assert found(spoil) == []


def test_an_episode_without_motion_is_found(found: Callable[..., list[str]]) -> None:
    def spoil(number: int, state: np.ndarray, action: np.ndarray) -> None:
        if number == 1:
            state[:] = state[0]

    assert "episode 1: no joint moves by more than 1; delete it" in found(spoil)


def test_a_state_that_stands_while_the_action_moves_is_found(found: Callable[..., list[str]]) -> None:
    def spoil(number: int, state: np.ndarray, action: np.ndarray) -> None:
        if number == 2:
            state[20:40, 3] = state[20, 3]

    (line,) = found(spoil)

    assert line.startswith("episode 2, observation.state of wrist_flex.pos: one number for 0.5 s or more")


def test_a_state_that_waits_with_its_action_is_no_fault(found: Callable[..., list[str]]) -> None:
    def spoil(number: int, state: np.ndarray, action: np.ndarray) -> None:
        state[20:40], action[20:40] = state[20], state[20]
        state[40:], action[40:] = (
            np.linspace(state[20], state[20] + 5.0, 20),
            np.linspace(state[20] + 1.0, state[20] + 6.0, 20),
        )
        action[40:, 5] -= np.linspace(0.0, 30.0, 20)

    assert found(spoil) == []


def test_a_joint_that_never_moves_is_found_once(found: Callable[..., list[str]]) -> None:
    def spoil(number: int, state: np.ndarray, action: np.ndarray) -> None:
        state[:, 1] = 4.0

    (line,) = found(spoil)

    assert line.startswith("observation.state of shoulder_lift.pos: never moves in any episode, although its action does")


@pytest.mark.parametrize(("row", "by"), [("state", 40.0), ("action", 360.0)])
def test_a_jump_that_no_servo_can_make_is_found(found: Callable[..., list[str]], row: str, by: float) -> None:
    def spoil(number: int, state: np.ndarray, action: np.ndarray) -> None:
        if number != 1:
            {"state": state, "action": action}[row][30:, 4] += by

    (line,) = found(spoil)

    feature = {"state": spec.STATE, "action": spec.ACTION}[row]
    assert line.startswith(f"episodes 0, 2, {feature} of wrist_roll.pos: a jump of more than")


@pytest.mark.parametrize("row", ["state", "action"])
def test_a_joint_that_is_cut_off_in_full_motion_is_found(found: Callable[..., list[str]], row: str) -> None:
    def spoil(number: int, state: np.ndarray, action: np.ndarray) -> None:
        values = {"state": state, "action": action}[row]
        values[:, 0] = np.minimum(values[:, 0], 20.0)

    lines = [line for line in found(spoil) if "one number" not in line]

    feature = {"state": spec.STATE, "action": spec.ACTION}[row]
    assert lines == [line for line in lines if line.startswith(f"{feature} of shoulder_pan.pos: stops dead at 20, 3 times")]
    assert lines


def test_a_gripper_that_never_closes_is_found(found: Callable[..., list[str]]) -> None:
    def spoil(number: int, state: np.ndarray, action: np.ndarray) -> None:
        action[:, 5] = np.linspace(20.0, 60.0, len(action))

    assert "every episode, action of gripper.pos: never closes by 10 percent, so nothing is grasped" in found(spoil)


def test_an_episode_that_is_there_twice_is_found(found: Callable[..., list[str]]) -> None:
    kept: list[np.ndarray] = []

    def spoil(number: int, state: np.ndarray, action: np.ndarray) -> None:
        if number == 0:
            kept.extend([state.copy(), action.copy()])
        if number == 2:
            state[:], action[:] = kept

    assert found(spoil) == ["episode 2: the same as episode 0, to the bit; delete one of them"]


def test_an_episode_of_less_than_a_second_is_found(found: Callable[..., list[str]]) -> None:
    assert "every episode: shorter than 1 s; delete it" in found(length=FPS - 1)
