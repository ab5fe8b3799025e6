"""A dataset as `lerobot-record` leaves it of an SO-101, made up: joints in degrees, two cameras, no objects, no units said.

python tests/lerobot/as_lerobot_records.py datasets/so101
"""

import sys
from pathlib import Path

import numpy as np

from soarm.dataset import layout
from soarm.dataset.recorder import Recorder
from soarm.dataset.video import USUAL
from soarm.spec import ACTION, JOINT_FEATURE, STATE, Feature

CAMERAS = ("observation.images.front", "observation.images.wrist")


def record(folder: Path, *, height_px: int = 48, width_px: int = 64, n_episodes: int = 4, fps: int = 30) -> Path:
    """Record short motions about the pose in which demonstrations begin, seen by two cameras."""
    pictures = {key: Feature.image(height_px, width_px) for key in CAMERAS}
    features = {ACTION: JOINT_FEATURE, STATE: JOINT_FEATURE, **pictures}
    with Recorder.create(folder, features, fps, "so101_follower", "Pick up the cube.", USUAL["av1"]) as recorder:
        for episode in range(n_episodes):
            phase = np.linspace(0.0, 3.0, 40)[:, None] + episode
            state = np.array([0.0, 0.0, 5.0, 85.0, -85.0, 30.0]) + 8.0 * np.sin(phase + np.arange(6))
            ramp = np.arange(width_px)[None, :, None] * 2 + np.arange(3) * 40 + np.zeros((height_px, 1, 1))
            seen = {
                key: np.array([(ramp + 3 * t + 50 * i) % 256 for t in range(40)], np.uint8) for i, key in enumerate(CAMERAS)
            }
            recorder.save_episode({STATE: state, **seen}, state + 1.0)
    (folder / layout.SPEC_PATH).unlink()  # LeRobot writes none
    return folder


if __name__ == "__main__":
    record(Path(sys.argv[1]))
