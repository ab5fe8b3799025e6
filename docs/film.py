"""Make the pictures of README and docs: each task's demonstrator doing one episode, and the arm folded.

    python docs/film.py [--out docs/images]

Run from the root of the repository; what it shows follows from params.yaml and the seeds in this file alone.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path

import mujoco
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from soarm import arm, params
from soarm.hardware.sweep import REST
from soarm.policy import Policy
from soarm.recording import RecordParams
from soarm.report.video import Frame
from soarm.sim.camera import Camera
from soarm.sim.env import SimEnv
from soarm.sim.params import SimParams
from soarm.spec import DEFAULT_TASK
from soarm.tasks.registry import TASKS

WIDTH_PX, HEIGHT_PX = 480, 360
SEEDS = {DEFAULT_TASK: 203, "push": 10, "stack": 1}
"""Of the scene and of the demonstrator's habits; 0 for a task that is not here."""
_LAST_FRAME_S = 1.0


def main() -> None:
    """Film an episode of each task, and write `<task>.gif` and `rest_pose.png`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("docs/images"), help="folder (%(default)s)")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    for task in TASKS:
        loaded = params.load(Path("params.yaml"), task)
        sim, habits = loaded.section("sim", SimParams), loaded.section("record", RecordParams).expert
        large = film(sim, sim.sim_task.expert(habits, sim.control_hz), SEEDS.get(task, 0))
        frames = [_halve(frame) for frame in large]
        if task == DEFAULT_TASK:
            Image.fromarray(stand(sim, REST)).save(options.out / "rest_pose.png", optimize=True)
        else:  # shown side by side
            frames = [_halve(frame) for frame in frames]
        write_gif(frames + frames[-1:] * round(_LAST_FRAME_S * sim.control_hz), options.out / f"{task}.gif", sim.control_hz)


def film(sim: SimParams, expert: Policy, seed: int) -> list[Frame]:
    """Return a frame per control step of the episode of `seed`, twice as large as it will be shown."""
    env = SimEnv(sim, visuals=True)
    observation, _ = env.reset(seed=seed)
    expert.reset(seed)
    frames: list[Frame] = []
    over = False
    with Camera(env.model, "front", width_px=2 * WIDTH_PX, height_px=2 * HEIGHT_PX, shadows=True) as camera:
        while not over:
            frames.append(camera.render(env.data))
            observation, _, terminated, truncated, _ = env.step(expert.act(observation))
            over = terminated or truncated
    assert terminated, f"the demonstrator of {sim.task_name} failed on seed {seed}; film another"
    return frames


def stand(sim: SimParams, q: NDArray[np.float64]) -> Frame:
    """Return a still of the arm in the pose `q`, shape (6,) [deg x 5, percent]."""
    env = SimEnv(sim, visuals=True)
    env.reset(seed=0)
    for joint, radians in zip(arm.JOINTS, arm.to_radians(q), strict=True):
        env.data.joint(joint.name).qpos = radians
    mujoco.mj_forward(env.model, env.data)
    with Camera(env.model, "front", width_px=2 * WIDTH_PX, height_px=2 * HEIGHT_PX, shadows=True) as camera:
        return _halve(camera.render(env.data))


def write_gif(frames: Iterable[Frame], path: Path, fps: int) -> None:
    """Write an animation that repeats for ever, in 256 colours; browsers play at most 50 frames per second."""
    images = [Image.fromarray(frame) for frame in frames]
    assert images, f"{path.name}: an animation has at least one frame"
    first, *rest = (image.quantize(256, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE) for image in images)
    first.save(path, save_all=True, append_images=rest, duration=round(1000 / fps), loop=0, optimize=True)


def _halve(image: Frame) -> Frame:
    """Average blocks of 2 x 2 pixels: smooth edges of shapes and shadows."""
    height, width, _ = image.shape
    small: Frame = (image.reshape(height // 2, 2, width // 2, 2, 3).mean(axis=(1, 3)) + 0.5).astype(np.uint8)
    return small


if __name__ == "__main__":
    main()
