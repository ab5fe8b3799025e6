"""How the cameras were mounted through which a policy was trained: a file of the bundle, for whoever mounts them on an arm."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

from soarm.errors import SmallFileError
from soarm.smallfile import parse_json, shown
from soarm.spec import Feature

_MOST_PX = 10_000
_MOST_M, _MOST_DEG = 10.0, 180.0


@dataclasses.dataclass(frozen=True)
class MountedCamera:
    """A camera of the training.

    Attributes:
        width_px: Width of its pictures.
        height_px: Height of the same.
        supersample: They were drawn this many times as wide and high, and averaged.
        body: What it is mounted on: `world` (the base's frame) or a part of the arm.
        position_m: Where, in the frame of that body, shape (3,) [m].
        direction: Where it looks, in the same frame, shape (3,) of length 1.
        fovy_deg: Vertical field of view [deg].
    """

    width_px: int
    height_px: int
    supersample: int
    body: str
    position_m: tuple[float, ...]
    direction: tuple[float, ...]
    fovy_deg: float

    @property
    def feature(self) -> Feature:
        """Its pictures as a policy sees them."""
        return Feature.image(self.height_px, self.width_px)

    def words(self) -> str:
        """Say how it is mounted."""
        at, to = (", ".join(f"{x:.3f}" for x in one) for one in (self.position_m, self.direction))
        return (
            f"{self.width_px} x {self.height_px} px, on {self.body} at ({at}) m, looking along ({to}), "
            f"{self.fovy_deg:.0f} deg of view from top to bottom"
        )


@dataclasses.dataclass(frozen=True)
class Mounting:
    """All cameras of the training.

    Attributes:
        cameras: Name -> how it was mounted.
        look: Ranges in which pictures differed from episode to episode (`sim.look` of params.yaml), as they were written.
    """

    cameras: Mapping[str, MountedCamera]
    look: Mapping[str, Any]

    def to_json(self) -> str:
        """Return the file's text."""
        cameras = {name: dataclasses.asdict(camera) for name, camera in self.cameras.items()}
        return json.dumps({"cameras": cameras, "look": dict(self.look)}, indent=2) + "\n"

    @classmethod
    def from_json(cls, content: bytes | str) -> Mounting:
        """Read the file's content.

        Raises:
            SmallFileError: It is not this; lists every fault.
        """
        data = parse_json(content)
        cameras, look = data.get("cameras"), data.get("look")
        if set(data) != {"cameras", "look"} or not isinstance(cameras, dict) or not isinstance(look, dict):
            raise SmallFileError(
                f"does not describe cameras: it is {shown(data)}, and must have cameras and look, two objects"
            )
        faults = [f"camera {shown(name)}: {fault}" for name, one in cameras.items() for fault in _faults(one)]
        if faults:
            raise SmallFileError("does not describe cameras: " + "; ".join(faults))
        made = {name: MountedCamera(**{key: _plain(value) for key, value in one.items()}) for name, one in cameras.items()}
        return cls(made, look)


def _faults(one: Any) -> list[str]:
    names = {field.name for field in dataclasses.fields(MountedCamera)}
    if not isinstance(one, dict) or set(one) != names:
        return [f"it is {shown(one)}; it must be an object with {', '.join(sorted(names))}"]
    faults = []
    for name in ("width_px", "height_px", "supersample"):
        if type(one[name]) is not int or not 1 <= one[name] <= _MOST_PX:
            faults.append(f"{name} is {shown(one[name])}; it must be a whole number in 1..{_MOST_PX}")
    for name in ("position_m", "direction"):
        if not isinstance(one[name], list) or len(one[name]) != 3 or not all(_within(x, _MOST_M) for x in one[name]):
            faults.append(f"{name} is {shown(one[name])}; it must be three numbers in -{_MOST_M:g}..{_MOST_M:g}")
    if not _within(one["fovy_deg"], _MOST_DEG):
        faults.append(f"fovy_deg is {shown(one['fovy_deg'])}; it must be an angle of at most {_MOST_DEG:g}")
    if not isinstance(one["body"], str):
        faults.append(f"body is {shown(one['body'])}; it must be a text")
    return faults


def _within(value: Any, most: float) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and -most <= value <= most


def _plain(value: Any) -> Any:
    return tuple(map(float, value)) if isinstance(value, list) else value
