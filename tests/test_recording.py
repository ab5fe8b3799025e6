"""Demonstrations by the script and by policies, with and without pictures and noise."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from soarm import params as params_file
from soarm import recording
from soarm.dataset.reader import Dataset
from soarm.errors import ParamsError, SimulationError
from soarm.params import changed
from soarm.policies import HOLD_STEPS
from soarm.policy import Array, BatchPolicy, Observation, Rows
from soarm.recording import RecordParams, features_of, record
from soarm.rollout import StepResult
from soarm.runtime.bundle import Bundle
from soarm.runtime.onnx_policy import load_policy
from soarm.sim.batch_env import BatchSim
from soarm.sim.params import SimParams
from soarm.spec import ACTION, IMAGES, STATE

CAMERA = {"width_px": 32, "height_px": 32, "supersample": 1, "position_m": None, "target_m": None, "fovy_deg": None}
FRONT = f"{IMAGES}.front"


@pytest.fixture
def params() -> RecordParams:
    found = params_file.load(Path(__file__).parents[1] / "params.yaml").section("record", RecordParams)
    return dataclasses.replace(found, n_episodes=1, n_rows=1, n_threads=1, pictures=True)


@pytest.mark.slow
def test_what_the_cameras_saw_is_recorded_as_videos_the_same_every_time(tmp_path, sim: SimParams, params: RecordParams):
    seeing = changed(sim, {"cameras": {"front": CAMERA}}, "sim")
    env = BatchSim(seeing, 1)
    first = env.reset(np.array([0]), [11])[FRONT]
    env.close()
    for name in "ab":
        record(tmp_path / name, seeing, params, [11])
    made, again = (Dataset.open(tmp_path / name) for name in "ab")

    assert dict(made.features) == features_of(seeing, params)
    shown = made.pictures[FRONT].gather(np.arange(made.n_frames))
    assert np.abs(shown[0].astype(int) - first[0]).mean() < 6
    assert len(np.unique(shown.reshape(len(shown), -1).astype(int).sum(axis=1))) > 10  # it moves
    assert made.hash == again.hash


def test_pictures_without_cameras_are_refused(tmp_path, sim: SimParams, params: RecordParams):
    with pytest.raises(ParamsError, match=r"record\.pictures is true, and sim\.cameras names no camera"):
        record(tmp_path / "d", sim, params, [11])
    assert not (tmp_path / "d").exists()


def test_cameras_cost_nothing_where_no_pictures_are_recorded(tmp_path, sim: SimParams, params: RecordParams):
    unseen = dataclasses.replace(params, pictures=False)
    record(tmp_path / "d", changed(sim, {"cameras": {"front": CAMERA}}, "sim"), unseen, [11])

    assert FRONT not in Dataset.open(tmp_path / "d").features
    assert ACTION in Dataset.open(tmp_path / "d").features


class Spy:
    """What a policy does, and what it chose."""

    def __init__(self, policy: BatchPolicy) -> None:
        self._policy, self.reset = policy, policy.reset
        self.chosen: list[Array] = []

    def act(self, observation: Observation, rows: Rows) -> Array:
        self.chosen.append(self._policy.act(observation, rows))
        return self.chosen[-1]


class Still:
    """Never moves."""

    def reset(self, rows: Rows, seeds: object) -> None:
        """Forget nothing."""

    def act(self, observation: Observation, rows: Rows) -> Array:
        state: Array = observation[STATE]
        return state


@pytest.fixture
def executed(monkeypatch: pytest.MonkeyPatch) -> list[Array]:
    """Return what the simulator was given while recording."""
    given: list[Array] = []

    class Watched(BatchSim):
        def step(self, actions: Array, rows: Rows) -> StepResult:
            given.append(actions)
            return super().step(actions, rows)

    monkeypatch.setattr(recording, "BatchSim", Watched)
    return given


def bundled() -> Spy:
    return Spy(load_policy(Bundle.open(Path(__file__).parents[1] / "examples" / "bundle"), 1, "residual"))


@pytest.mark.parametrize("noise_deg", [0.0, 3.0])
def test_what_a_policy_chose_is_recorded_and_what_is_executed_has_the_noise(
    tmp_path: Path, sim: SimParams, params: RecordParams, executed: list[Array], noise_deg: float
) -> None:
    policy = bundled()

    made = record(tmp_path / "d", sim, dataclasses.replace(params, pictures=False, noise_deg=noise_deg), [11], policy=policy)

    recorded = Dataset.open(tmp_path / "d").columns[ACTION]
    assert made.frames == len(recorded)
    np.testing.assert_array_equal(recorded, np.concatenate(policy.chosen))
    noise = np.concatenate(executed) - recorded
    whole = noise[: len(noise) // HOLD_STEPS * HOLD_STEPS].reshape(-1, HOLD_STEPS, 6)
    np.testing.assert_allclose(whole, np.broadcast_to(whole[:, :1], whole.shape), atol=1e-4)
    assert np.std(whole[:, 0]) == pytest.approx(noise_deg, rel=0.4)


def test_the_expert_is_pushed_as_well_and_its_actions_stay_its_own(
    tmp_path: Path, sim: SimParams, params: RecordParams, executed: list[Array]
) -> None:
    record(tmp_path / "d", sim, dataclasses.replace(params, pictures=False, noise_deg=2.0), [11])

    moved = np.concatenate(executed) - Dataset.open(tmp_path / "d").columns[ACTION]
    assert np.std(moved[::HOLD_STEPS]) == pytest.approx(2.0, rel=0.4)


def test_recording_stops_when_hardly_anything_succeeds_and_says_how_much_did(
    tmp_path: Path, sim: SimParams, params: RecordParams, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = dataclasses.replace(sim, task=dataclasses.replace(sim.task, time_limit_s=0.1))
    named = dataclasses.replace(params, pictures=False, policy="policies/still")
    monkeypatch.setattr(recording, "_FIRST_TRIES", 3)

    with pytest.raises(SimulationError, match=r"the policy policies/still .* solved 0 of 3 scenes.*Lower noise_deg"):
        record(tmp_path / "d", short, named, range(9), policy=Still())
    with pytest.raises(SimulationError, match=r"the scripted demonstrator solved 0 of 2 scenes"):
        record(tmp_path / "e", short, dataclasses.replace(named, policy=None), range(2))


def test_only_what_succeeded_is_kept(tmp_path: Path, sim: SimParams, params: RecordParams) -> None:
    policy, still = bundled(), Still()
    acting: BatchPolicy = policy
    act, asleep = policy.act, [False]

    class Sometimes:
        def reset(self, rows: Rows, seeds: Sequence[int]) -> None:
            asleep[0] = seeds[0] % 2 == 1
            acting.reset(rows, seeds)

        def act(self, observation: Observation, rows: Rows) -> Array:
            return still.act(observation, rows) if asleep[0] else act(observation, rows)

    short = dataclasses.replace(sim, task=dataclasses.replace(sim.task, time_limit_s=4.0))
    made = record(
        tmp_path / "d", short, dataclasses.replace(params, pictures=False, n_episodes=2), range(11, 99), policy=Sometimes()
    )

    assert (made.episodes, made.tries) == (2, 4)
    np.testing.assert_array_equal(Dataset.open(tmp_path / "d").columns[ACTION], np.concatenate(policy.chosen))
