"""Make the picture of the window for docs/watch.md: base and residual on one scene, after some seconds.

    xvfb-run -a -s "-screen 0 1280x720x24" python docs/window.py [--out docs/images]

Run from the root of the repository, where `xvfb-run` is installed; with a display of one's own it is that one's picture.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from PIL import ImageGrab

from soarm.sim.scene import build_model
from soarm.viewer import Snapshot, Viewer
from soarm.window.artefact import open_artefact
from soarm.window.keys import Wish, columns
from soarm.window.picture import Picture, help_text, residual_text, scene_text
from soarm.window.scenes import AZIMUTH_DEG, ELEVATION_DEG
from soarm.window.watching import lanes

SEED, STEPS = 40_000_000, 44
"""Of the scene, and control steps until the picture: the residual has just lifted the cube that ACT misses."""
WINDOW_PX = 853, 480
"""MuJoCo's viewer opens at two thirds of the screen."""
_DRAWN_S = 3.0


def main() -> None:
    """Write `window.png`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("docs/images"), help="folder (%(default)s)")
    options = parser.parse_args()
    artefact = open_artefact(Path("examples/bundle"))
    both, first = lanes(artefact, ["base", "residual"]), Snapshot(build_model(artefact.sim))
    picture = Picture(first, both, ghost=False)
    for lane in both:
        lane.start(SEED)
        for _ in range(STEPS):
            lane.step()
    picture.take()
    texts = [scene_text(SEED, both, "1"), residual_text(both[1]), help_text(*columns(Wish))]
    with Viewer(first.model, first.data, listens=True) as viewer:
        viewer.look(picture.middle_m, azimuth_deg=AZIMUTH_DEG, elevation_deg=ELEVATION_DEG, distance_m=picture.distance_m)
        viewer.show(picture.draw, texts)
        time.sleep(_DRAWN_S)
        shot = ImageGrab.grab(bbox=(0, 0, *WINDOW_PX))
    shot.quantize(256).save(options.out / "window.png", optimize=True)


if __name__ == "__main__":
    main()
