"""What stands on the disk of an evaluation, and what is refused."""

from __future__ import annotations

import json

import pytest

from soarm.errors import ProofError
from soarm.proof import folder as folders
from soarm.proof.attempt import DISCARDED, Attempt
from soarm.proof.folder import ProofFolder


@pytest.fixture
def add(make_ran):
    """Return a function that adds a judged attempt to a trial of an evaluation."""

    def one(folder, trial, outcome):
        attempt = Attempt("log", folders.now(), make_ran(), outcome, ())
        folder.save(trial, attempt)
        return attempt

    return one


def test_an_evaluation_is_read_as_it_was_left(folder, add):
    attempt = add(folder, 0, "success")
    add(folder, 1, DISCARDED)
    add(folder, 1, "dropped")

    again = ProofFolder.open(folder.path)

    assert again.plan == folder.plan
    assert again.attempts(0) == (attempt,)
    assert [one.outcome for one in again.attempts(1)] == [DISCARDED, "dropped"]
    assert [again.which(i) for i in range(6)] == [folder.which(i) for i in range(6)]


def test_discarded_trials_are_due_after_all_others_the_seldom_tried_first(folder, add):
    due = []
    outcomes = iter([DISCARDED, "success", DISCARDED, "success", "success", "success", DISCARDED, "success", "success"])
    while (trial := folder.next_trial()) is not None:
        due.append(trial)
        add(folder, trial, next(outcomes))

    assert due == [0, 1, 2, 3, 4, 5, 0, 2, 0]
    assert folder.is_done


def test_a_pair_counts_once_both_policies_are_done(folder, add):
    add(folder, 0, "success")
    add(folder, 1, DISCARDED)

    assert folder.pairs() == {}
    assert (folder.n_done, folder.is_done) == (1, False)

    add(folder, 1, "dropped")
    (of,) = folder.pairs().values()
    assert {folder.outcome(trial) for trial in of.values()} == {"success", "dropped"}
    assert set(of) == {"base", "residual"}


def test_nothing_that_people_read_before_the_end_tells_which_policy_acts(folder, add):
    add(folder, 0, "success")

    for path in (folder.path / "plan.json", folder.path / "trials" / "001.json"):
        assert '"base"' not in path.read_text()


def test_an_assignment_that_was_changed_is_refused(folder):
    path = folder.path / "assignment.json"
    which = json.loads(path.read_text())["which"]
    path.write_text(json.dumps({"which": which[::-1]}) + "\n")

    with pytest.raises(ProofError, match=r"assignment.json is not that of the plan: it was changed"):
        ProofFolder.open(folder.path)


def test_a_folder_with_other_files_is_refused(tmp_path, make_plan):
    (tmp_path / "mine.txt").write_text("mine")

    with pytest.raises(ProofError, match="holds other files and no plan"):
        ProofFolder.create(tmp_path, *make_plan())
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_two_programs_do_not_run_the_trials_of_one_evaluation(folder):
    with folder.locked(), pytest.raises(ProofError, match="in use: another `soarm prove`"), folder.locked():
        pass


def test_a_log_that_a_kill_left_is_not_written_over(folder):
    first = folder.new_log(4)
    first.write_bytes(b"half")

    assert (first.name, folder.new_log(4).name) == ("005-1.log", "005-2.log")


def test_looks_before_the_end_are_kept_with_the_number_of_trials(folder, add):
    add(folder, 0, "success")
    folder.unblind()
    add(folder, 1, "success")
    folder.unblind()

    assert [look.trials for look in ProofFolder.open(folder.path).looks()] == [1, 2]


def test_a_correction_keeps_what_was_judged_before(folder, add):
    attempt = add(folder, 0, "success").judged("dropped")
    folder.save(0, attempt, again=True)

    (read,) = ProofFolder.open(folder.path).attempts(0)
    assert (read.outcome, read.before) == ("dropped", ("success",))


def test_the_first_session_fixes_the_conditions_and_others_are_refused_by_name(folder):
    folder.require_conditions({"arm": "calibration 1", "objects": "on their spots"})
    folder.require_conditions({"arm": "calibration 1", "objects": "on their spots"})

    message = "begun under other conditions: arm was calibration 1 and is calibration 2; limits was not given and is tight"
    with pytest.raises(ProofError, match=message):
        ProofFolder.open(folder.path).require_conditions(
            {"arm": "calibration 2", "objects": "on their spots", "limits": "tight"}
        )
