"""The pictures that policies see."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

from soarm import params as params_file
from soarm.errors import ParamsError, SimulationError
from soarm.params import changed
from soarm.sim.batch_env import BatchSim
from soarm.sim.camera import Backend, Camera
from soarm.sim.cameras import Pictures, PolicyCameras
from soarm.sim.params import SimParams
from soarm.spec import IMAGES, STATE, Feature

FRONT, WRIST = f"{IMAGES}.front", f"{IMAGES}.wrist"
ASKED = {"width_px": 48, "height_px": 32, "supersample": 1, "position_m": None, "target_m": None, "fovy_deg": None}


def seeing(sim: SimParams, **cameras: dict[str, Any]) -> SimParams:
    """Return the simulator with cameras, each asked for with what differs from `ASKED`."""
    return changed(sim, {"cameras": {name: {**ASKED, **own} for name, own in cameras.items()}}, "sim")


@pytest.fixture(scope="module")
def two(sim: SimParams) -> SimParams:
    """Return the simulator with two cameras of different sizes."""
    return seeing(sim, front={}, wrist={"width_px": 32})


@pytest.fixture(scope="module")
def states(sim: SimParams) -> tuple[np.ndarray, np.ndarray]:
    """Return positions of three start states, (3, nq), and of their mocap bodies, (3, nmocap, 3)."""
    env = BatchSim(sim, 3)
    env.reset(np.arange(3), [4, 5, 6])
    copies = [(found.qpos.copy(), found.mocap_pos.copy()) for found in (env.snapshot(row)[1] for row in range(3))]
    return np.stack([qpos for qpos, _ in copies]), np.stack([mocap for _, mocap in copies])


@pytest.fixture(scope="module")
def cameras(two: SimParams, backend: Backend) -> PolicyCameras:
    """Return what draws them."""
    return PolicyCameras(two, backend)


def same(one: Pictures, other: Pictures) -> bool:
    return one.keys() == other.keys() and all(np.array_equal(one[name], other[name]) for name in one)


def test_cameras_see_the_scene_at_their_own_sizes(cameras: PolicyCameras, states: Any) -> None:
    seen = cameras.render_rows(*states)

    assert {name: pictures.shape for name, pictures in seen.items()} == {"front": (3, 32, 48, 3), "wrist": (3, 32, 32, 3)}
    assert all(picture.dtype == np.uint8 and picture.std() > 20 for pictures in seen.values() for picture in pictures)
    assert (seen["front"][0] != seen["front"][1]).any()


def test_a_picture_does_not_depend_on_what_was_drawn_before(cameras: PolicyCameras, states: Any) -> None:
    rows = cameras.render_rows(*states)
    alone = cameras.render(states[0][1], states[1][1])

    assert same(alone, {name: pictures[1] for name, pictures in rows.items()})


def test_a_picture_is_that_of_a_film_but_for_its_edges(sim: SimParams, cameras: PolicyCameras, backend: Backend) -> None:
    env = BatchSim(sim, 1)
    env.reset(np.arange(1), [5])
    model, data = env.snapshot(0)
    seen = cameras.render(data.qpos, data.mocap_pos)
    with Camera(model, "front", width_px=48, height_px=32, backend=backend) as of_films:
        film = of_films.render(data)

    assert (np.abs(seen["front"].astype(int) - film).max(axis=2) > 60).mean() < 0.1


def test_any_thread_may_draw_and_renderers_do_not_disturb_each_other(
    sim: SimParams, cameras: PolicyCameras, states: Any, backend: Backend
) -> None:
    second = PolicyCameras(seeing(sim, top={}), backend)
    expected, of_the_top = cameras.render_rows(*states), second.render_rows(*states)
    found: list[Pictures] = []

    def draw() -> None:
        for _ in range(2):
            found.extend([cameras.render_rows(*states), second.render_rows(*states)])

    threads = [threading.Thread(target=draw) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(found) == 8
    assert all(same(seen, of_the_top if "top" in seen else expected) for seen in found)


def test_a_renderer_that_is_collected_or_closed_leaves_the_others_their_pictures(
    two: SimParams, cameras: PolicyCameras, states: Any, backend: Backend
) -> None:
    expected, closed, collected = cameras.render_rows(*states), PolicyCameras(two, backend), PolicyCameras(two, backend)
    assert same(closed.render_rows(*states), expected)
    assert same(collected.render_rows(*states), expected)
    del collected  # nothing else holds it: what OpenGL held is freed here
    assert same(cameras.render_rows(*states), expected)
    closed.close()
    closed.close()
    assert same(cameras.render_rows(*states), expected)
    assert same(closed.render_rows(*states), expected)


def test_supersampling_averages_a_larger_picture(sim: SimParams, states: Any) -> None:
    large, averaged = (
        PolicyCameras(seeing(sim, front=how), "ray").render_rows(*states)["front"]
        for how in ({"width_px": 96, "height_px": 64}, {"supersample": 2})
    )
    means = large.reshape(3, 32, 2, 48, 2, 3).mean(axis=(2, 4))

    assert np.abs(averaged - means).max() <= 0.5


def test_a_moved_camera_sees_something_else(sim: SimParams, states: Any) -> None:
    own = {"position_m": [0.0, -0.60, 0.46], "target_m": [0.0, -0.185, 0.0]}
    plain, moved, narrow = (
        PolicyCameras(seeing(sim, front=how), "ray").render_rows(*states)["front"] for how in ({}, own, {"fovy_deg": 20.0})
    )

    assert (plain != moved).mean() > 0.1
    assert (plain != narrow).mean() > 0.1


@pytest.mark.usefixtures("rays")
def test_the_batch_observes_pictures_of_the_state_it_is_in(two: SimParams) -> None:
    env = BatchSim(two, 3)
    rows = np.arange(3)
    observation = env.reset(rows, [7, 8, 9])
    later = env.step(observation[STATE][[2, 0]] + np.float32(20.0), rows[[2, 0]]).observation
    _, data = env.snapshot(2)
    expected = PolicyCameras(two).render(data.qpos, data.mocap_pos)

    assert env.features[FRONT] == Feature.image(32, 48)
    assert {key: value.shape[1:] for key, value in observation.items()} == {
        key: feature.shape for key, feature in env.features.items() if key != "action"
    }
    assert np.array_equal(later[FRONT][0], expected["front"])
    assert np.array_equal(later[WRIST][0], expected["wrist"])
    assert (later[FRONT][0] != observation[FRONT][2]).any()


@pytest.mark.usefixtures("rays")
def test_cameras_change_no_number_of_an_episode(sim: SimParams, two: SimParams) -> None:
    def play(params: SimParams) -> list[Any]:
        env, rows = BatchSim(params, 2), np.arange(2)
        first = env.reset(rows, [1, 2])
        steps = [env.step(first[STATE] + np.float32(k), rows) for k in range(3)]
        return [{k: v for k, v in seen.items() if "images" not in k} for seen in (first, *(s.observation for s in steps))]

    np.testing.assert_equal(play(sim), play(two))
    assert set(BatchSim(sim, 1).features) == {STATE, "observation.environment_state", "action"}


def test_a_camera_that_the_scene_does_not_have_is_refused(sim: SimParams) -> None:
    with pytest.raises(SimulationError, match=r"no camera 'side'; it has: .*front"):
        BatchSim(seeing(sim, side={}), 1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"width_px": 1281}, "width_px is 1281; it must be at least 1 and at most 1280"),
        ({"supersample": 0}, "supersample is 0; it must be at least 1 and at most 8"),
        ({"width_px": 1280, "supersample": 4}, "supersample is 4, so that 5120 x 128 px would be drawn; .* at most 4096 px"),
        ({"target_m": [0.0, 0.0, 0.0]}, "position_m and target_m must be given together"),
        ({"position_m": [0.0, 0.0, 1.0], "target_m": [0.0, 0.0, 0.0]}, "x or y must differ"),
        ({"fovy_deg": 0.0}, "fovy_deg is 0.0; it must be at least 1 and at most 170; or null"),
        ({"height": 3}, "unknown keys .*'height'"),
    ],
)
def test_a_camera_that_cannot_be_is_refused(sim: SimParams, change: dict[str, Any], message: str) -> None:
    with pytest.raises(ParamsError, match=message):
        seeing(sim, front=change)


def test_a_profile_may_name_cameras_where_the_base_has_none(tmp_path: Any) -> None:
    text = params_file.packaged().read_text(encoding="utf-8").replace("profile: default", "profile: sighted")
    lines = ", ".join(f"{key}: {'null' if value is None else value}" for key, value in ASKED.items())
    path = tmp_path / "params.yaml"
    path.write_text(text + f"\nsighted:\n  sim:\n    cameras: {{front: {{{lines}}}}}\n", encoding="utf-8")

    assert params_file.load(path).section("sim", SimParams).cameras["front"].width_px == 48
