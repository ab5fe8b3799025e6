import pytest
from hypothesis import given
from hypothesis import strategies as st

from soarm.tasks.stack import TASK
from soarm.tasks.stack.outcomes import Outcome, classify
from soarm.tasks.stack.stages import Stage

KNOCKED_M = 0.05

# The rules of the module's table, each written as a condition of its own, without the order in which they are asked.
RULES = {
    Outcome.SUCCESS: lambda s, stage, h, on, m: s,
    Outcome.TIMED_OUT_HOLDING: lambda s, stage, h, on, m: not s and h,
    Outcome.TIMED_OUT: lambda s, stage, h, on, m: not s and not h and stage == Stage.STACK and on,
    Outcome.TOPPLED: lambda s, stage, h, on, m: not s and not h and stage == Stage.STACK and not on,
    Outcome.MISSED_BASE: lambda s, stage, h, on, m: not s and not h and stage == Stage.ALIGN,
    Outcome.DROPPED: lambda s, stage, h, on, m: not s and not h and stage == Stage.LIFT,
    Outcome.KNOCKED_AWAY: lambda s, stage, h, on, m: not s and not h and stage <= Stage.GRASP and m > KNOCKED_M,
    Outcome.MISSED_GRASP: lambda s, stage, h, on, m: not s and not h and 0 < stage <= Stage.GRASP and m <= KNOCKED_M,
    Outcome.NEVER_REACHED: lambda s, stage, h, on, m: not s and not h and stage == Stage.START and m <= KNOCKED_M,
}


@given(st.booleans(), st.sampled_from(Stage), st.booleans(), st.booleans(), st.floats(0.0, 1.0))
def test_every_episode_has_exactly_one_outcome_and_it_is_the_one_of_the_table(success, stage, holding, on_base, moved_m):
    fitting = [outcome for outcome, rule in RULES.items() if rule(success, stage, holding, on_base, moved_m)]
    info = {"is_success": success, "stage": int(stage), "holding": holding, "on_base": on_base, "moved_m": moved_m}

    assert fitting == [classify(info, KNOCKED_M)]


def test_every_outcome_has_words():
    assert set(TASK.outcomes) == {outcome.value for outcome in Outcome}


@pytest.mark.parametrize(("moved_m", "outcome"), [(0.05, Outcome.MISSED_GRASP), (0.0501, Outcome.KNOCKED_AWAY)])
def test_a_cube_is_knocked_away_beyond_the_threshold_and_not_at_it(moved_m, outcome):
    info = {"is_success": False, "stage": Stage.REACH, "holding": False, "on_base": False, "moved_m": moved_m}

    assert classify(info, KNOCKED_M) == outcome
