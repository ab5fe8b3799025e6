"""What is played when, and what keys do, in a window that is none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from soarm.window.keys import KEYS, Wish, columns, wishes
from soarm.window.scenes import LINGER_S, SLOW

EPISODE, LINGER = 15, round(LINGER_S * 4) + 1
"""Control steps of an episode, and pictures of its end."""
Play = Callable[..., Any]


def cubes(screen: Any) -> np.ndarray:
    return np.array(screen.states)[:, 6:9]


def test_a_show_of_two_scenes_ends_by_itself_and_tells_how_each_ended(play: Play) -> None:
    said: list[str] = []
    show, screen = play({}, n_scenes=2, said=said)

    assert [seed for seed, _ in show.report.scenes] == [7, 8]
    assert len(screen.states) == 2 * (EPISODE + LINGER)
    assert said[0] == "scene 7: one: never reached, 0.5 s; other: never reached, 0.5 s"
    assert screen.texts[0] | {"scene": "7", "one": "start, 0.0 s"} == screen.texts[0] | {"one": "start, 0.0 s"}
    assert screen.texts[-1]["scene"] == "8"
    assert not np.array_equal(cubes(screen)[0], cubes(screen)[-1])


def test_the_same_scene_again_is_the_same_to_the_bit(play: Play) -> None:
    _, screen = play({5: ["a"], 12: ["q"]})

    np.testing.assert_array_equal(screen.states[:5], screen.states[5:10])


def test_the_next_scene_is_that_of_the_next_seed(play: Play) -> None:
    show, screen = play({3: ["n"]})

    assert screen.texts[2]["scene"] == "7"
    assert screen.texts[3]["scene"] == "8"
    assert [seed for seed, _ in show.report.scenes] == [8]


def test_switching_goes_through_the_line_ups_on_the_same_scene(play: Play) -> None:
    _, screen = play({4: ["s"], 6: ["s"], 8: ["q"]})

    assert [("one" in texts, texts["scene"]) for texts in (screen.texts[3], screen.texts[4], screen.texts[6])] == [
        (True, "7"),
        (False, "7"),
        (True, "7"),
    ]


def test_a_push_moves_the_cube_as_often_as_it_is_asked_for_and_the_same_way_every_time(play: Play) -> None:
    show, pushed = play({2: ["p"], 16: ["a"], 18: ["p"], 31: ["q"]})
    _, left_alone = play({15: ["q"]})
    moved = np.linalg.norm(cubes(pushed)[14] - cubes(left_alone)[14])

    assert show.report.pushes == 2
    assert 0.01 < moved < 0.08
    np.testing.assert_array_equal(cubes(pushed)[:15], cubes(pushed)[16:31])


def test_what_the_mouse_pulls_at_is_pulled_in_the_simulator(play: Play, model: Any) -> None:
    show, screen = play({1: ["q"]})
    screen.pull[model.body("cube").id, 2] = 1.0
    (lane,) = show._line_ups[1]
    lane.start(7)
    height = lane.data.body("cube").xpos[2]
    for _ in range(5):
        show._step([lane])

    assert lane.data.body("cube").xpos[2] > height + 0.05
    assert not lane.data.xfrc_applied.any()


def test_slow_motion_shows_more_pictures_of_a_step(play: Play) -> None:
    _, screen = play({0: ["m"]})

    assert len(screen.states) == SLOW * EPISODE + LINGER
    assert screen.texts[1]["speed"] == f"1/{SLOW}"


def test_a_pause_shows_one_moment_until_it_is_over(play: Play) -> None:
    _, screen = play({4: ["space"], 9: ["space"]})

    assert len(screen.states) == EPISODE + 5 + LINGER
    assert screen.texts[5]["speed"] == "paused"
    np.testing.assert_array_equal(screen.states[4], screen.states[8])


def test_a_ghost_stands_where_the_first_arm_stands(play: Play) -> None:
    _, screen = play({3: ["g"], 4: ["q"]}, n_scenes=None)

    assert screen.looks[0][0] == pytest.approx(0.31)
    assert screen.looks[1][0] == 0.0


def test_a_window_that_is_closed_ends_the_show(play: Play) -> None:
    show, screen = play({6: ["close"]}, n_scenes=None)

    assert len(screen.states) <= 7
    assert show.report.scenes == []


def test_help_can_be_hidden(play: Play) -> None:
    _, screen = play({2: ["h"], 4: ["q"]})

    assert screen.texts[1]["p"] == "push the cube"
    assert "p" not in screen.texts[2]


def test_every_wish_has_one_key_and_help_offers_what_is_there() -> None:
    keys, meanings = columns([Wish.PUSH, Wish.QUIT])

    assert sorted(KEYS.values(), key=str) == sorted(Wish, key=str)
    assert wishes(["p", "j", "space"]) == [Wish.PUSH, Wish.PAUSE]
    assert (keys, meanings) == ("p\nq", "push the cube\nquit")
