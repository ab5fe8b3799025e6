from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import pytest

from soarm import gauntlet, params
from soarm.errors import ParamsError
from soarm.evaluation.results import EpisodeRow, Results
from soarm.gauntlet import UNPERTURBED, GauntletParams, RowParams
from soarm.params import build
from soarm.report import desk
from soarm.sim.params import SimParams
from soarm.tasks.pick_place import TASK

PARAMS_FILE = Path(__file__).parents[1] / "params.yaml"
LATE = RowParams("late", {"observation_error": {"delay_s": [0.066, 0.066]}})
HEAVY = RowParams("heavy", {"physics": {"cube_mass_kg": [0.04, 0.04]}})


def results(solved: str) -> Results:
    """Return rows of scenes, `1` solved and `0` not."""
    of_task = {column.name: column.kind(0) for column in (*TASK.ending_columns, *TASK.scene_columns)}
    made = [
        EpisodeRow(i, won == "1", "success" if won == "1" else "dropped", "lift", 30, math.nan, 0.0, 0.0, 1.0, 1.0, of_task)
        for i, won in enumerate(solved)
    ]
    return Results(tuple(made), TASK)


def test_rows_start_from_the_task_s_own_simulator_whatever_the_profile_trains_under(sim: SimParams) -> None:
    trained = dataclasses.replace(
        sim,
        physics=dataclasses.replace(sim.physics, zero_deg=(-2.0, 2.0)),
        observation_error=dataclasses.replace(sim.observation_error, jitter_m=(0.0, 0.01)),
    )
    found = gauntlet.rows_of(GauntletParams(10, None, {"late": LATE, "heavy": HEAVY}), trained, sim)

    assert list(found) == [UNPERTURBED, "late", "heavy"]
    assert found[UNPERTURBED].sim == sim
    assert found["heavy"].sim == dataclasses.replace(sim, physics=dataclasses.replace(sim.physics, cube_mass_kg=(0.04, 0.04)))
    assert found["late"].sim.observation_error.delay_s == (0.066, 0.066)


def test_only_the_named_rows_are_run_beside_the_unperturbed_one(sim: SimParams) -> None:
    found = gauntlet.rows_of(GauntletParams(10, ("heavy",), {"late": LATE, "heavy": HEAVY}), sim, sim)

    assert list(found) == [UNPERTURBED, "heavy"]


def test_where_an_eye_tells_rows_of_tellings_are_left_out(sim: SimParams) -> None:
    seeing = dataclasses.replace(sim, objects_from="eye", cameras={"front": None})
    found = gauntlet.rows_of(GauntletParams(10, None, {"late": LATE, "heavy": HEAVY}), seeing, sim)

    assert list(found) == [UNPERTURBED, "heavy"]
    assert found["heavy"].sim.objects_from == "eye"


def test_every_row_that_does_not_fit_is_named(sim: SimParams) -> None:
    wrong = {"a": RowParams("a", {"physics": {"cube_mass": [1, 1]}}), "b": RowParams("b", {"servos": {"law": "stepper"}})}

    with pytest.raises(ParamsError, match=r"(?s)gauntlet\.rows\.a\.sim.*cube_mass.*gauntlet\.rows\.b\.sim.*stepper"):
        gauntlet.rows_of(GauntletParams(10, None, wrong), sim, sim)


@pytest.mark.parametrize(
    ("changed", "message"),
    [({"only": ["lat"]}, r"only names the rows \['lat'\].*there are \['late'\]"), ({"rows": {UNPERTURBED: {}}}, "call yours")],
)
def test_names_that_there_are_not_are_refused(changed: dict[str, Any], message: str) -> None:
    section = {"n_scenes": 10, "only": None, "rows": {"late": {"label": "late", "sim": {}}}} | changed
    for row in section["rows"].values():
        row |= {"label": "late", "sim": {}}

    with pytest.raises(ParamsError, match=message):
        build(GauntletParams, section, "gauntlet")


@pytest.mark.parametrize("task", ["pick_place", "push", "stack"])
def test_every_row_of_params_yaml_fits_every_task(task: str) -> None:
    loaded = params.load(PARAMS_FILE, task)
    plain = loaded.without_profile().section("sim", SimParams)
    section = loaded.section("gauntlet", GauntletParams)
    found = gauntlet.rows_of(section, loaded.section("sim", SimParams), plain)

    assert set(found) == {UNPERTURBED, *section.rows}
    assert found["mild_mix"].sim.tells_wrongly
    assert not found["mild_mix"].sim.plain_servos


def test_rows_are_paired_with_the_unperturbed_scenes() -> None:
    found = gauntlet.crossed({UNPERTURBED: results("1111110000"), "late": results("1110001000")})

    assert found["late"].to_dict()["success_rate"] == 0.4
    assert (found["late"].lost, found["late"].gained, found["late"].mcnemar_p) == (3, 1, 0.625)
    assert (found[UNPERTURBED].lost, found[UNPERTURBED].gained) == (0, 0)


def test_the_report_has_a_line_per_row_and_names_the_worst(tmp_path: Path) -> None:
    base = gauntlet.crossed({UNPERTURBED: results("1100000000"), "late": results("1000000000")})
    residual = gauntlet.crossed({UNPERTURBED: results("1111111111"), "late": results("1111111000")})
    table = desk.table({UNPERTURBED: "unperturbed", "late": "tracker 66 ms late"}, {"base": base, "residual": residual})
    (tmp_path / desk.TABLE).write_text(json.dumps(table))
    lines = desk.load(tmp_path)
    html = "".join(desk.section(lines).parts)

    assert "ACT + residual solves 100.0\xa0% unperturbed and at least 70.0\xa0% otherwise (tracker 66 ms late)." in html
    assert "3 / 0" in html
    assert "<svg" in html
