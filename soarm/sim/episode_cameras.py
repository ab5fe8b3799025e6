"""The cameras of running episodes: a look per row, drawn with its scene's seed, and pictures as late as it says."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from soarm.policy import Rows
from soarm.sim.cameras import Pictures, PolicyCameras
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
        self._queues: list[deque[Pictures] | None] = [None] * n_rows

    def start(self, rows: Rows, seeds: Sequence[int], qpos: Numbers, mocap_pos: Numbers) -> dict[str, NDArray[np.uint8]]:
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

    def follow(self, rows: Rows, qpos: Numbers, mocap_pos: Numbers) -> dict[str, NDArray[np.uint8]]:
        """Return the pictures after one more control step of `rows`, as in `start`; late ones are of a step before."""
        self._steps[rows] += 1
        return self._see(rows, qpos, mocap_pos)

    def close(self) -> None:
        """Free the renderer; may be called again."""
        self._cameras.close()

    def _see(self, rows: Rows, qpos: Numbers, mocap_pos: Numbers) -> dict[str, NDArray[np.uint8]]:
        looks = [self._looks[row] for row in rows]
        seen = self._cameras.render_rows(qpos, mocap_pos, looks, self._steps[rows].tolist())
        for i, row in enumerate(rows):
            if (queue := self._queues[row]) is not None:
                queue.append({name: pictures[i].copy() for name, pictures in seen.items()})
                for name, picture in queue[0].items():
                    seen[name][i] = picture
        return {f"{IMAGES}.{name}": pictures for name, pictures in seen.items()}
