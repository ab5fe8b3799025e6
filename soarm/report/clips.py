"""Scenes to watch: what base and residual did on the same scene, side by side.

Numbers say how often a policy fails, a film says how. Knows the simulator's single environment, whose episodes are those of
the batched one, and policies by their protocol.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from soarm.evaluation.results import Results
from soarm.policy import BatchPolicy
from soarm.report import video
from soarm.report.style import LABELS
from soarm.report.video import Frame
from soarm.sim.camera import Camera
from soarm.sim.env import SimEnv
from soarm.sim.params import SimParams

PER_KIND = 2
"""Scenes of each kind: gained, lost, solved by neither."""
WIDTH_PX, HEIGHT_PX = 320, 240
EVERY = 2
"""Control steps per picture: half the frames are enough to see what goes wrong."""
_STILL_S = 1.0
_GAP_PX = 4
_ROW = np.zeros(1, np.intp)


@dataclasses.dataclass(frozen=True)
class Clip:
    """A scene worth watching.

    Attributes:
        seed: Of the scene.
        kind: `gained`, `lost` or `neither`.
        caption: What is to be seen.
    """

    seed: int
    kind: str
    caption: str

    @property
    def file_name(self) -> str:
        """Of its film."""
        return f"{self.kind}-{self.seed}.mp4"


def choose(base: Results, residual: Results, per_kind: int = PER_KIND) -> list[Clip]:
    """Return the first scenes that only the residual, only the base and neither of them solved, in the order of the rows."""
    clips = []
    kinds = {
        "gained": ~base.success & residual.success,
        "lost": base.success & ~residual.success,
        "neither": ~base.success & ~residual.success,
    }
    for kind, which in kinds.items():
        for i in np.flatnonzero(which)[:per_kind]:
            left, right = (
                f"{label}: {rows.task.outcomes[rows.rows[i].outcome]}"
                for label, rows in ((LABELS["base"], base), (LABELS["residual"], residual))
            )
            seed = base.seeds[i]
            clips.append(Clip(seed, kind, f"{kind.capitalize()}, scene {seed}. Left {left}, right {right}."))
    return clips


def shoot(clips: Sequence[Clip], sim: SimParams, policies: Sequence[BatchPolicy], folder: Path) -> Iterator[Clip]:
    """Film every policy on the scene of each clip, side by side, and yield each clip when its file is written.

    Args:
        clips: Scenes.
        sim: The simulator.
        policies: As they were evaluated; row 0 of each is used.
        folder: Where to; made if needed.
    """
    if not clips:
        return
    folder.mkdir(parents=True, exist_ok=True)
    env = SimEnv(sim, visuals=True)
    with Camera(env.model, "front", width_px=WIDTH_PX, height_px=HEIGHT_PX) as camera:
        for clip in clips:
            films = [film(env, camera, policy, clip.seed) for policy in policies]
            video.write_mp4(beside(films, round(_STILL_S * sim.control_hz / EVERY)), folder / clip.file_name, fps(sim))
            yield clip


def fps(sim: SimParams) -> int:
    """Return the pictures per second of a film in real time."""
    return round(sim.control_hz / EVERY)


def film(env: SimEnv, camera: Camera, policy: BatchPolicy, seed: int) -> list[Frame]:
    """Return a picture for every second control step of an episode, and one of its end."""
    observation, _ = env.reset(seed=seed)
    policy.reset(_ROW, [seed])
    frames: list[Frame] = []
    over, step = False, 0
    while not over:
        if step % EVERY == 0:
            frames.append(camera.render(env.data))
        action = policy.act({key: value[None] for key, value in observation.items()}, _ROW)[0]
        observation, _, terminated, truncated, _ = env.step(action)
        over, step = terminated or truncated, step + 1
    return [*frames, camera.render(env.data)]


def beside(films: Sequence[Sequence[Frame]], n_still: int) -> Iterator[Frame]:
    """Yield the films side by side; one that is over stands still until all are, and then for `n_still` pictures more."""
    gap = np.full((films[0][0].shape[0], _GAP_PX, 3), 255, np.uint8)
    for i in range(max(len(frames) for frames in films) + n_still):
        pictures = [frames[min(i, len(frames) - 1)] for frames in films]
        yield np.concatenate([part for picture in pictures for part in (picture, gap)][:-1], axis=1)
