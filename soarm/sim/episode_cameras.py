"""The cameras of running episodes: a look per row, drawn with its scene's seed, and pictures as late as it says.

A picture is drawn when somebody takes it; until then there is a copy of the state that it shows.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from soarm.lazy import LazyRow, LazyRows
from soarm.policy import Rows
from soarm.sim.cameras import PolicyCameras
from soarm.sim.look import Look, draw_look
from soarm.sim.params import SimParams
from soarm.spec import IMAGES

Numbers = NDArray[np.float64]


class EpisodeCameras:
    """Draws what policies see of episodes in `n_rows` rows; what a row's pictures are follows from its seed and states alone.

    Args:
        params: The environment.
        n_rows: Number of rows.

    Raises:
        SimulationError: The scene has no camera of such a name, or the folder of photos holds none.
    """

    def __init__(self, params: SimParams, n_rows: int) -> None:
        self._params, self._cameras = params, PolicyCameras(params)
        self._looks: list[Look | None] = [None] * n_rows
        self._steps = np.zeros(n_rows, np.int64)
        self._queues: list[deque[LazyRow] | None] = [None] * n_rows

    def start(self, rows: Rows, seeds: Sequence[int], qpos: Numbers, mocap_pos: Numbers) -> dict[str, LazyRows]:
        """Return the first pictures of episodes that start, under feature keys, each (len(rows), H, W, 3).

        Args:
            rows: Where they start.
            seeds: Of their scenes.
            qpos: Shape (len(rows), nq), as in `PolicyCameras.render`.
            mocap_pos: Shape (len(rows), nmocap, 3) [m].
        """
        for row, seed in zip(rows, seeds, strict=True):
            look = draw_look(self._params, seed)
            self._looks[row], self._steps[row] = None if look.is_neutral else look, 0
            self._queues[row] = deque(maxlen=look.latency_steps + 1) if look.latency_steps else None
        return self._see(rows, qpos, mocap_pos)

    def follow(self, rows: Rows, qpos: Numbers, mocap_pos: Numbers) -> dict[str, LazyRows]:
        """Return the pictures after one more control step of `rows`, as in `start`; late ones are of a step before."""
        self._steps[rows] += 1
        return self._see(rows, qpos, mocap_pos)

    def close(self) -> None:
        """Free the renderer; may be called again."""
        self._cameras.close()

    def _see(self, rows: Rows, qpos: Numbers, mocap_pos: Numbers) -> dict[str, LazyRows]:
        seen = []
        for row, *state in zip(rows, qpos.copy(), mocap_pos.copy(), strict=True):
            shown = LazyRow((*state, self._looks[row], int(self._steps[row])))
            if (queue := self._queues[row]) is not None:
                queue.append(shown)
                shown = queue[0]
            seen.append(shown)
        features = self._params.picture_features
        return {key: LazyRows(seen, key, feature.shape, feature.dtype, self._draw) for key, feature in features.items()}

    def _draw(self, states: Sequence[Any]) -> dict[str, NDArray[np.uint8]]:
        qpos, mocap_pos, looks, steps = zip(*states, strict=True)
        drawn = self._cameras.render_rows(np.stack(qpos), np.stack(mocap_pos), looks, steps)
        return {f"{IMAGES}.{name}": pictures for name, pictures in drawn.items()}
