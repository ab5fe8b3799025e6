from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from soarm.tasks.push import TASK
from soarm.tasks.push.outcomes import OUT_OF_REACH_M, Outcome, classify
from soarm.tasks.push.stages import Stage

ASTRAY_M = 0.05

# The rules of the module's table, each written as a condition of its own, without the order in which they are asked. Of an
# episode without success: whether the cube is lifted and inside, the furthest stage, whether it is within reach, how far it
# moved [m].
RULES = {
    Outcome.LIFTED: lambda lifted, inside, stage, near, m: lifted,
    Outcome.TIMED_OUT: lambda lifted, inside, stage, near, m: not lifted and inside,
    Outcome.PUSHED_OUT: lambda lifted, inside, stage, near, m: not lifted and not inside and stage >= Stage.INSIDE,
    Outcome.OUT_OF_REACH: lambda lifted, inside, stage, near, m: (
        not lifted and not inside and stage <= Stage.NEAR and not near
    ),
    Outcome.MISSED_SQUARE: lambda lifted, inside, stage, near, m: not lifted and not inside and stage == Stage.NEAR and near,
    Outcome.PUSHED_ASTRAY: lambda lifted, inside, stage, near, m: (
        not lifted and not inside and stage <= Stage.TOUCH and near and m > ASTRAY_M
    ),
    Outcome.MISSED_CUBE: lambda lifted, inside, stage, near, m: (
        not lifted and not inside and stage in (Stage.REACH, Stage.TOUCH) and near and m <= ASTRAY_M
    ),
    Outcome.NEVER_REACHED: lambda lifted, inside, stage, near, m: (
        not lifted and not inside and stage == Stage.START and near and m <= ASTRAY_M
    ),
}


def last_info(
    lifted: bool, inside: bool, stage: Stage, near: bool, moved_m: float, success: bool = False
) -> dict[str, object]:
    radius_m = OUT_OF_REACH_M if near else OUT_OF_REACH_M + 1e-6
    info = {"is_success": success, "lifted": lifted, "inside": inside, "stage": int(stage)}
    return info | {"radius_m": radius_m, "moved_m": moved_m}


@given(st.booleans(), st.booleans(), st.sampled_from(Stage), st.booleans(), st.floats(0.0, 1.0))
def test_every_failure_has_exactly_one_class_and_it_is_the_one_of_the_table(lifted, inside, stage, near, moved_m):
    at = (lifted, inside, stage, near, moved_m)
    fitting = [outcome for outcome, rule in RULES.items() if rule(*at)]

    assert fitting == [classify(last_info(*at), ASTRAY_M)]
    assert classify(last_info(*at, success=True), ASTRAY_M) == Outcome.SUCCESS


def test_every_outcome_has_words_and_a_rule():
    assert set(TASK.outcomes) == {outcome.value for outcome in Outcome}
    assert set(RULES) == set(Outcome) - {Outcome.SUCCESS}
    assert set(TASK.failures) == {outcome.value for outcome in RULES}


@pytest.mark.parametrize(("moved_m", "outcome"), [(0.05, Outcome.MISSED_CUBE), (0.0501, Outcome.PUSHED_ASTRAY)])
def test_a_cube_is_astray_beyond_the_threshold_and_not_at_it(moved_m, outcome):
    assert classify(last_info(False, False, Stage.TOUCH, True, moved_m), ASTRAY_M) == outcome
