import pytest
from hypothesis import given
from hypothesis import strategies as st

from soarm.tasks.pick_place import TASK
from soarm.tasks.pick_place.outcomes import Outcome, classify
from soarm.tasks.pick_place.stages import Stage

KNOCKED_M = 0.05

# The rules of the module's table, each written as a condition of its own, without the order in which they are asked.
RULES = {
    Outcome.SUCCESS: lambda s, stage, h, m: s,
    Outcome.TIMED_OUT_HOLDING: lambda s, stage, h, m: not s and h,
    Outcome.TIMED_OUT: lambda s, stage, h, m: not s and not h and stage == Stage.PLACE,
    Outcome.MISSED_BIN: lambda s, stage, h, m: not s and not h and stage == Stage.TRANSPORT,
    Outcome.DROPPED: lambda s, stage, h, m: not s and not h and stage == Stage.LIFT,
    Outcome.KNOCKED_AWAY: lambda s, stage, h, m: not s and not h and stage <= Stage.GRASP and m > KNOCKED_M,
    Outcome.MISSED_GRASP: lambda s, stage, h, m: not s and not h and Stage.REACH <= stage <= Stage.GRASP and m <= KNOCKED_M,
    Outcome.NEVER_REACHED: lambda s, stage, h, m: not s and not h and stage == Stage.START and m <= KNOCKED_M,
}


@given(st.booleans(), st.sampled_from(Stage), st.booleans(), st.floats(0.0, 1.0))
def test_every_episode_has_exactly_one_outcome_and_it_is_the_one_of_the_table(success, stage, holding, moved_m):
    fitting = [outcome for outcome, rule in RULES.items() if rule(success, stage, holding, moved_m)]
    outcome = classify({"is_success": success, "stage": int(stage), "holding": holding, "moved_m": moved_m}, KNOCKED_M)

    assert fitting == [outcome]


def test_failures_are_all_outcomes_but_success():
    assert set(TASK.failures) | {Outcome.SUCCESS} == set(Outcome)
    assert Outcome.SUCCESS not in TASK.failures


def test_every_outcome_has_words():
    assert set(TASK.outcomes) == {outcome.value for outcome in Outcome}


@pytest.mark.parametrize(("moved_m", "outcome"), [(0.05, Outcome.MISSED_GRASP), (0.0501, Outcome.KNOCKED_AWAY)])
def test_a_cube_is_knocked_away_beyond_the_threshold_and_not_at_it(moved_m, outcome):
    found = classify({"is_success": False, "stage": Stage.REACH, "holding": False, "moved_m": moved_m}, KNOCKED_M)

    assert found == outcome
