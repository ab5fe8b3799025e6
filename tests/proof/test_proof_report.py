"""The result of an evaluation: in words on a robot host, and as the page of `compare`."""

from __future__ import annotations

import json
import math

import pytest

from soarm.errors import ProofError
from soarm.evaluation.results import UNSEEN, Results
from soarm.evaluation.summary import summarise
from soarm.proof import report, start, tally, verdict
from soarm.proof.attempt import DISCARDED, Attempt
from soarm.proof.folder import ProofFolder


@pytest.fixture
def judged(tmp_path, make_plan, make_ran):
    """Return a function that makes an evaluation of four spots whose trials came out as named, policy by policy."""

    def make(base, residual, name="proof"):
        folder = ProofFolder.create(tmp_path / name, *make_plan(4))
        left = {"base": list(base), "residual": list(residual)}
        for trial in range(8):
            which = folder.which(trial)
            for outcome in left[which].pop(0).split() if left[which] else []:
                seen_s = 2.0 if outcome == "success" else None
                ran = make_ran(success_s=seen_s, clamped=30 if which == "base" else 15)
                folder.save(trial, Attempt("none", "now", ran, outcome, ()))
        return folder

    return make


def test_the_result_is_said_without_the_packages_of_a_report(judged):
    folder = judged(["dropped"] * 3 + ["success"], ["success"] * 3 + ["discarded success"])

    assert tally.tally(folder) == tally.Tally(4, 1, 4, 3, 0)
    assert tally.lines(folder) == [
        "base policy: 1 of 4 spots solved; with the residual: 4 of 4",
        "gained 3, lost 0; exact McNemar p = 0.25",
        "discarded: 0 runs of the base, 1 with the residual",
    ]


def test_what_a_plan_can_show_is_said_before_it_begins():
    assert tally.can_show(4).startswith("4 spots cannot show any difference: p < 0.05 takes 6")
    assert "A true gain of 41 points" in tally.can_show(20)


def test_rows_have_what_a_person_sees_and_no_number_that_does_not_exist(judged):
    folder = judged(["dropped", "success", "missed_grasp", "success"], ["success"] * 4)
    base = verdict.results(folder, "base")

    assert base.seeds == (1, 2, 3, 4)
    assert sorted(base.column("outcome")) == ["dropped", "missed_grasp", "success", "success"]
    assert set(base.column("furthest_stage")) == {UNSEEN}
    for row, spot in zip(base.rows, folder.plan.spots, strict=True):
        assert row.value("cube_x_m") == pytest.approx(spot.places["cube"][0])
        assert row.value("cube_yaw_deg") == pytest.approx(spot.places["cube"][2])
        assert math.isnan(row.return_shaped)
        assert math.isnan(row.value("holding_at_end"))
        assert row.time_to_success_s == 2.0 if row.success else math.isnan(row.time_to_success_s)
    assert summarise(base).reached == {}


def test_the_report_is_that_of_compare_with_servos_and_safety_chain(judged):
    folder = judged(["dropped"] * 3 + ["success"], ["discarded success"] + ["success"] * 3)
    page, finding = report.write(folder)
    text, numbers = page.read_text(), json.loads((folder.path / "report.json").read_text())

    assert "ACT solves 1 of 4 scenes" in finding
    for words in (
        "exact McNemar p = 0.250",
        "95 % interval (Wilson)",
        "Failure classes as numbers",
        "Nobody looked at results before the last trial.",
        "Discarded and done again at the end: 0 runs of ACT, 1 of ACT + residual.",
        "Temperature of the servos over a trial",
        "<td>+2.0</td>".replace("<td>", '<td class="number">'),
    ):
        assert words in text, words
    assert "shaped return" not in text
    assert (numbers["gains"], numbers["regressions"], numbers["discarded"]) == (3, 0, {"base": 0, "residual": 1})
    assert numbers["safety"]["base"]["clamped"] == pytest.approx(0.2)
    assert numbers["servos"]["residual"]["gripper"] == {"rise_c": 2.0, "most_c": 34.0}
    assert Results.load(folder.path, "residual").success.all()
    assert sorted(path.name for path in (folder.path / "figures").glob("*.png")) == [
        "failures.png",
        "scenes.png",
        "success.png",
        "times.png",
    ]


def test_a_look_before_the_end_is_refused_or_recorded_and_said(judged):
    folder = judged(["dropped"] * 3, ["success"] * 3)
    with pytest.raises(ProofError, match=r"6 of 8 trials are done. A look before the end makes chance .* --unblind"):
        start.require_whole(folder, unblind=False)
    assert folder.looks() == ()

    start.require_whole(folder, unblind=True)
    text = report.write(folder).page.read_text()
    assert "This is an early look: 4 spots were planned." in text
    assert "after 6 of 8 trials. What came after it was not blind" in text


def test_a_report_needs_two_pairs(judged):
    with pytest.raises(ProofError, match="has 1 spots on which both policies are done; a report needs 2"):
        report.write(judged(["success"], ["success", DISCARDED]))
