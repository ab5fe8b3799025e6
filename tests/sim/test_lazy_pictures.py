"""Pictures of episodes are drawn when somebody takes them, and are then what they would have been at once."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from soarm.params import changed
from soarm.policies import ChunkedPolicy
from soarm.policy import Array, Observation
from soarm.rollout import rollout
from soarm.sim import camera
from soarm.sim.batch_env import BatchSim
from soarm.sim.camera import Backend
from soarm.sim.cameras import PolicyCameras
from soarm.sim.look import draw_look
from soarm.sim.params import SimParams
from soarm.spec import IMAGES, STATE, PolicySpec

FRONT, WRIST = f"{IMAGES}.front", f"{IMAGES}.wrist"
CAMERA = {"width_px": 24, "height_px": 16, "supersample": 1, "position_m": None, "target_m": None, "fovy_deg": None}
NOISY = {
    "light": {"brightness": [0.7, 1.1]},
    "background": {"share": 0.5},
    "picture": {"noise": [1.0, 4.0], "latency_steps": [0, 2]},
}


@pytest.fixture(scope="module")
def seeing(sim: SimParams) -> SimParams:
    """Return the simulator with two tiny cameras and episodes of half a second."""
    short = dataclasses.replace(sim, task=dataclasses.replace(sim.task, time_limit_s=0.5))
    return changed(short, {"cameras": {"front": CAMERA, "wrist": {**CAMERA, "width_px": 16}}}, "sim")


def moving(state: Array, step: int) -> Array:
    """Return targets that keep the arm going."""
    return state + np.float32(12.0) * np.sin(np.float32(step) + np.arange(6, dtype=np.float32))


def play(params: SimParams, seeds: Sequence[int], n_steps: int) -> tuple[list[Observation], list[dict[str, Array]]]:
    """Return what rows observe in `n_steps`, pictures untaken, and the pictures as they are drawn at every step."""
    env, cameras, rows = BatchSim(params, len(seeds)), PolicyCameras(params), np.arange(len(seeds))
    looks = [draw_look(params, seed) for seed in seeds]
    seen, prompt = [env.reset(rows, seeds)], []
    for step in range(n_steps):
        prompt.append(cameras.render_rows(*env.positions(rows), looks, [step] * len(seeds)))
        seen.append(env.step(moving(seen[-1][STATE], step), rows).observation)
    late = [[max(0, step - look.latency_steps) for look in looks] for step in range(n_steps)]
    return seen[:-1], [
        {f"{IMAGES}.{name}": np.stack([prompt[at][name][row] for row, at in enumerate(steps)]) for name in params.cameras}
        for steps in late
    ]


@pytest.mark.usefixtures("rays")
@pytest.mark.parametrize("look", [{}, NOISY])
def test_pictures_that_are_taken_after_the_episode_are_those_of_their_step_to_the_bit(
    seeing: SimParams, look: dict[str, Any]
) -> None:
    params = changed(seeing, {"look": look}, "sim")
    seeds = (4, 5, 6)
    seen, expected = play(params, seeds, params.max_steps)
    if look:
        assert {draw_look(params, seed).latency_steps for seed in seeds} == {0, 1, 2}

    for step in reversed(range(params.max_steps)):
        for key in (WRIST, FRONT):
            np.testing.assert_array_equal(seen[step][key], expected[step][key], err_msg=f"{key} of step {step}")


def test_pictures_of_several_simulators_may_be_taken_in_any_thread_while_others_are_drawn(
    seeing: SimParams, backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(camera, "find_fault", lambda one: None if one == backend else "not asked for")
    other = changed(seeing, {"look": NOISY, "cameras": {"front": {**CAMERA, "height_px": 24}}}, "sim")
    played = [play(params, (7, 8), 4) for params in (seeing, other)]

    with ThreadPoolExecutor(4) as threads:
        taken = [threads.submit(np.asarray, one[FRONT]) for seen, _ in played * 2 for one in seen]
        envs = [BatchSim(params, 2) for params in (seeing, other)]
        both = [env.reset(np.arange(2), (7, 8)) for env in envs]
        here = [np.asarray(one[FRONT]) for one in both]

    expected = [one[FRONT] for _, shown in played * 2 for one in shown]
    for one, right in zip(taken, expected, strict=True):
        np.testing.assert_array_equal(one.result(), right)
    for picture, (_, shown) in zip(here, played, strict=True):
        np.testing.assert_array_equal(picture, shown[0][FRONT])


class Watcher:
    """A base that looks through both cameras, and counts the rows that it is asked of."""

    def __init__(self) -> None:
        self.asked = 0

    def predict_chunks(self, observation: Observation) -> Array:
        assert type(observation[FRONT]) is type(observation[WRIST]) is np.ndarray
        self.asked += len(np.unique(observation[STATE], axis=0))  # without those that fill a block up
        bright = observation[FRONT].mean(axis=(1, 2, 3)) + observation[WRIST].mean(axis=(1, 2, 3))
        return (observation[STATE] + np.float32(0.01) * bright[:, None].astype(np.float32))[:, None, :].repeat(6, axis=1)


@pytest.mark.usefixtures("rays")
@pytest.mark.parametrize("pictures", [False, True])
def test_a_rollout_draws_what_a_chunked_policy_asks_for_and_an_episode_what_is_taken_of_it(
    seeing: SimParams, drawn: list[int], pictures: bool
) -> None:
    spec = PolicySpec(
        {key: value for key, value in seeing.spec.features.items() if "environment" not in key}, 30, 6, n_action_steps=5
    )
    watcher = Watcher()
    episodes = list(rollout(BatchSim(seeing, 2), ChunkedPolicy(watcher, spec, 2), range(4, 7), pictures=pictures))

    assert [len(episode) for episode in episodes] == [seeing.max_steps] * 3
    assert sum(drawn) == watcher.asked == 3 * seeing.max_steps // 5
    if pictures:
        assert np.asarray(episodes[1].observations[WRIST]).shape == (seeing.max_steps, 16, 16, 3)
        assert sum(drawn) == watcher.asked + seeing.max_steps - seeing.max_steps // 5
