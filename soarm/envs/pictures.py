"""MuJoCo's viewer beside an episode: it shows a copy of the running state, so that looking changes no bit of it."""

from __future__ import annotations

import time

from soarm.errors import SimulationError
from soarm.viewer import Snapshot, Viewer


class LiveView:
    """MuJoCo's viewer, in real time.

    Args:
        snapshot: What it shows.
        dt_s: Time between two looks at least [s].

    Raises:
        SimulationError: No window can be opened here.
    """

    def __init__(self, snapshot: Snapshot, dt_s: float) -> None:
        try:
            self._viewer = Viewer(snapshot.model, snapshot.data)
        except SimulationError as error:
            raise SimulationError(
                f"render_mode='human' opens MuJoCo's viewer: {error}. Without a display take render_mode='rgb_array', of "
                "which gymnasium.wrappers.RecordVideo makes films; over ssh use `ssh -X`"
            ) from None
        self._dt_s, self._due_s = dt_s, 0.0

    def show(self) -> None:
        """Show the snapshot when its time has come; nothing once the window was closed."""
        if not self._viewer.is_open:
            return
        time.sleep(max(0.0, self._due_s - time.monotonic()))
        self._due_s = time.monotonic() + self._dt_s
        self._viewer.show()

    def close(self) -> None:
        """Close the window; may be called again."""
        self._viewer.close()
