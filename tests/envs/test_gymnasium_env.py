"""The environments of `gymnasium.make`: found, checked, the same episodes as the simulator's, in any folder."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gymnasium
import mujoco
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.wrappers import AddRenderObservation, TimeLimit

from soarm import arm, viewer
from soarm.envs import pictures
from soarm.envs.interface import scene_seed
from soarm.errors import ObservationError, ParamsError, SimulationError
from soarm.seeds import scene_seeds
from soarm.sim import camera
from soarm.sim.env import SimEnv
from soarm.sim.params import SimParams
from soarm.spec import ENVIRONMENT_STATE, STATE, as_features
from soarm.tasks.registry import TASKS
from soarm.tasks.task import Task

ENV_ID = "SoArm/PickPlace-v0"


def play(env: Any, seed: int, n_steps: int) -> list[Any]:
    """Return what an environment says of an episode of random actions."""
    env.action_space.seed(seed)
    return [env.reset(seed=seed), *(env.step(env.action_space.sample()) for _ in range(n_steps))]


def same(one: Any, other: Any) -> bool:
    """Compare nested answers to the bit."""
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, tuple | list):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(np.array_equal(one, other))


def test_an_id_with_our_room_in_front_needs_no_import_and_no_file(tmp_path: Path) -> None:
    program = (
        "import gymnasium, sys\n"
        "env = gymnasium.make('soarm.envs:SoArm/PickPlace-v0')\n"
        "env.reset(seed=0)\n"
        "print(env.spec.max_episode_steps, env.unwrapped.metadata['render_fps'])\n"
        "print('torch' in sys.modules or 'stable_baselines3' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True)

    assert done.stdout.split() == ["300", "30", "False"]


def test_every_task_is_registered_and_listed() -> None:
    listed = gymnasium.pprint_registry(disable_print=True)

    assert ENV_ID in listed
    assert all(task.env_id in listed for task in TASKS.values())


@pytest.mark.parametrize("task", TASKS.values(), ids=list(TASKS))
def test_every_task_is_made_by_its_id(task: Task) -> None:
    env = gymnasium.make(task.env_id)
    observation, _ = env.reset(seed=0)

    assert observation["environment_state"].shape == task.objects.shape
    assert env.observation_space.contains(observation)
    assert env.unwrapped.model.ncam == 3  # type: ignore[attr-defined]


def test_gymnasiums_checker_has_nothing_to_say() -> None:
    check_env(gymnasium.make(ENV_ID, normalize_actions=True).unwrapped, skip_render_check=True)


def test_in_lerobots_units_the_checker_says_one_thing_that_is_meant_so() -> None:
    with pytest.warns(UserWarning, match="recommend using a symmetric and normalized space") as said:
        check_env(gymnasium.make(ENV_ID).unwrapped, skip_render_check=True)
    assert len(said) == 1


def test_episodes_are_the_simulators_to_the_bit_under_other_keys(sim: SimParams) -> None:
    told = play(gymnasium.make(ENV_ID, reward="shaped"), 3, 20)
    simulator = SimEnv(sim)
    shown = [simulator.reset(seed=3), *(simulator.step(action) for action in actions(3, 20))]

    for (observation, *rest), (features, *expected) in zip(told, shown, strict=True):
        assert observation.keys() == {"agent_pos", "environment_state"}
        assert same(as_features(observation), features)
        assert rest[-1]["stage"] == expected[-1]["stage"]
    assert told[5][1] == told[5][4]["reward/reach"] + told[5][4]["reward/transport"] != 0.0


def actions(seed: int, n_steps: int) -> list[np.ndarray]:
    space = gymnasium.make(ENV_ID).action_space
    space.seed(seed)
    return [space.sample() for _ in range(n_steps)]


def test_a_seed_is_an_episode_and_what_follows_it_too() -> None:
    env = gymnasium.make(ENV_ID)
    first, next_one = play(env, 7, 5), env.reset()
    again, next_again = play(env, 7, 5), env.reset()

    assert same(first, again)
    assert same(next_one, next_again)
    assert not same(first[0], next_one)


def test_an_episode_without_a_seed_is_on_a_scene_of_no_split() -> None:
    rng = np.random.default_rng(0)
    drawn = [scene_seed(rng) for _ in range(1000)]

    assert min(drawn) > max(scene_seeds(split, 9)[-1] for split in ("record", "residual", "validation", "test"))
    assert len(set(drawn)) == 1000


def test_normalised_actions_reach_from_limit_to_limit(sim: SimParams) -> None:
    share = np.linspace(0.1, 0.9, arm.N_JOINTS, dtype=np.float32)
    env, simulator = gymnasium.make(ENV_ID, normalize_actions=True), SimEnv(sim)
    env.reset(seed=0)
    simulator.reset(seed=0)
    told = env.step(2.0 * share - 1.0)[0]["agent_pos"]
    wanted = arm.LOWER + share * (arm.UPPER - arm.LOWER)

    assert env.action_space == gymnasium.spaces.Box(-1.0, 1.0, (arm.N_JOINTS,))
    assert told == pytest.approx(simulator.step(wanted.astype(np.float32))[0][STATE], abs=1e-3)


def test_observations_stay_within_bounds_that_are_finite() -> None:
    env = gymnasium.make(ENV_ID)
    space = env.observation_space
    simulator = env.unwrapped
    env.reset(seed=0)
    simulator.data.qpos[6:9] = (3.0, 0.0, 0.1)
    far = env.step(env.action_space.sample())[0]

    assert all(np.isfinite([box.low, box.high]).all() for box in space.values())
    assert far in space
    assert far["environment_state"][0] == 1.0


@pytest.mark.parametrize(
    ("options", "n_steps"),
    [({"time_limit_s": 0.2}, 6), ({"params": {"task": {"time_limit_s": 0.1}}}, 3), ({"max_episode_steps": 4}, 4)],
    ids=["keyword", "parameters", "Gymnasium's"],
)
def test_the_specs_limit_is_the_episodes(options: dict[str, Any], n_steps: int) -> None:
    env = gymnasium.make(ENV_ID, **options)
    ends = [step[3] for step in play(env, 0, n_steps)[1:]]

    assert env.spec is not None
    assert env.spec.max_episode_steps == n_steps
    assert ends == [False] * (n_steps - 1) + [True]


def test_a_limit_longer_than_the_parameters_is_the_specs_too() -> None:
    env = gymnasium.make(ENV_ID, time_limit_s=20)

    assert env.spec is not None
    assert env.spec.max_episode_steps == 600


def test_a_spec_can_be_kept_and_made_again() -> None:
    env = gymnasium.make(ENV_ID, reward="shaped", params={"physics": {"cube_mass_kg": (0.01, 0.03)}}, time_limit_s=0.2)
    assert env.spec is not None
    kept = [pickle.loads(pickle.dumps(env.spec)), type(env.spec).from_json(env.spec.to_json())]

    for spec in kept:
        again = gymnasium.make(spec)
        assert again.spec == env.spec or spec is kept[1]
        assert isinstance(again, TimeLimit)
        assert same(play(env, 1, 6), play(again, 1, 6))


def test_parameters_come_from_the_package_a_file_or_as_they_are(
    sim: SimParams, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (Path(__file__).parents[2] / "params.yaml").read_text()
    (tmp_path / "params.yaml").write_text(text.replace("time_limit_s: 10.0", "time_limit_s: 3.0"))
    monkeypatch.chdir(tmp_path)
    limits = [
        gymnasium.make(ENV_ID, **options).spec.max_episode_steps  # type: ignore[union-attr]
        for options in ({}, {"params": "params.yaml"}, {"params": sim})
    ]

    assert limits == [300, 90, 300]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"reward": "dense"}, r"gymnasium\.make\.reward is 'dense'; allowed are \['sparse', 'shaped'\]"),
        ({"time_limit_s": -1.0}, r"time_limit_s is -1\.0; it must be"),
        ({"params": {"tasks": {}}}, r"params has unknown keys \['tasks'\]; legal keys are"),
        ({"task": "juggle"}, r"the task is 'juggle'; there are \[.*'pick_place'"),
    ],
    ids=["reward", "limit", "parameter", "task"],
)
def test_an_argument_that_is_not_legal_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ParamsError, match=message):
        gymnasium.make(ENV_ID, **options)


def test_options_of_reset_and_wrong_actions_are_refused() -> None:
    env = gymnasium.make(ENV_ID)
    env.reset(seed=0, options={})

    with pytest.raises(ParamsError, match=r"reset was given the options \['cube'\]; there are none"):
        env.reset(options={"cube": (0.0, -0.2)})
    with pytest.raises(ObservationError, match=r"action has shape \(5,\); it must be \(6,\)"):
        env.step(np.zeros(5, np.float32))


@pytest.mark.usefixtures("rays")
def test_pictures_are_observations_where_cameras_are_asked_for() -> None:
    size = {"observation_width": 48, "observation_height": 36}
    one = gymnasium.make(ENV_ID, cameras="front", **size)
    two = gymnasium.make(ENV_ID, cameras=("front", "wrist"), **size)
    seen, both = one.reset(seed=5)[0], two.reset(seed=5)[0]

    assert seen in one.observation_space
    assert both in two.observation_space
    assert set(both) == {"agent_pos", "environment_state", "pixels/front", "pixels/wrist"}
    assert seen["pixels"].shape == (36, 48, 3)
    assert np.array_equal(seen["pixels"], both["pixels/front"])
    assert seen["pixels"].std() > 10
    with pytest.raises(SimulationError, match="no camera 'side'; it has: "):
        gymnasium.make(ENV_ID, cameras="side")


@pytest.mark.usefixtures("rays")
def test_rendering_changes_no_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(camera.Camera, "render", lambda *_: np.zeros((480, 640, 3), np.uint8))
    env = AddRenderObservation(gymnasium.make(ENV_ID, render_mode="rgb_array"), render_only=False)
    plain, rendered = play(gymnasium.make(ENV_ID), 2, 10), play(env, 2, 10)
    env.close()
    env.close()

    assert rendered[3][0].pop("pixels").shape == (480, 640, 3)
    assert same(rendered[3], plain[3])
    assert all(same(one[0]["agent_pos"], other[0]["agent_pos"]) for one, other in zip(plain, rendered, strict=True))


class Window:
    """Stands for the handle of MuJoCo's viewer."""

    def __init__(self, model: mujoco.MjModel, data: mujoco.MjData, **_: Any) -> None:
        self.data, self.cubes, self.open = data, [], True
        mujoco.mj_forward(model, data)  # as the viewer's launch does

    def is_running(self) -> bool:
        return self.open

    def sync(self) -> None:
        self.cubes.append(self.data.qpos[6:9].copy())

    def close(self) -> None:
        self.open = False


def test_a_human_sees_every_step_in_mujocos_viewer_which_changes_no_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    windows: list[Window] = []

    def launch(model: mujoco.MjModel, data: mujoco.MjData, **options: Any) -> Window:
        windows.append(Window(model, data, **options))
        return windows[0]

    monkeypatch.setattr(viewer, "window_fault", lambda: None)
    monkeypatch.setitem(sys.modules, "mujoco.viewer", SimpleNamespace(launch_passive=launch))
    monkeypatch.setattr(pictures.time, "sleep", lambda seconds: None)
    env = gymnasium.make(ENV_ID, render_mode="human")
    watched = play(env, 4, 8)
    shown = len(windows[0].cubes)
    windows[0].close()
    env.step(env.action_space.sample())
    env.close()

    assert shown == 9
    assert windows[0].cubes[0] == pytest.approx(watched[0][0]["environment_state"][:3])
    assert len(windows[0].cubes) == 9
    assert env.render() is None
    assert same(watched, play(gymnasium.make(ENV_ID), 4, 8))


def test_without_a_display_a_human_is_told_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    failed = subprocess.CompletedProcess([], 1, "X11: Failed to open display :9\n", "")
    monkeypatch.setattr(viewer.subprocess, "run", lambda *_, **__: failed)
    viewer.window_fault.cache_clear()

    with pytest.raises(
        SimulationError, match=r"no window can be opened here \(X11: Failed.*render_mode='rgb_array'.*RecordVideo"
    ):
        gymnasium.make(ENV_ID, render_mode="human")
    viewer.window_fault.cache_clear()


def test_features_keep_their_names() -> None:
    assert set(as_features({"agent_pos": 1, "environment_state": 2, "pixels": 3})) == {STATE, ENVIRONMENT_STATE, "pixels"}
