"""How much pictures differ from episode to episode: the ranges of `sim.look`. All of them are neutral by default."""

from __future__ import annotations

import dataclasses
from typing import Annotated

from soarm.quantities import LOW_HIGH, Share, within

_Shift = Annotated[float, within(least=0, most=0.5)]
_Turn = Annotated[float, within(least=0, most=180)]
_Widening = Annotated[float, within(least=0, most=45)]
_Factor = Annotated[float, within(above=0, most=10)]
FactorRange = Annotated[tuple[_Factor, _Factor], LOW_HIGH]
"""A factor drawn uniformly per episode from [low, high]; [1, 1] changes nothing."""
_Grey = Annotated[float, within(least=0, most=255)]
_Blur = Annotated[float, within(least=0, most=20)]
_Late = Annotated[int, within(least=0, most=100)]


@dataclasses.dataclass(frozen=True)
class CameraSpread:
    """How far each camera is from where it should be; every number is drawn between minus and plus the value.

    Attributes:
        position_m: Along each axis of the body that the camera is on [m].
        turn_deg: About each of the camera's own axes [deg].
        fovy_deg: Vertical field of view [deg].
    """

    position_m: _Shift
    turn_deg: _Turn
    fovy_deg: _Widening


@dataclasses.dataclass(frozen=True)
class LightSpread:
    """How the scene is lit.

    Attributes:
        brightness: Factor of all lights.
        ambient: Factor of the light that comes from everywhere.
        turn_deg: Turn of all lights about the world's x and y axis, between minus and plus this [deg].
    """

    brightness: FactorRange
    ambient: FactorRange
    turn_deg: _Turn


@dataclasses.dataclass(frozen=True)
class ColourSpread:
    """Colours around the scene's own. The goal is where the cube belongs: bin, square, base cube.

    Attributes:
        cube_hue_deg: Turn of the cube's hue, between minus and plus this [deg].
        cube_brightness: Factor of the cube's colour.
        goal_hue_deg: Turn of the goal's hue [deg].
        goal_brightness: Factor of the goal's colour.
        arm_hue_deg: Turn of the arm's hues, all of them alike [deg].
        arm_brightness: Factor of the arm's colours.
        table_tint: Red, green and blue of the table, which is grey and has no hue to turn, each by 1 minus to 1 plus this.
        table_brightness: Factor of the table's colours.
    """

    cube_hue_deg: _Turn
    cube_brightness: FactorRange
    goal_hue_deg: _Turn
    goal_brightness: FactorRange
    arm_hue_deg: _Turn
    arm_brightness: FactorRange
    table_tint: Share
    table_brightness: FactorRange


@dataclasses.dataclass(frozen=True)
class BackgroundParams:
    """What takes the place of table and sky; each picture is drawn twice where it is asked for.

    Attributes:
        share: Share of the episodes in which it does.
        photos: Folder of JPEG and PNG files, of which one is drawn; None makes patches of random colours.
    """

    share: Share
    photos: str | None


@dataclasses.dataclass(frozen=True)
class PictureSpread:
    """What camera and computer do to a picture.

    Attributes:
        blur_px: Standard deviation of a Gaussian blur [px].
        brightness: Factor of the grey levels.
        contrast: Factor of their distance from the middle, 127.5.
        noise: Standard deviation of Gaussian noise on every number of every picture [grey levels, 0 to 255].
        latency_steps: How many control steps old a picture is when the policy sees it.
    """

    blur_px: Annotated[tuple[_Blur, _Blur], LOW_HIGH]
    brightness: FactorRange
    contrast: FactorRange
    noise: Annotated[tuple[_Grey, _Grey], LOW_HIGH]
    latency_steps: Annotated[tuple[_Late, _Late], LOW_HIGH]


@dataclasses.dataclass(frozen=True)
class LookParams:
    """How much pictures differ from episode to episode; drawn with the scene's seed (`soarm.sim.look.draw_look`).

    Attributes:
        camera: Where the cameras are.
        light: How the scene is lit.
        colours: Of cube, goal, arm and table.
        background: What is behind them.
        picture: What is done to the picture.
    """

    camera: CameraSpread
    light: LightSpread
    colours: ColourSpread
    background: BackgroundParams
    picture: PictureSpread
