"""What a window shows of lanes: arms beside each other or one as a ghost, the residual on each, and lines of text.

The first lane's state is the viewer's own; the others are drawn into its scene. Knows no window: it fills a scene and returns
texts.
"""

from __future__ import annotations

from collections.abc import Sequence

import mujoco
import numpy as np
from numpy.typing import NDArray

from soarm import arm
from soarm.viewer import Snapshot, Text
from soarm.window.dials import THICKNESS_M, ArcPiece, dials
from soarm.window.lane import Lane

APART_M = 0.62
"""From one arm to the next, where they stand beside each other [m]."""
GHOST_ALPHA = 0.35
_LABEL_M = np.array([0.0, 0.09, 0.33])
"""Where an arm's name is written, from its base [m]."""
_WHITE = np.array([1.0, 1.0, 1.0, 1.0])
_IDENTITY = np.eye(3).ravel()
_CORNERS = mujoco.mjtGridPos


class Picture:
    """The picture of some lanes on one scene.

    Args:
        first: The state that the viewer shows, and its model with visuals; the first lane is brought there.
        lanes: At least one, of this model's task.
        ghost: Whether the first arm is the only solid one, and the others are drawn over it.
    """

    def __init__(self, first: Snapshot, lanes: Sequence[Lane], *, ghost: bool) -> None:
        self._model, self._lanes, self.ghost = first.model, lanes, ghost
        self._snapshots = [first, *(Snapshot(first.model) for _ in lanes[1:])]
        self._before = [lane.data.qpos.copy() for lane in lanes]
        self._option, self._perturb = mujoco.MjvOption(), mujoco.MjvPerturb()

    @property
    def middle_m(self) -> NDArray[np.float64]:
        """Where to look, shape (3,) [m]."""
        return np.array([0.5 * self._offset(len(self._lanes) - 1)[0], -0.16, 0.08])

    @property
    def distance_m(self) -> float:
        """From how far to look [m]."""
        return 0.75 if self.ghost or len(self._lanes) == 1 else 0.75 + 0.3 * (len(self._lanes) - 1)

    def remember(self) -> None:
        """Note where things are before a control step, for what is shown on the way."""
        for before, lane in zip(self._before, self._lanes, strict=True):
            before[:] = lane.data.qpos

    def take(self, share: float = 1.0) -> None:
        """Bring the picture to the lanes' states; of less than a `share` of 1, to that part of the last control step."""
        for snapshot, before, lane in zip(self._snapshots, self._before, self._lanes, strict=True):
            if share < 1.0:
                snapshot.between(before, lane.data, share)
            else:
                snapshot.of(lane.data)

    def draw(self, scene: mujoco.MjvScene) -> None:
        """Add to a scene what is not the first lane's state: the other arms, residuals and names."""
        for i, (snapshot, lane) in enumerate(zip(self._snapshots, self._lanes, strict=True)):
            offset = self._offset(i)
            if i > 0:
                self._add_arm(scene, snapshot.data, offset)
            for piece in dials(snapshot.data.xanchor[:6], snapshot.data.xaxis[:6], lane.share):
                _add_piece(scene, piece, offset)
            if len(self._lanes) > 1 and not self.ghost:
                _add_label(scene, offset + _LABEL_M, lane.contender.label)

    def _offset(self, i: int) -> NDArray[np.float64]:
        return np.array([0.0 if self.ghost else i * APART_M, 0.0, 0.0])

    def _add_arm(self, scene: mujoco.MjvScene, data: mujoco.MjData, offset: NDArray[np.float64]) -> None:
        first, every = scene.ngeom, mujoco.mjtCatBit.mjCAT_ALL
        mujoco.mjv_addGeoms(self._model, data, self._option, self._perturb, every, scene)
        for geom in scene.geoms[first : scene.ngeom]:
            geom.pos += offset
            if geom.type == mujoco.mjtGeom.mjGEOM_PLANE:  # there is one table
                geom.rgba[3] = 0.0
            elif self.ghost:
                geom.rgba[3] *= GHOST_ALPHA


def residual_text(lane: Lane) -> Text:
    """Return the residual per joint, beside its bound [deg x 5, percent]."""
    residual = lane.contender.residual
    assert residual is not None, "a lane without a residual has none to tell of"
    names = [f"{name} [{'%' if unit == 'percent' else unit}]" for name, unit in zip(arm.JOINT_NAMES, arm.UNITS, strict=True)]
    numbers = [f"{share * bound:+6.1f} of {bound:.1f}" for share, bound in zip(lane.share, residual.scale, strict=True)]
    return _CORNERS.mjGRID_BOTTOMRIGHT, "\n".join(["residual", *names]), "\n".join([" ", *numbers])


def scene_text(seed: int, lanes: Sequence[Lane], speed: str) -> Text:
    """Return which scene it is, and how far each lane is."""
    left = ["scene", "speed", *(lane.contender.label for lane in lanes)]
    right = [str(seed), speed, *(lane.told for lane in lanes)]
    return _CORNERS.mjGRID_TOPLEFT, "\n".join(left), "\n".join(right)


def help_text(keys: str, meanings: str) -> Text:
    """Return the keys and what they do."""
    return _CORNERS.mjGRID_BOTTOMLEFT, keys, meanings


def _add_piece(scene: mujoco.MjvScene, piece: ArcPiece, offset: NDArray[np.float64]) -> None:
    kind = mujoco.mjtGeom.mjGEOM_ARROW if piece.is_tip else mujoco.mjtGeom.mjGEOM_CAPSULE
    geom = _new_geom(scene, kind, np.zeros(3), piece.rgba)
    width_m = THICKNESS_M * (1.4 if piece.is_tip else 1.0)
    mujoco.mjv_connector(geom, kind, width_m, piece.start + offset, piece.end + offset)


def _add_label(scene: mujoco.MjvScene, position: NDArray[np.float64], text: str) -> None:
    _new_geom(scene, mujoco.mjtGeom.mjGEOM_LABEL, position, _WHITE).label = text


def _new_geom(
    scene: mujoco.MjvScene, kind: mujoco.mjtGeom, position: NDArray[np.float64], rgba: NDArray[np.float64]
) -> mujoco.MjvGeom:
    assert scene.ngeom < scene.maxgeom, "the scene of the viewer holds ten thousand geoms"
    geom = scene.geoms[scene.ngeom]
    mujoco.mjv_initGeom(geom, kind, np.full(3, 0.01), position, _IDENTITY, rgba.astype(np.float32))
    scene.ngeom += 1
    return geom
