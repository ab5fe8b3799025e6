"""The camera: every backend that works here, and the rays, which work everywhere."""

from __future__ import annotations

import subprocess
from pathlib import Path

import mujoco
import numpy as np
import pytest

from soarm.errors import SimulationError
from soarm.sim import camera
from soarm.sim.batch_env import BatchSim
from soarm.sim.camera import Backend, Camera, find_fault
from soarm.sim.draw import draw_scene
from soarm.sim.params import SimParams
from soarm.sim.physics import SceneWriter
from soarm.sim.scene import build_model

BACKENDS: tuple[Backend, ...] = ("egl", "osmesa", "ray")
BLUE_CUBE, GREEN_BIN, ORANGE_ARM = 2, 1, 0


@pytest.fixture(scope="module")
def model(sim: SimParams) -> mujoco.MjModel:
    """Return the compiled scene."""
    return build_model(sim)


@pytest.fixture(scope="module")
def data(sim: SimParams, model: mujoco.MjModel) -> mujoco.MjData:
    """Return a start state in which the front camera sees arm, cube and bin."""
    state = mujoco.MjData(model)
    SceneWriter(model, sim).write_state(state, draw_scene(sim, 5))
    mujoco.mj_forward(model, state)
    return state


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> Backend:
    """Return each backend that works here."""
    chosen: Backend = request.param
    fault = find_fault(chosen)
    if fault is not None:
        pytest.skip(f"{chosen}: {fault}")
    return chosen


@pytest.fixture
def no_opengl(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every trial of OpenGL fail, as on a machine without its libraries."""

    def fail(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(command, 1, "", "Traceback ...\nImportError: no library here\n")

    monkeypatch.setattr(subprocess, "run", fail)
    monkeypatch.delenv("PYOPENGL_PLATFORM", raising=False)
    monkeypatch.setattr(camera, "find_fault", find_fault.__wrapped__)  # what is cached is of this machine


def picture(
    model: mujoco.MjModel, data: mujoco.MjData, backend: Backend, name: str = "front", shadows: bool = False
) -> np.ndarray:
    with Camera(model, name, width_px=96, height_px=72, backend=backend, shadows=shadows) as made:
        return made.render(data)


def coloured(image: np.ndarray, channel: int) -> np.ndarray:
    """Return where `channel` clearly is the strongest, shape (H, W)."""
    others = np.delete(image.astype(int), channel, axis=2).max(axis=2)
    strongest: np.ndarray = image[:, :, channel] > others + 30
    return strongest


def test_the_front_camera_sees_arm_cube_and_bin(model: mujoco.MjModel, data: mujoco.MjData, backend: Backend) -> None:
    image = picture(model, data, backend)

    assert image.shape == (72, 96, 3)
    assert image.dtype == np.uint8
    assert coloured(image, ORANGE_ARM).sum() > 200
    assert coloured(image, BLUE_CUBE).sum() > 10
    assert coloured(image, GREEN_BIN).sum() > 100


@pytest.mark.parametrize("name", ["top", "wrist"])
def test_the_other_cameras_see_something_too(model: mujoco.MjModel, data: mujoco.MjData, name: str) -> None:
    image = picture(model, data, "ray", name)

    assert coloured(image, ORANGE_ARM).sum() > 200


def test_the_same_scene_gives_the_same_picture(model: mujoco.MjModel, data: mujoco.MjData, backend: Backend) -> None:
    first = picture(model, data, backend, shadows=True)
    with Camera(model, width_px=96, height_px=72, backend=backend, shadows=True) as made:
        elsewhere = mujoco.MjData(model)
        mujoco.mj_forward(model, elsewhere)
        other = made.render(elsewhere)
        again = made.render(data)

    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_rays_and_opengl_see_the_same_shapes(model: mujoco.MjModel, data: mujoco.MjData, backend: Backend) -> None:
    with_rays, with_gl = picture(model, data, "ray"), picture(model, data, backend)

    differs = np.abs(with_rays.astype(int) - with_gl).max(axis=2) > 60
    assert differs.mean() < 0.05  # edges, which OpenGL smooths


def test_shadows_darken(model: mujoco.MjModel, data: mujoco.MjData, backend: Backend) -> None:
    without, with_them = (picture(model, data, backend, shadows=shadows).mean() for shadows in (False, True))

    assert with_them < without - 1.0


def test_two_cameras_do_not_disturb_each_other(model: mujoco.MjModel, data: mujoco.MjData, backend: Backend) -> None:
    front, top = picture(model, data, backend), picture(model, data, backend, "top")
    with (
        Camera(model, "front", width_px=96, height_px=72, backend=backend) as first,
        Camera(model, "top", width_px=96, height_px=72, backend=backend) as second,
    ):
        pictures = [first.render(data), second.render(data), first.render(data)]

    np.testing.assert_array_equal(pictures, [front, top, front])


def test_rows_of_a_batch_can_be_seen(sim: SimParams, model: mujoco.MjModel, data: mujoco.MjData) -> None:
    env = BatchSim(sim, 2)
    env.reset(np.arange(2), [4, 5])
    seen, snapshot = env.snapshot(1)
    with Camera(seen, width_px=96, height_px=72, backend="ray") as made:
        image = made.render(snapshot)

    np.testing.assert_array_equal(image, picture(model, data, "ray"))


@pytest.mark.usefixtures("no_opengl")
def test_without_opengl_rays_are_taken(model: mujoco.MjModel) -> None:
    with Camera(model, width_px=8, height_px=8) as made:
        assert made.backend == "ray"


@pytest.mark.usefixtures("no_opengl")
@pytest.mark.parametrize(("backend", "package"), [("egl", "libegl1"), ("osmesa", "libosmesa6")])
def test_a_missing_backend_names_what_to_install(model: mujoco.MjModel, backend: Backend, package: str) -> None:
    with pytest.raises(
        SimulationError, match=rf"'{backend}' does not work here \(ImportError: no library here\); .*{package}"
    ):
        Camera(model, width_px=8, height_px=8, backend=backend)


def test_an_unknown_camera_is_refused_with_the_names_there_are(model: mujoco.MjModel) -> None:
    with pytest.raises(SimulationError, match=r"no camera 'side'; it has: .*front.*wrist|wrist.*front"):
        Camera(model, "side", width_px=8, height_px=8, backend="ray")


def test_a_picture_larger_than_the_buffer_is_refused(model: mujoco.MjModel) -> None:
    with pytest.raises(SimulationError, match="5000 x 10 px is asked; the scene allows 1 x 1 to 1280 x 960 px"):
        Camera(model, width_px=5000, height_px=10, backend="ray")


def test_a_closed_camera_says_so(model: mujoco.MjModel, data: mujoco.MjData, backend: Backend) -> None:
    made = Camera(model, width_px=8, height_px=8, backend=backend)
    made.close()
    made.close()

    with pytest.raises(SimulationError, match="closed"):
        made.render(data)


def test_no_file_sets_the_variable_that_breaks_the_import_of_mujoco() -> None:
    sources = (Path(camera.__file__).parents[1]).rglob("*.py")

    assert not [path.name for path in sources if 'environ["MUJOCO_GL"]' in path.read_text(encoding="utf-8")]
