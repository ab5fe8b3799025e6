"""What may be typed after --search, and what is said of what may not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from soarm import params as params_file
from soarm.act.params import TrainActParams
from soarm.errors import ParamsError
from soarm.residual.training import TrainResidualParams
from soarm.sweep import swept
from soarm.sweep.search import Search, nested, parse

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def section() -> TrainResidualParams:
    return (
        params_file.load(ROOT / "params.yaml", "pick_place").without_profile().section("train_residual", TrainResidualParams)
    )


def one(text: str, section: Any) -> Search:
    return parse([text, "hidden=[8] | [9]"], section, "train_residual")[0]


@pytest.mark.parametrize(
    ("text", "ends", "log", "choices"),
    [
        ("learner.actor_lr=1e-4..1e-3 log", (1e-4, 1e-3), True, {}),
        (" exploration.start_std = 0.05 .. 0.3 ", (0.05, 0.3), False, {}),
        ("n_critics=2..8", (2, 8), False, {}),
        ("learner.gamma=0.9 | 0.99", None, False, {"0.9": 0.9, "0.99": 0.99}),
        ("learner.actor_lr=1e-5 | 1e-4", None, False, {"1e-5": 1e-5, "1e-4": 1e-4}),
        ("learner.overlap=true|false", None, False, {"true": True, "false": False}),
        ("learner.q_term_on=own | all", None, False, {"own": "own", "all": "all"}),
        ("severity_growth=null | [600, 2000]", None, False, {"null": None, "[600, 2000]": [600, 2000]}),
        ("env_steps=100000", None, False, {"100000": 100_000}),
    ],
)
def test_ranges_and_values_are_read(
    section: TrainResidualParams, text: str, ends: Any, log: bool, choices: dict[str, Any]
) -> None:
    found = one(text, section)

    assert (found.ends, found.log, found.choices) == (ends, log, choices)
    assert [type(end) for end in found.ends or ()] == [type(end) for end in ends or ()]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("learner.actor_lrr=1e-4..1e-3", r"learner\.actor_lrr is no parameter: there is no 'actor_lrr' among \['critic_lr', "),
        ("env_steps.x=1..2", r"env_steps\.x is no parameter: nothing lies below 'x'"),
        ("learner.gamma=0.9..1.5", r"learner\.gamma is 1\.5; it must be above 0 and at most 1"),
        ("learner.gamma=0.9..nan", r"0\.9\.\.nan has an end that is no number"),
        ("n_critics=1 | 3", r"n_critics is 1; it must be at least 2 and at most 100: targets take the least of two heads"),
        ("n_critics=2.5..8", "a range lies between two whole numbers"),
        ("learner.critic_lr=1e-3..1e-4", r"0\.001 is not below 0\.0001; write the lesser number first"),
        ("average_steps=0..10 log", "it begins at 0, which has no logarithm"),
        ("hidden=64..128", r"hidden is no number, so there is nothing between two of its values; write NAME=A \| B"),
        ("learner=1 | 2", r"learner is 1; it must be a mapping"),
        ("hidden=[64 | 32", "brackets and quotes have to be closed"),
        ("learner.gamma=", "it is no search; write NAME=LOW..HIGH"),
        ("learner.gamma=0.9..1 lg", "it is no range; write NAME=LOW..HIGH"),
        ("learner.gamma=0.9 | ", "a value is missing"),
        ("env_steps=10 | 20", "env_steps is 10, but the prefill alone takes 16000"),
    ],
)
def test_what_cannot_be_searched_is_said_before_anything_starts(section: TrainResidualParams, text: str, message: str) -> None:
    with pytest.raises(ParamsError, match=message):
        one(text, section)


def test_every_fault_is_listed(section: TrainResidualParams) -> None:
    with pytest.raises(ParamsError) as caught:
        parse(["x=1", "learner.gamma=2..3", "n_envs=1..4"], section, "train_residual")

    assert [line.partition("is")[0].strip() for line in str(caught.value).splitlines()[1:]] == [
        "--search 'x=1': train_residual.x",
        "--search learner.gamma: train_residual.learner.gamma",
        "--search learner.gamma: train_residual.learner.gamma",
    ]


def test_a_parameter_is_searched_once_and_something_differs(section: TrainResidualParams) -> None:
    with pytest.raises(ParamsError, match="n_envs is given twice"):
        parse(["n_envs=1..4", "n_envs=2..3"], section, "train_residual")
    with pytest.raises(ParamsError, match="nothing that differs between trials"):
        parse(["n_envs=4"], section, "train_residual")


def test_values_for_all_trials_are_checked_together_and_ends_with_them(section: TrainResidualParams) -> None:
    found = parse(["env_steps=3000", "exploration.prefill_steps=1000", "n_envs=2..4"], section, "train_residual")

    assert [search.differs for search in found] == [False, False, True]
    with pytest.raises(ParamsError, match="of one value each: train_residual: env_steps is 3000, but the prefill"):
        parse(["env_steps=3000", "n_envs=2..4"], section, "train_residual")


@pytest.mark.parametrize("stage", swept.STAGES)
def test_what_trials_are_judged_by_cannot_differ(stage: str) -> None:
    found = swept.find(stage)
    section = params_file.load(ROOT / "params.yaml", "pick_place").section(stage, found.params)
    for name in ("validation.n_scenes", "log_every") if stage == "train_residual" else ("val_windows",):
        with pytest.raises(ParamsError, match=rf"trials are compared by {name}, so it cannot differ"):
            parse([f"{name}=50 | 100"], section, stage, found.judges)
    assert "test" not in found.metric


def test_stages_that_see_test_scenes_cannot_be_swept() -> None:
    assert {swept.find("train_act").params, swept.find("train_residual").params} == {TrainActParams, TrainResidualParams}
    with pytest.raises(ParamsError, match="'compare' cannot be swept; train_residual and train_act can"):
        swept.find("compare")


class Drawer:
    """Draws what it is told to."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def suggest_float(self, name: str, low: float, high: float, *, log: bool) -> float:
        return float(self.value)


@pytest.mark.parametrize(
    ("drawn", "used"), [(0.000423711, 0.000424), (3e-5, 3.01e-05), (0.0009999, 0.001), (0.00030000001, 0.0003), (3e-4, 3e-4)]
)
def test_numbers_are_drawn_with_three_digits_and_as_yaml_reads_them(
    section: TrainResidualParams, drawn: float, used: float
) -> None:
    search = one("learner.actor_lr=1e-5..1e-3 log", section)
    found = search.draw(Drawer(drawn))  # type: ignore[arg-type]

    assert found == used
    assert "e" not in repr(found) or "." in repr(found)


def test_what_params_yaml_says_is_known_where_it_is_among_what_is_searched(section: TrainResidualParams) -> None:
    assert one("learner.actor_lr=1e-4..1e-3", section).as_it_stands() == 3e-4
    assert one("learner.actor_lr=1e-5..1e-4", section).as_it_stands() is None
    assert parse(["hidden=[64,64] | [128, 128]"], section, "train_residual")[0].as_it_stands() == "[128, 128]"
    assert parse(["hidden=[64,64] | [32]"], section, "train_residual")[0].as_it_stands() is None
    assert one("env_steps=100000", section).as_it_stands() == "100000"


def test_dotted_names_become_nested() -> None:
    assert nested({"a.b": 1, "a.c.d": 2, "e": 3}) == {"a": {"b": 1, "c": {"d": 2}}, "e": 3}
