"""Scenes to watch: what base and residual did on the same scene, side by side.

Numbers say how often a policy fails, a film says how. Knows the simulator's single environment, whose episodes are those of
the batched one, and policies by their protocol.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from soarm.estimation import Estimator, told_alone
from soarm.evaluation.results import EpisodeRow, Results
from soarm.policy import BatchPolicy
from soarm.report import labels, video
from soarm.report.style import LABELS
from soarm.report.video import Frame
from soarm.sim.camera import Camera
from soarm.sim.env import SimEnv
from soarm.sim.params import SimParams
from soarm.tasks.task import Task

PER_KIND = 2
"""Scenes of each kind: gained, lost, solved by neither."""
WIDTH_PX, HEIGHT_PX = 320, 240
EVERY = 2
"""Control steps per picture: half the frames are enough to see what goes wrong."""
_STILL_S = 1.0
_GAP_PX = 4
_ROW = np.zeros(1, np.intp)
_WHO = LABELS["base"], LABELS["residual"]
_KINDS = {"gained": "gained by the residual", "lost": "lost by the residual", "neither": "solved by neither"}


class Moment(NamedTuple):
    """A picture, and after how many control steps of the episode it was taken."""

    step: int
    picture: Frame


class Ending(NamedTuple):
    """How an episode ended, in words, and whether that is success."""

    words: str
    success: bool


@dataclasses.dataclass(frozen=True)
class Clip:
    """A scene worth watching.

    Attributes:
        seed: Of the scene.
        kind: `gained`, `lost` or `neither`.
        endings: Of the base's episode and of the residual's.
        caption: What happens in the film, for whoever cannot see it.
    """

    seed: int
    kind: str
    endings: tuple[Ending, ...]
    caption: str

    @property
    def file_name(self) -> str:
        """Of its film."""
        return f"{self.kind}-{self.seed}.mp4"


def choose(base: Results, residual: Results, per_kind: int = PER_KIND) -> list[Clip]:
    """Return the first scenes that only the residual, only the base and neither of them solved, in the order of the rows."""
    kinds = {
        "gained": ~base.success & residual.success,
        "lost": base.success & ~residual.success,
        "neither": ~base.success & ~residual.success,
    }
    return [
        _clip(kind, base.rows[i], residual.rows[i], base.task)
        for kind, which in kinds.items()
        for i in np.flatnonzero(which)[:per_kind]
    ]


def _clip(kind: str, base: EpisodeRow, residual: EpisodeRow, task: Task) -> Clip:
    endings = tuple(Ending(task.outcomes[row.outcome], row.success) for row in (base, residual))
    told = []
    for who, row, (words, _) in zip(_WHO, (base, residual), endings, strict=True):
        how = f"after {row.time_to_success_s:.1f} s" if row.success else f"furthest stage: {row.furthest_stage}"
        told.append(f"{who}: {words}, {how}.")
    return Clip(base.seed, kind, endings, f"Scene {base.seed}, {_KINDS[kind]}. {' '.join(told)}")


def shoot(
    clips: Sequence[Clip], sim: SimParams, policies: Sequence[BatchPolicy], folder: Path, eye: Estimator | None = None
) -> Iterator[Clip]:
    """Film every policy on the scene of each clip, side by side, and yield each clip when its file is written.

    Args:
        clips: Scenes.
        sim: The simulator.
        policies: Base and residual, as they were evaluated; row 0 of each is used.
        folder: Where to; made if needed.
        eye: What says where the objects are; None tells the policies the truth.
    """
    if not clips:
        return
    folder.mkdir(parents=True, exist_ok=True)
    env = SimEnv(sim, visuals=True)
    with Camera(env.model, "front", width_px=WIDTH_PX, height_px=HEIGHT_PX) as camera:
        for clip in clips:
            films = [
                _labelled(film(env, camera, policy, clip.seed, eye), sim.control_hz, who, ending)
                for policy, who, ending in zip(policies, _WHO, clip.endings, strict=True)
            ]
            title = f"scene {clip.seed}", _KINDS[clip.kind]
            pictures = beside(films, round(_STILL_S * sim.control_hz / EVERY), title)
            video.write_mp4(pictures, folder / clip.file_name, fps(sim))
            yield clip


def fps(sim: SimParams) -> int:
    """Return the pictures per second of a film in real time."""
    return round(sim.control_hz / EVERY)


def film(env: SimEnv, camera: Camera, policy: BatchPolicy, seed: int, eye: Estimator | None) -> list[Moment]:
    """Return a moment for every second control step of an episode, and one of its end."""
    observation, _ = env.reset(seed=seed)
    policy.reset(_ROW, [seed])
    moments: list[Moment] = []
    over, step = False, 0
    while not over:
        if step % EVERY == 0:
            moments.append(Moment(step, camera.render(env.data)))
        observation, _, terminated, truncated, _ = env.step(policy.act(told_alone(eye, observation), _ROW)[0])
        over, step = terminated or truncated, step + 1
    return [*moments, Moment(step, camera.render(env.data))]


def _labelled(moments: Sequence[Moment], control_hz: int, who: str, ending: Ending) -> list[Frame]:
    """Return pictures under the policy and the time (a player's controls are at the foot); the last tells how it ended."""
    who_band, frames = labels.band(WIDTH_PX, who), []
    for moment in moments:
        words = ending.words if moment is moments[-1] else ""
        now = labels.band(WIDTH_PX, f"{moment.step / control_hz:.1f} s", words, "green" if ending.success else "vermillion")
        frames.append(np.concatenate([who_band, now, moment.picture]))
    return frames


def beside(films: Sequence[Sequence[Frame]], n_still: int, title: tuple[str, str]) -> Iterator[Frame]:
    """Yield the films side by side under a title (left, right); one that is over stands still until all are.

    Then all stand still for `n_still` pictures more.
    """
    height, width, _ = films[0][0].shape
    gap = np.full((height, _GAP_PX, 3), 255, np.uint8)
    above = labels.band(len(films) * (width + _GAP_PX) - _GAP_PX, *title)
    for i in range(max(len(frames) for frames in films) + n_still):
        pictures = [frames[min(i, len(frames) - 1)] for frames in films]
        row = np.concatenate([part for picture in pictures for part in (picture, gap)][:-1], axis=1)
        yield np.concatenate([above, row])
