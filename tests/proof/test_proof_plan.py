"""Places and order of an evaluation."""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
from pathlib import Path

import numpy as np
import pytest

from soarm import kinematics
from soarm import params as params_file
from soarm.errors import ParamsError
from soarm.params import build
from soarm.proof import plan as plans
from soarm.proof.plan import Plan
from soarm.runtime.plausible import require_plausible
from soarm.tasks.pick_place import TASK
from soarm.tasks.registry import find

ROOT = Path(__file__).parents[2]


def test_places_lie_in_the_sectors_apart_and_can_be_read_on_paper(sectors):
    spots = plans.draw(3, 20, TASK, sectors)
    cubes = np.array([spot.places["cube"] for spot in spots])
    bins = np.array([spot.places["bin"] for spot in spots])

    for things, (low, high) in ((cubes, sectors.moved_radius_m), (bins, sectors.other_radius_m)):
        radius = np.linalg.norm(things[:, :2] - kinematics.SHOULDER_XY_M, axis=1)
        assert ((radius >= low - 1e-3) & (radius <= high + 1e-3)).all()
    assert np.linalg.norm(cubes[:, :2] - bins, axis=1).min() >= sectors.clearance_m
    apart = [math.dist(a, b) for i, a in enumerate(cubes[:, :2]) for b in cubes[:i, :2]]
    assert min(apart) > 0.02
    assert np.abs(cubes[:, 2]).max() <= 45
    assert cubes[:, 2].std() > 10
    for spot in spots:
        require_plausible(TASK, spot.objects(TASK), "spot")


def test_the_other_thing_has_a_place_for_every_five_spots_which_are_run_together(sectors):
    spots = plans.draw(0, 12, TASK, sectors)
    trials, _ = plans.draw_order(0, spots)
    letters = [spots[number - 1].letter for number in trials]

    assert [spot.letter for spot in spots] == [*"AAAAABBBBBCC"]
    assert len({spot.places["bin"] for spot in spots}) == 3
    assert sum(a != b for a, b in itertools.pairwise(letters)) == 2


def test_each_spot_is_tried_by_both_and_each_policy_is_first_equally_often(sectors):
    spots = plans.draw(1, 20, TASK, sectors)
    trials, assignment = plans.draw_order(1, spots)

    assert trials[::2] == trials[1::2]
    assert sorted(trials[::2]) == list(range(1, 21))
    assert all({*pair} == {"base", "residual"} for pair in zip(assignment[::2], assignment[1::2], strict=True))
    assert assignment[::2].count("base") == 10
    assert trials[::2] != tuple(range(1, 21))


def test_the_same_seed_draws_the_same_plan_and_another_one_another(make_plan):
    assert make_plan(6, 2) == make_plan(6, 2)
    assert make_plan(6, 2)[0].spots != make_plan(6, 3)[0].spots


def test_a_plan_is_read_as_it_was_written(make_plan):
    plan, _ = make_plan()

    assert build(Plan, json.loads(json.dumps(plan.to_dict())), "plan.json") == plan


def test_a_plan_in_which_a_spot_lacks_a_trial_is_refused(make_plan):
    plan, _ = make_plan()

    with pytest.raises(ValueError, match="each must have two trials"):
        dataclasses.replace(plan, trials=plan.trials[:-1])


def test_a_task_that_asks_more_of_its_places_is_refused_by_name():
    params = params_file.load(ROOT / "params.yaml", "push")

    with pytest.raises(ParamsError, match=r"of push asks more of its places .*: longest_m, reach_m"):
        plans.sectors_of(params, find("push"))


def test_a_second_cube_has_a_yaw_too():
    stack = find("stack")
    sectors = plans.sectors_of(params_file.load(ROOT / "params.yaml", "stack"), stack)

    (spot, *_) = plans.draw(0, 2, stack, sectors)
    assert {name: len(place) for name, place in spot.places.items()} == {"cube": 3, "base": 3}


def test_sectors_without_room_are_refused(sectors):
    with pytest.raises(ParamsError, match="no room for both things"):
        plans.draw(0, 2, TASK, dataclasses.replace(sectors, clearance_m=1.0))
