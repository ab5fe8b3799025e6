"""What differs between the pictures of two episodes: drawn with the scene's seed, and every range is seen."""

from __future__ import annotations

import dataclasses
import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from soarm.errors import SimulationError
from soarm.params import changed
from soarm.sim.batch_env import BatchSim
from soarm.sim.camera import Backend
from soarm.sim.cameras import Pictures, PolicyCameras
from soarm.sim.draw import draw_scene
from soarm.sim.env import SimEnv
from soarm.sim.look import Look, draw_look
from soarm.sim.params import SimParams
from soarm.spec import IMAGES, STATE

CAMERA = {"width_px": 48, "height_px": 32, "supersample": 1, "position_m": None, "target_m": None, "fovy_deg": None}
WIDE: dict[str, dict[str, Any]] = runpy.run_path(str(Path(__file__).parents[2] / "docs" / "looks.py"))["WIDE"]
RANGES = {f"{group}.{name}": value for group, ranges in WIDE.items() for name, value in ranges.items()} | {
    "background.share": 1.0
}
"""Path in `sim.look` -> a range that must be seen: those of the picture in the docs, and a background in every episode."""


def spread(sim: SimParams, ranges: dict[str, Any]) -> SimParams:
    """Return the simulator with two cameras and some ranges, each named by its path in `sim.look`."""
    look: dict[str, dict[str, Any]] = {}
    for path, value in ranges.items():
        group, name = path.split(".")
        look.setdefault(group, {})[name] = value
    return changed(sim, {"cameras": {"front": CAMERA, "wrist": {**CAMERA, "width_px": 32}}, "look": look}, "sim")


@pytest.fixture(scope="module")
def state(sim: SimParams) -> tuple[np.ndarray, np.ndarray]:
    """Return positions of a start state, and of its mocap bodies."""
    env = BatchSim(sim, 1)
    env.reset(np.arange(1), [5])
    _, data = env.snapshot(0)
    return data.qpos.copy(), data.mocap_pos.copy()


@pytest.fixture(scope="module")
def cameras(backend: Backend, sim: SimParams) -> Iterator[PolicyCameras]:
    """Return what draws, by each backend that works here."""
    made = PolicyCameras(spread(sim, {}), backend)
    yield made
    made.close()


def differs(one: Pictures, other: Pictures) -> bool:
    return any((one[name] != other[name]).any() for name in one)


@pytest.mark.parametrize("path", RANGES)
def test_every_range_is_seen_and_the_same_seed_gives_the_same_bytes(
    sim: SimParams, cameras: PolicyCameras, state: Any, path: str
) -> None:
    params = spread(sim, {path: RANGES[path]})
    plain, first, second = cameras.render(*state), *(cameras.render(*state, draw_look(params, seed)) for seed in (1, 2))
    again, after = cameras.render(*state, draw_look(params, 1)), cameras.render(*state)

    assert differs(plain, first)
    assert differs(first, second)
    assert not differs(first, again)
    assert not differs(plain, after)


def test_no_range_is_forgotten(sim: SimParams) -> None:
    paths = {f"{group}.{field.name}" for group, ranges in vars(sim.look).items() for field in dataclasses.fields(ranges)}

    assert paths == {*RANGES, "background.photos", "picture.latency_steps"}


def test_a_neutral_look_gives_the_bytes_of_none(sim: SimParams, cameras: PolicyCameras, state: Any) -> None:
    neutral = draw_look(spread(sim, {}), 3)

    assert neutral.is_neutral
    assert not draw_look(spread(sim, {"camera.turn_deg": 1.0}), 3).is_neutral
    assert not differs(cameras.render(*state, neutral), cameras.render(*state))
    assert not differs(cameras.render(*state, Look()), cameras.render(*state))


def test_rows_with_other_looks_do_not_disturb_each_other(sim: SimParams, cameras: PolicyCameras, state: Any) -> None:
    looks = [draw_look(spread(sim, RANGES), 1), None, draw_look(spread(sim, RANGES), 2)]
    alone = [cameras.render(*state, look, step=4) for look in looks]
    rows = cameras.render_rows(np.stack([state[0]] * 3), np.stack([state[1]] * 3), looks, [4] * 3)

    assert all(not differs(one, {name: seen[i] for name, seen in rows.items()}) for i, one in enumerate(alone))
    assert differs(alone[0], alone[2])


def test_noise_is_new_at_every_step(sim: SimParams, cameras: PolicyCameras, state: Any) -> None:
    look = draw_look(spread(sim, {"picture.noise": [5.0, 5.0]}), 1)
    first, second = (cameras.render(*state, look, step=step)["front"].astype(float) for step in (1, 2))

    assert 5.0 * 0.8 < (first - second)[:16].std() / np.sqrt(2) < 5.0 * 1.2


def test_a_background_takes_the_place_of_table_and_sky_alone(sim: SimParams, cameras: PolicyCameras, state: Any) -> None:
    plain, other = (
        cameras.render(*state, look)["front"].astype(int)
        for look in (None, draw_look(spread(sim, {"background.share": 1.0}), 1))
    )
    colourful = plain.max(axis=2) - plain.min(axis=2) > 60  # cube, bin and arm; table and sky are grey

    assert colourful.mean() > 0.05
    assert (plain == other).all(axis=2)[colourful].mean() > 0.95
    assert (plain != other).any(axis=2)[~colourful].mean() > 0.8


def test_a_photo_is_seen_behind_the_things(sim: SimParams, state: Any, tmp_path: Path) -> None:
    Image.new("RGB", (200, 100), (255, 0, 255)).save(tmp_path / "wall.png")
    params = spread(sim, {"background.share": 1.0, "background.photos": str(tmp_path)})
    seen = PolicyCameras(params, "ray").render(*state, draw_look(params, 1))["front"]

    assert (seen == (255, 0, 255)).all(axis=2).mean() > 0.3


@pytest.mark.parametrize(("name", "message"), [("absent", "is no folder"), (".", "holds no .jpg, .jpeg or .png")])
def test_a_folder_without_photos_is_refused(sim: SimParams, tmp_path: Path, name: str, message: str) -> None:
    with pytest.raises(SimulationError, match=rf"sim\.look\.background\.photos is .*{message}; name a folder"):
        PolicyCameras(spread(sim, {"background.photos": str(tmp_path / name)}))


def test_what_is_no_photo_is_refused_by_its_name(sim: SimParams, state: Any, tmp_path: Path) -> None:
    (tmp_path / "torn.jpg").write_bytes(b"no picture")
    params = spread(sim, {"background.share": 1.0, "background.photos": str(tmp_path)})

    with pytest.raises(SimulationError, match=r"torn\.jpg cannot be read as a photo"):
        PolicyCameras(params, "ray").render(*state, draw_look(params, 1))


def test_a_look_leaves_the_scene_and_the_other_ranges_as_they_are(sim: SimParams) -> None:
    narrow, wide = (spread(sim, {"camera.turn_deg": turn, "light.brightness": [0.5, 1.5]}) for turn in (0.0, 5.0))

    assert draw_look(narrow, 7).light == draw_look(wide, 7).light
    assert np.array_equal(draw_scene(sim, 7).qpos, draw_scene(wide, 7).qpos)


@pytest.mark.usefixtures("rays")
def test_late_pictures_are_those_of_a_step_before(sim: SimParams) -> None:
    def play(ranges: dict[str, Any], rows: np.ndarray) -> list[np.ndarray]:
        env = BatchSim(spread(sim, ranges), len(rows))
        start = env.reset(rows, range(3, 3 + len(rows)))
        move = start[STATE] + np.float32(15.0)
        return [start[f"{IMAGES}.front"], *(env.step(move, rows).observation[f"{IMAGES}.front"] for _ in range(4))]

    rows = np.arange(2)
    prompt, late = play({}, rows), play({"picture.latency_steps": [2, 2]}, rows)

    np.testing.assert_array_equal(late, [prompt[max(0, step - 2)] for step in range(5)])
    assert (prompt[0] != prompt[4]).any()


@pytest.mark.usefixtures("rays")
def test_single_and_batched_episodes_see_the_same(sim: SimParams) -> None:
    params = spread(sim, {**RANGES, "picture.latency_steps": [0, 2]})
    batch, single, rows = BatchSim(params, 3), SimEnv(params), np.arange(3)
    several = batch.reset(rows, [1, 2, 3])
    one, _ = single.reset(seed=3)
    for _ in range(3):
        np.testing.assert_equal({key: values[2] for key, values in several.items()}, one)
        move = one[STATE] + np.float32(10.0)
        several, one = batch.step(np.stack([move] * 3), rows).observation, single.step(move)[0]
    batch.close()
    single.close()
