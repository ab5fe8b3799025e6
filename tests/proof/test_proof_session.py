"""Sessions without an arm: what is asked and saved, in which order, and what is shown."""

from __future__ import annotations

import pytest

from soarm.errors import FaultError, TeleopError
from soarm.proof import person, session
from soarm.proof.attempt import DISCARDED
from soarm.proof.folder import ProofFolder
from soarm.runtime.run_report import TOLD_TO_STOP
from soarm.tasks.pick_place import TASK


@pytest.fixture
def sit(folder, make_ran):
    """Return a function that runs a session with keys pressed in turn: whether it is done, what was said, who acted."""

    def run(keys, **changes):
        waiting, said, ran = list(keys), [], []

        def pressed(allowed):
            assert waiting, f"one of {list(allowed)} is asked for after the last key"
            key = waiting.pop(0)
            assert key in allowed, (key, allowed, said[-3:])
            return key

        def runner(spot, which, path, ended):
            path.write_bytes(b"log")
            ran.append((spot.number, which))
            ended()
            return make_ran(**changes)

        at = person.AtTerminal(TASK, said.append, pressed)
        done = session.run(folder, at, runner, said.append)
        assert not waiting
        return done, "\n".join(said), ran

    return run


def outcomes(folder):
    return [[attempt.outcome for attempt in folder.attempts(i)] for i in range(len(folder.plan.trials))]


def test_a_session_runs_every_spot_with_both_policies_as_planned(folder, sit):
    done, said, ran = sit("\ns\nf4\ns\ns\nf5\ns")

    assert done
    assert ran == [(number, folder.which(i)) for i, number in enumerate(folder.plan.trials)]
    assert outcomes(folder) == [["success"], ["dropped"], ["success"], ["success"], ["missed_grasp"], ["success"]]
    assert "Put the cube on spot" in said
    assert "place A as before" in said


def test_nothing_that_is_said_tells_which_policy_acts_or_who_succeeds(sit):
    _, said, _ = sit("\ns" * 6, cause="the residual's correction is not finite", ended_well=False, success_s=None)

    shown = said.replace("it is done again", "")
    assert "the policy failed; the log says how" in shown
    for word in ("residual", "base", "ACT", "correction"):
        assert word not in shown
    assert "6 of 6 trials are done" in shown


def test_a_session_that_was_left_goes_on_where_it_stands(folder, sit):
    done, said, _ = sit("\ns\ndq")
    assert not done
    assert "it is done again at the end" in said

    again = ProofFolder.open(folder.path)
    assert again.next_trial() == 2
    assert outcomes(again) == [["success"], [DISCARDED], [], [], [], []]

    done, said, ran = sit("\ns" * 5)
    assert done
    assert ran[-1][0] == folder.plan.trials[1]
    assert "Trial 2 again" in said
    assert outcomes(folder)[1] == [DISCARDED, "success"]


def test_a_run_is_saved_before_it_is_judged_and_the_judgement_before_anything_is_shown(folder, sit, make_ran):
    class Leaves:
        judges_stopped_runs = True

        def ready(self, ask):
            return session.Answer.RUN

        def run_over(self):
            pass

        def judge(self, trial, cause):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        session.run(folder, Leaves(), lambda *_: make_ran(), lambda text: None)
    assert outcomes(ProofFolder.open(folder.path))[0] == [None]

    done, said, ran = sit("f1q")
    assert said.startswith("Trial 1: the cube lies in the bin?"), "it is asked first, and not run again"
    assert (done, ran) == (False, [])
    assert outcomes(ProofFolder.open(folder.path))[0] == ["timed_out"]


def test_the_last_judgement_can_be_corrected_and_the_first_one_is_kept(folder, sit):
    sit("\nscf2q")

    (attempt,) = ProofFolder.open(folder.path).attempts(0)
    assert (attempt.outcome, attempt.before) == ("timed_out_holding", ("success",))


def test_an_arm_that_cannot_be_driven_ends_the_session_with_its_error_and_no_trial(folder):
    def broken(*_):
        raise FaultError("the supply is 3 V")

    at = person.AtTerminal(TASK, lambda text: None, lambda allowed: "\n")
    with pytest.raises(FaultError, match="3 V"):
        session.run(folder, at, broken, lambda text: None)
    assert outcomes(folder) == [[]] * 6


def test_a_run_that_ctrl_c_stopped_is_judged_by_a_person_and_not_by_the_simulator(folder, sit, make_ran):
    _, said, _ = sit("\nf1q", cause=TOLD_TO_STOP, success_s=None)
    assert "stopped by itself" not in said

    class Simulator:
        judges_stopped_runs = False

        def ready(self, ask):
            return session.Answer.RUN

        def run_over(self):
            pass

    assert not session.run(folder, Simulator(), lambda *_: make_ran(cause=TOLD_TO_STOP), lambda text: None)
    assert outcomes(folder)[1] == []


def test_an_arm_that_stopped_by_itself_is_told_with_its_cause(sit):
    _, said, _ = sit("\ndq", cause="gripper (servo 6) reports OVERLOAD", ended_well=False, success_s=None)

    assert "stopped by itself: gripper (servo 6) reports OVERLOAD. If the policy brought it about, it is a failure" in said


def test_without_a_terminal_no_session_begins():
    with pytest.raises(TeleopError, match="no terminal"):
        person.require_terminal()
