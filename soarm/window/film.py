"""What a window would show, on a film: policies side by side on some scenes, with their residuals."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from soarm.errors import SimulationError
from soarm.report.clips import EVERY, beside, fps
from soarm.report.labels import band
from soarm.report.video import Frame, write_mp4
from soarm.sim.camera import Camera
from soarm.sim.params import SimParams
from soarm.sim.scene import build_model
from soarm.smallfile import require_writable
from soarm.viewer import Snapshot
from soarm.window.lane import Lane
from soarm.window.picture import Picture
from soarm.window.scenes import ShowReport, note

logger = logging.getLogger(__name__)
WIDTH_PX, HEIGHT_PX = 480, 360
_STILL_S = 1.0


def shoot(sim: SimParams, lanes: Sequence[Lane], path: Path, seed: int, n_scenes: int) -> ShowReport:
    """Write a film of the lanes side by side, one scene after the other, in real time.

    Args:
        sim: The simulator of the lanes.
        lanes: At least one.
        path: The film, `.mp4`.
        seed: Of the first scene; the next scene has the next one.
        n_scenes: How many.

    Raises:
        SimulationError: The film's name does not end in `.mp4`, or it cannot be written there.
    """
    if path.suffix != ".mp4":
        raise SimulationError(f"a film is an .mp4, and not {path.name}; name it so: --film {path.stem or 'film'}.mp4")
    require_writable(path, SimulationError)
    report, snapshot = ShowReport(), Snapshot(build_model(sim))
    pictures = [Picture(snapshot, [lane], ghost=False) for lane in lanes]
    with Camera(snapshot.model, "front", width_px=WIDTH_PX, height_px=HEIGHT_PX) as camera:

        def take(lane: Lane, picture: Picture) -> Frame:
            picture.take()
            colour = "green" if lane.succeeded else "vermillion" if lane.over else "ink"
            words = band(WIDTH_PX, lane.contender.label, lane.told, colour)
            return np.concatenate([words, camera.render(snapshot.data, picture.draw)])

        def frames() -> Iterator[Frame]:
            for one in range(seed, seed + n_scenes):
                films = []
                for lane, picture in zip(lanes, pictures, strict=True):
                    lane.start(one)
                    film = []
                    while not lane.over:
                        if lane.steps % EVERY == 0:
                            film.append(take(lane, picture))
                        lane.step()
                    films.append([*film, take(lane, picture)])
                note(report, one, lanes, logger.info)
                yield from beside(films, round(_STILL_S * sim.control_hz / EVERY), (f"scene {one}", ""))

        try:
            write_mp4(frames(), path, fps(sim))
        except OSError as error:
            raise SimulationError(
                f"{path} cannot be written ({error.strerror or error}); what was there is as it was. Make room, or choose "
                "another place"
            ) from None
    logger.info("the film is %s", path)
    return report
