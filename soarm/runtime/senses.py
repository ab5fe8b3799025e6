"""The sensors of a run, from what a person names: cameras, a file of objects, or places measured with a ruler."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from soarm.errors import ObservationError
from soarm.runtime.bundle import Bundle
from soarm.runtime.camera import open_camera
from soarm.runtime.eye import SeenObjects, load_eye
from soarm.runtime.fitting import Fitting
from soarm.runtime.picture_file import ENDING, PictureFile
from soarm.runtime.placed import sensor as sensor_of_objects
from soarm.runtime.sensors import Sensor
from soarm.spec import ENVIRONMENT_STATE, IMAGES, Feature

logger = logging.getLogger(__name__)
_LEAST_PX = (640, 480)
"""Width and height that a camera is asked for, where the policy does not want more: every USB camera has them."""


@contextlib.contextmanager
def opened(
    bundle: Bundle, file: Path | None = None, places: Sequence[str] = (), cameras: Sequence[str] = ()
) -> Iterator[dict[str, Sensor]]:
    """Open the sensors that a bundle's policy wants; feature key -> sensor.

    A bundle with an eye sees its objects, unless somebody tells them.

    Args:
        bundle: What is to drive.
        file: File of objects; see `soarm.runtime.placed`.
        places: In its place; the same.
        cameras: For each camera of the policy, its name and where its pictures come from, as in "front=0",
            "front=/dev/video0" or "front=rtsp://..." (OpenCV), or "front=pictures/front.ppm" (`soarm.runtime.picture_file`).

    Raises:
        ObservationError: A camera is missing or unknown, cannot be opened or shows nothing; or what is said of the objects is
            not enough.
    """
    devices = _read(cameras)
    is_seen = bool(bundle.eye_cameras) and ENVIRONMENT_STATE in bundle.spec.features and file is None and not places
    wanted = {**bundle.cameras, **(bundle.eye_cameras if is_seen else {})}
    _require(wanted, devices)
    with contextlib.ExitStack() as stack:
        sensors: dict[str, Sensor] = {}
        for name, feature in wanted.items():
            sensors[f"{IMAGES}.{name}"] = stack.enter_context(open_one(name, devices[name], feature))
        if is_seen:
            cameras_of_eye = {key: sensors[key] for key in (f"{IMAGES}.{name}" for name in bundle.eye_cameras)}
            sensors[ENVIRONMENT_STATE] = SeenObjects(bundle.task, load_eye(bundle), cameras_of_eye)
        elif ENVIRONMENT_STATE in bundle.spec.features or file is not None or places:
            sensors[ENVIRONMENT_STATE] = sensor_of_objects(bundle.task, file, places)
        yield sensors


def _read(cameras: Sequence[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for text in cameras:
        name, is_one, device = text.partition("=")
        if not (is_one and name and device):
            raise ObservationError(f"--camera {text!r} is no camera; write it as in front=0 or front=pictures/front{ENDING}")
        if name in found:
            raise ObservationError(f"--camera {name} is given twice, as {found[name]} and {device}")
        found[name] = device
    return found


def _require(wanted: Mapping[str, Feature], devices: Mapping[str, str]) -> None:
    missing, unknown = [name for name in wanted if name not in devices], [name for name in devices if name not in wanted]
    if not missing and not unknown:
        return
    looks = f"looks through {' and '.join(wanted)}" if wanted else "looks through no camera"
    faults = [f"the camera {name} is missing" for name in missing] + [f"it has no camera {name}" for name in unknown]
    say = " ".join(f"--camera {name}=DEVICE" for name in wanted)
    raise ObservationError(
        f"the policy {looks}: {', '.join(faults)}; give {say or 'no --camera'}"
        + (f". DEVICE is a number, path or address of OpenCV, or a file {ENDING} that is kept fresh" if say else "")
    )


@contextlib.contextmanager
def open_one(name: str, device: str, wanted: Feature) -> Iterator[Sensor]:
    """Open a camera, wait for its first picture, and say what becomes of its pictures.

    Args:
        name: Of the camera, for messages.
        device: Where its pictures come from, as in `opened`.
        wanted: What its pictures are made.

    Raises:
        ObservationError: It cannot be opened, or shows nothing.
    """
    height_px, width_px, _ = wanted.shape
    if Path(device).suffix == ENDING:
        fit = Fitting(name, wanted)
        file = PictureFile(Path(device), name, fit)
        file.read()
        logger.info("%s", fit.words())
        yield file
        return
    size_px = max(width_px, _LEAST_PX[0]), max(height_px, _LEAST_PX[1])
    with open_camera(int(device) if device.isdigit() else device, *size_px, name, wanted) as camera:
        camera.latest()
        logger.info("%s", camera.words())
        yield camera
