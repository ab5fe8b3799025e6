import dataclasses

import av
import numpy as np
import pytest

from soarm.report import clips, labels
from soarm.sim.params import SimParams


@pytest.fixture
def short(sim: SimParams) -> SimParams:
    return dataclasses.replace(sim, task=dataclasses.replace(sim.task, time_limit_s=0.4))


class Still:
    """Stays where the arm is, and remembers what it was reset with."""

    def __init__(self) -> None:
        self.seeds: list[int] = []

    def reset(self, rows, seeds):
        self.seeds += list(seeds)

    def act(self, observation, rows):
        return observation["observation.state"]


def test_scenes_of_every_kind_are_chosen_and_say_what_is_to_be_seen(base, residual):
    chosen = clips.choose(base, residual, per_kind=2)

    assert [(clip.kind, clip.seed) for clip in chosen] == [("gained", 103), ("gained", 104), ("lost", 102), ("neither", 106)]
    assert chosen[0].caption == (
        "Scene 103, gained by the residual. ACT: dropped, furthest stage: lift. ACT + residual: success, after 4.3 s."
    )
    assert chosen[0].endings == (("dropped", False), ("success", True))
    assert chosen[2].file_name == "lost-102.mp4"


def test_where_nothing_differs_nothing_is_filmed(base, short, tmp_path):
    solved = base.select([100, 101])

    assert list(clips.shoot(clips.choose(solved, solved), short, (), tmp_path / "clips")) == []
    assert not (tmp_path / "clips").exists()


def test_every_policy_is_filmed_on_the_scene(short, tmp_path):
    policies = Still(), Still()
    endings = clips.Ending("success", True), clips.Ending("dropped", False)
    (shot,) = clips.shoot([clips.Clip(7, "lost", endings, "")], short, policies, tmp_path / "clips")
    with av.open(str(tmp_path / "clips" / shot.file_name)) as film:
        pictures = [frame.to_ndarray(format="rgb24") for frame in film.decode(video=0)]

    assert [policy.seeds for policy in policies] == [[7], [7]]
    # 0.4 s are 12 steps: 6 pictures, the end, and a second of standing still at 15 per second
    assert len(pictures) == 6 + 1 + 15
    assert pictures[0].shape == (clips.HEIGHT_PX + 3 * labels.HEIGHT_PX, 2 * clips.WIDTH_PX + 4, 3)
    seen = pictures[0][3 * labels.HEIGHT_PX :]
    assert np.abs(seen[:, : clips.WIDTH_PX].astype(int) - seen[:, -clips.WIDTH_PX :]).mean() < 3.0
    assert seen.std() > 10.0
    # how it ended stands to the right of the time, on the last pictures alone
    ends = [picture[2 * labels.HEIGHT_PX : 3 * labels.HEIGHT_PX, clips.WIDTH_PX // 2 : clips.WIDTH_PX] for picture in pictures]
    assert [one.max() > 150 for one in ends] == [False] * 6 + [True] * 16


def test_the_shorter_film_stands_still_until_the_longer_is_over():
    def frames(*greys):
        return [np.full((2, 200, 3), grey, np.uint8) for grey in greys]

    films = [frames(1, 2), frames(5, 6, 7)]
    shown = [(frame[-1, 0, 0], frame[-1, -1, 0]) for frame in clips.beside(films, 1, ("scene 7", "lost"))]

    assert shown == [(1, 5), (2, 6), (2, 7), (2, 7)]


def test_a_label_s_text_shrinks_until_it_fits():
    def blank_px(*texts):
        bright = labels.band(320, *texts).max(axis=(0, 2)) > 100
        return int(np.flatnonzero(bright)[0]), int(320 - np.flatnonzero(bright)[-1])

    assert blank_px("10.0 s", "timed out in the square, far from it")[1] >= 7
    assert min(blank_px("a policy with a name that is much too long for a band")) >= 7
