from __future__ import annotations

import math

import pytest

from soarm.hardware.states import State
from soarm.runtime.watchdogs import GO, Action, Tick, WatchdogLimits, Watchdogs

GOOD = Tick(0.0, 0.01, "cube and bin", None, False, State.ACTIVE, None, True)


def verdicts(dogs, n, dt_s=0.02, start_s=0.0, **changes):
    return [dogs.judge(GOOD._replace(t_s=start_s + i * dt_s, **changes)) for i in range(n)]


def test_a_good_tick_goes_on():
    assert Watchdogs(WatchdogLimits()).judge(GOOD) == GO


def test_objects_that_are_not_seen_hold_the_arm_and_then_end_the_run():
    dogs = Watchdogs(WatchdogLimits())

    assert dogs.judge(GOOD._replace(age_s=0.16)).action is Action.HOLD
    stopped = dogs.judge(GOOD._replace(age_s=2.1))
    assert stopped.action is Action.STOP
    assert "cube and bin were last seen 2.10 s ago, the limit is 2 s" in stopped.cause


def test_an_age_that_is_no_number_is_no_fresh_sight():
    assert Watchdogs(WatchdogLimits()).judge(GOOD._replace(age_s=math.nan)).action is Action.STOP


def test_one_action_that_is_none_is_put_up_with_and_three_are_not():
    found = verdicts(Watchdogs(WatchdogLimits()), 3, refused="the action of gripper is not finite")

    assert [verdict.action for verdict in found] == [Action.GO, Action.GO, Action.STOP]
    assert "3 actions in a row were invalid: the action of gripper is not finite" in found[-1].cause


def test_an_action_that_lasts_for_several_ticks_of_the_bus_counts_once():
    dogs = Watchdogs(WatchdogLimits())
    found = [dogs.judge(GOOD._replace(refused="nan", control=place == 0)).action for _ in range(3) for place in range(4)]

    assert found == [Action.GO] * 8 + [Action.STOP] + [Action.STOP] * 3


def test_a_good_action_forgives_the_bad_ones():
    dogs = Watchdogs(WatchdogLimits())
    verdicts(dogs, 2, refused="nan")
    dogs.judge(GOOD)

    assert dogs.judge(GOOD._replace(refused="nan")).action is Action.GO


def test_a_policy_that_says_nothing_ends_the_run_after_its_time():
    found = verdicts(Watchdogs(WatchdogLimits()), 120, empty=True)

    assert found[50].action is Action.GO
    assert found[-1].action is Action.STOP
    assert "has returned nothing for" in found[-1].cause


@pytest.mark.parametrize("state", [State.FAULT, State.LIMP, State.DISCONNECTED])
def test_an_arm_that_stopped_ends_the_run_with_its_cause(state):
    found = Watchdogs(WatchdogLimits()).judge(GOOD._replace(state=state, fault="gripper (servo 6) reports OVERLOAD"))

    assert found.action is Action.STOP
    assert found.cause == f"the arm is in {state.name}: gripper (servo 6) reports OVERLOAD"


def test_an_arm_that_held_by_itself_goes_on_when_all_has_been_well_for_a_while():
    dogs = Watchdogs(WatchdogLimits())
    silent = verdicts(dogs, 5, state=State.HOLD, heard=False, fault="elbow_flex did not answer")
    back = verdicts(dogs, 30, start_s=0.1, state=State.HOLD)

    assert {verdict.action for verdict in silent} == {Action.HOLD}
    assert "elbow_flex did not answer" in silent[0].cause
    actions = [verdict.action for verdict in back]
    assert actions[:20] == [Action.HOLD] * 20
    assert Action.GO in actions
    assert dogs.resumes == 1


def test_an_arm_that_holds_again_and_again_ends_the_run():
    dogs = Watchdogs(WatchdogLimits(resume_s=0.0, max_resumes=2))
    for _ in range(2):
        dogs.judge(GOOD._replace(state=State.HOLD, heard=False))
        dogs.judge(GOOD._replace(state=State.HOLD))
    found = dogs.judge(GOOD._replace(state=State.HOLD, fault="the supply sags"))

    assert found.action is Action.STOP
    assert "the supply sags, after 2 resumes" in found.cause
