"""What is known of a table and the camera over it: a file that `soarm calibrate-table` writes and `soarm track` reads."""

from __future__ import annotations

import base64
import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from soarm import kinematics, params
from soarm.errors import CalibrationError, ParamsError
from soarm.quantities import Count, NotNegative, within
from soarm.smallfile import read_json, shown, write_atomically
from soarm.table_camera.colours import Colour
from soarm.table_camera.pinhole import Floats, Pinhole

Grey = NDArray[np.uint8]
MOST_ERROR_M = 0.005
"""A calibration whose touch test found a larger error than this is not used unless somebody insists [m]."""
_VERSION = 1
_MOST_BYTES = 8 << 20
_REMEDY = "`soarm calibrate-table` writes one"
_Slope = Annotated[float, within(least=-1, most=1)]


@dataclasses.dataclass(frozen=True)
class Plane:
    """How high the table is in the arm's own frame: `level + right x + back y + out r`, r from the shoulder's axis.

    A level table is at 0 and flat. Wrong zeros of lift, elbow and wrist raise or lower it with the radius.
    """

    level: _Slope
    right: _Slope
    back: _Slope
    out: _Slope

    def height_m(self, xy_m: ArrayLike) -> Floats:
        """Return how high the table is at places, shape (..., 2) -> (...) [m]."""
        return np.asarray(surface_terms(xy_m) @ np.array(dataclasses.astuple(self)))


def surface_terms(xy_m: ArrayLike) -> Floats:
    """Return what the coefficients of a `Plane` are multiplied with, shape (..., 2) -> (..., 4)."""
    xy = np.asarray(xy_m, np.float64)
    radius = np.linalg.norm(xy - kinematics.SHOULDER_XY_M, axis=-1)
    return np.stack([np.ones(xy.shape[:-1]), xy[..., 0], xy[..., 1], radius], axis=-1)


@dataclasses.dataclass(frozen=True)
class TouchTest:
    """How far off the camera was on spots that the calibration did not know.

    Attributes:
        n: How many.
        median_m: Of their errors [m].
        largest_m: Of the same [m].
    """

    n: Count
    median_m: NotNegative
    largest_m: NotNegative

    def words(self) -> str:
        """Say what was found."""
        return (
            f"touch test on {self.n} other spots: the camera is {1e3 * self.median_m:.1f} mm off in the median, "
            f"{1e3 * self.largest_m:.1f} mm at most"
        )


@dataclasses.dataclass(frozen=True)
class Table:
    """A table, the camera over it, and how well both are known.

    Attributes:
        camera: From picture to the arm's own frame.
        plane: Height of the table in that frame.
        colours: Of things whose colour was measured.
        test: What the touch test found.
        arm: Hash of the arm's calibration with which it was made.
        reference: What the camera saw, without what moved, shape (H, W), to notice when it is moved.
    """

    camera: Pinhole
    plane: Plane
    colours: Mapping[str, Colour]
    test: TouchTest
    arm: str
    reference: Grey

    def save(self, path: Path) -> None:
        """Write it as JSON: all of it, or nothing.

        Raises:
            CalibrationError: It cannot be written there.
        """
        _, png = cv2.imencode(".png", self.reference)
        content = {
            "version": _VERSION,
            "camera": dataclasses.asdict(self.camera),
            "plane": dataclasses.asdict(self.plane),
            "colours": {name: dataclasses.asdict(colour) for name, colour in self.colours.items()},
            "test": dataclasses.asdict(self.test),
            "arm": self.arm,
            "reference_png": base64.b64encode(png.tobytes()).decode("ascii"),
        }
        write_atomically(path, json.dumps(content, indent=2) + "\n", CalibrationError)

    @classmethod
    def load(cls, path: Path) -> Table:
        """Read what `save` wrote.

        Raises:
            CalibrationError: The file is missing, is not ours, or its numbers cannot be.
        """
        data = read_json(path, CalibrationError, _REMEDY, what="a table's calibration", most_bytes=_MOST_BYTES)
        if data.get("version") != _VERSION:
            raise CalibrationError(
                f"{path} is not a table's calibration: it is of version {shown(data.get('version'))}, this soarm reads "
                f"{_VERSION}. {_REMEDY}"
            )
        try:
            colours = data.get("colours")
            table = cls(
                params.build(Pinhole, data.get("camera"), "camera"),
                params.build(Plane, data.get("plane"), "plane"),
                {str(name): params.build(Colour, colour, f"colours.{name}") for name, colour in _object(colours).items()},
                params.build(TouchTest, data.get("test"), "test"),
                _text(data.get("arm"), "arm"),
                _decoded(data.get("reference_png")),
            )
        except ParamsError as error:
            raise CalibrationError(f"{path} is not a table's calibration: {error}. {_REMEDY}") from None
        size = table.camera.height_px, table.camera.width_px
        if table.reference.shape != size:
            raise CalibrationError(
                f"{path}: its reference picture is {table.reference.shape}, its camera's are {size}. {_REMEDY}"
            )
        return table


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ParamsError(f"colours is {shown(value)}; it must be an object")
    return value


def _text(value: Any, name: str) -> str:
    if not isinstance(value, str):
        raise ParamsError(f"{name} is {shown(value)}; it must be a text")
    return value


def _decoded(value: Any) -> Grey:
    try:
        content = base64.b64decode(_text(value, "reference_png"), validate=True)
        picture = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_GRAYSCALE) if content else None
    except (ValueError, cv2.error):
        picture = None
    if picture is None:
        raise ParamsError(f"reference_png is {shown(value)}; it must be a picture")
    return np.asarray(picture, np.uint8)
