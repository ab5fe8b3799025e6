"""The window of `soarm control`: the simulated arm while somebody drives it, with the keys of the terminal.

Knows a simulator and the viewer; what its keys mean is for whoever reads them.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator

import mujoco

from soarm.errors import SimulationError
from soarm.sim.env import SimEnv
from soarm.sim.scene import build_model
from soarm.viewer import WITHOUT_A_DISPLAY, Snapshot, Viewer

logger = logging.getLogger(__name__)
AZIMUTH_DEG, ELEVATION_DEG, DISTANCE_M, MIDDLE_M = 90.0, -30.0, 0.75, (0.0, -0.16, 0.08)
"""From in front of the arm, as somebody sits who looks at it."""
_TYPED = {"space": " ", "enter": "\n"}


def opener(*, required: bool) -> Callable[[SimEnv, str], contextlib.AbstractContextManager[DrivingWindow | None]]:
    """Return how `soarm.teleop.control` opens a window, where one can be opened.

    Args:
        required: Whether it is an error where none can; otherwise it goes without.
    """

    @contextlib.contextmanager
    def opened(env: SimEnv, keys: str) -> Iterator[DrivingWindow | None]:
        try:
            window = DrivingWindow(env, keys)
        except SimulationError as error:
            if required:
                raise SimulationError(f"{error}. {WITHOUT_A_DISPLAY}") from None
            logger.info("%s, so the arm moves unseen; --no-window says that this is meant", error)
            yield None
            return
        with contextlib.closing(window):
            yield window

    return opened


class DrivingWindow:
    """A window on a simulated arm.

    Args:
        env: What is driven.
        keys: What the keys do, in lines.

    Raises:
        SimulationError: No window can be opened here.
    """

    def __init__(self, env: SimEnv, keys: str) -> None:
        self._env, self._keys, self._said = env, keys, ""
        self._snapshot = Snapshot(build_model(env.params))
        self._viewer = Viewer(self._snapshot.model, self._snapshot.data, listens=True)
        self._viewer.look(MIDDLE_M, azimuth_deg=AZIMUTH_DEG, elevation_deg=ELEVATION_DEG, distance_m=DISTANCE_M)

    def show(self) -> None:
        """Show the arm as it is now."""
        self._snapshot.of(self._env.data)
        corners = mujoco.mjtGridPos
        self._viewer.show(texts=[(corners.mjGRID_TOPLEFT, self._said, ""), (corners.mjGRID_BOTTOMLEFT, self._keys, "")])

    def say(self, text: str) -> None:
        """Show a line over the picture, in place of the one before."""
        self._said = text

    def typed(self) -> str:
        """Return what was typed into the window since the last call, as a terminal would; a closed window types q."""
        if not self._viewer.is_open:
            return "q"
        return "".join(_TYPED.get(key, key if len(key) == 1 else "") for key in self._viewer.pressed())

    def close(self) -> None:
        """Close the window; may be called again."""
        self._viewer.close()
