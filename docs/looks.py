"""Draw what the cameras see under a dozen looks: docs/images/looks.png.

    python docs/looks.py [--out docs/images/looks.png]

Run from the root of the repository. Top row: the scene's own look, then those of the profile `pixels_mild`. Below: wide ones.
Each pair is `front` at 96 x 64 px and `wrist` at 64 x 64 px of the same start, enlarged.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from PIL import Image

from soarm import params
from soarm.sim.batch_env import BatchSim
from soarm.sim.cameras import PolicyCameras
from soarm.sim.look import Look, draw_look
from soarm.sim.params import SimParams

PARAMS = params.packaged()
_SIM: dict[str, Any] = yaml.safe_load(PARAMS.read_text(encoding="utf-8"))["pixels_mild"]["sim"]
CAMERAS: dict[str, Any] = _SIM["cameras"]
MILD: dict[str, Any] = _SIM["look"]
WIDE: dict[str, Any] = {
    "camera": {"position_m": 0.03, "turn_deg": 5.0, "fovy_deg": 4.0},
    "light": {"brightness": [0.3, 1.2], "ambient": [0.4, 1.3], "turn_deg": 60.0},
    "colours": {
        "cube_hue_deg": 60.0,
        "cube_brightness": [0.5, 1.5],
        "goal_hue_deg": 60.0,
        "goal_brightness": [0.5, 1.5],
        "arm_hue_deg": 60.0,
        "arm_brightness": [0.5, 1.5],
        "table_tint": 0.25,
        "table_brightness": [0.4, 1.0],
    },
    "background": {"share": 0.5},
    "picture": {"blur_px": [0.0, 1.0], "brightness": [0.7, 1.3], "contrast": [0.7, 1.3], "noise": [0.0, 5.0]},
}
ACROSS, DOWN, ENLARGED, GAP = 4, 3, 2, 8
SCENE = 5


def main() -> None:
    """Draw the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("docs/images/looks.png"))
    options = parser.parse_args()
    plain = params.load(Path("params.yaml")).section("sim", SimParams)
    mild, wide = (params.changed(plain, {"cameras": CAMERAS, "look": look}, "sim") for look in (MILD, WIDE))
    looks: list[Look | None] = [
        None,
        *(draw_look(mild, seed) for seed in range(3)),
        *(draw_look(wide, seed) for seed in range(8)),
    ]
    env, cameras = BatchSim(plain, 1), PolicyCameras(wide)
    env.reset(np.arange(1), [SCENE])
    _, data = env.snapshot(0)
    pairs = []
    for look in looks:
        seen = cameras.render(data.qpos, data.mocap_pos, look)
        pair = np.concatenate([seen["front"], seen["wrist"]], axis=1).repeat(ENLARGED, 0).repeat(ENLARGED, 1)
        pairs.append(np.pad(pair, ((0, GAP), (0, GAP), (0, 0)), constant_values=255))
    rows = [np.concatenate(pairs[i * ACROSS : (i + 1) * ACROSS], axis=1) for i in range(DOWN)]
    Image.fromarray(np.concatenate(rows)[:-GAP, :-GAP]).save(options.out, optimize=True)


if __name__ == "__main__":
    main()
