from __future__ import annotations

import math
from pathlib import Path

from soarm.evaluation.statistics import Interval
from soarm.evaluation.summary import Summary
from soarm.report.eye import of_eye
from soarm.report.gallery import of_trials, save_all

ERRORS = [
    {"thing": thing, "frames": frames, "n": 10, "median_mm": 1.5, "p90_mm": 4.0, "median_deg": deg, "p90_deg": 2 * deg}
    for thing, deg in (("cube", 1.0), ("bin", float("nan")))
    for frames in ("all", "seen", "hidden")
]


def test_the_errors_of_every_object_are_drawn_and_turns_of_those_that_have_one(tmp_path: Path) -> None:
    made = of_eye(ERRORS)
    save_all(made, tmp_path)

    assert [figure.name for figure in made] == ["eye_errors", "eye_turns"]
    assert made[0].finding == "While cube can be seen: median 1.5 mm. While bin can be seen: median 1.5 mm."
    assert {row["thing"] for row in made[1].table} == {"cube"}
    assert len(list(tmp_path.glob("*.png"))) == 2


def test_success_without_an_eye_is_drawn_where_there_are_other_ways(tmp_path: Path) -> None:
    some = Summary(40, 0.5, Interval(0.4, 0.6), 0.0, 0.5, math.nan, 1.0, 1.0, 1.0, {}, {})

    (figure,) = of_trials({"eye": some, "true_poses": some, "blank_pictures": some})
    save_all([figure], tmp_path)

    assert "told the true poses 40" in figure.how
    assert of_trials({"eye": some}) == []
