"""Lines of `study.variants` become runs, or are refused with what is wrong."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from soarm import params as params_file
from soarm.act.model import ACT
from soarm.errors import ParamsError
from soarm.params import build
from soarm.residual.training import TrainResidualParams
from soarm.spec import ENVIRONMENT_STATE, STATE
from soarm.study.methods import METHODS
from soarm.study.run import find_method
from soarm.study.variants import StudyParams, params_of, rechunked, require_seed

COMMON = {
    "method": "residual",
    "residual": {},
    "act": {},
    "bound_factor": 1.0,
    "seeds": None,
    "env_steps": None,
    "options": {},
    "reference": "residual",
}
SECTION: dict[str, Any] = {
    "seeds": [0, 1],
    "env_steps": 700,
    "test": {"n_scenes": 2, "n_rows": 2, "n_threads": 1, "knocked_away_m": 0.03},
    "bootstrap_resamples": 100,
    "common": {**COMMON, "residual": {"validation": {"every": 50}}},
    "variants": {"residual": {"label": "r", "seeds": [3]}, "other": {"label": "o", "residual": {"layer_norm": False}}},
}


def study(**changes: Any) -> StudyParams:
    return build(StudyParams, {**SECTION, **changes}, "study")


def one(**line: Any) -> StudyParams:
    return study(variants={"residual": {"label": "r", **line}})


def test_runs_are_variants_with_the_common_seeds_or_their_own() -> None:
    assert study().runs() == [("residual", 3), ("other", 0), ("other", 1)]


def test_a_variant_has_the_common_budget_or_its_own() -> None:
    params = study(variants={**SECTION["variants"], "longer": {"label": "l", "env_steps": 9000}})

    assert [params.budget(name) for name in ("residual", "longer")] == [700, 9000]


def test_a_variant_s_changes_lie_over_the_common_ones_and_both_over_the_stage_s(ci_params: params_file.Params) -> None:
    section = ci_params.section("train_residual", TrainResidualParams)
    params, variant = study(), study().variant("other")
    changed = params_of(variant, "other", section, params.env_steps)

    validation = dataclasses.replace(section.validation, every=50)
    assert changed == dataclasses.replace(section, env_steps=700, layer_norm=False, validation=validation)


def test_a_variant_may_play_the_base_s_chunks_differently_with_the_same_weights(base: ACT) -> None:
    variant = one(act={"n_action_steps": 1, "temporal_ensemble_coeff": 0.01}).variant("residual")
    played = rechunked(base, variant, "residual")
    seen = {STATE: np.ones((2, 6), np.float32), ENVIRONMENT_STATE: np.ones((2, 7), np.float32)}

    assert (played.spec.n_action_steps, played.spec.temporal_ensemble_coeff) == (1, 0.01)
    assert (base.spec.n_action_steps, base.spec.temporal_ensemble_coeff) == (3, None)
    np.testing.assert_array_equal(played.predict_chunks(seen), base.predict_chunks(seen))


def test_every_line_of_params_yaml_is_a_run_that_can_start(ci_params: params_file.Params) -> None:
    section = ci_params.section("train_residual", TrainResidualParams)
    params = ci_params.section("study", StudyParams)
    for name in params.variants:
        variant = params.variant(name)

        assert find_method(variant, name, METHODS) is METHODS[variant.method]
        assert params_of(variant, name, section, params.budget(name)).env_steps == params.budget(name)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ({"residul": {}}, r"study\.variants\.residual has unknown keys \['residul'\]; legal keys are .*'bound_factor'"),
        ({"act": {"dim_model": 8}}, r"act has unknown keys \['dim_model'\]; a variant can change \['n_action_steps'"),
        (
            {"residual": {"env_steps": 5}},
            r"residual sets env_steps; the budget is study\.env_steps, or the variant.s own env_steps",
        ),
        ({"bound_factor": 0.0}, r"bound_factor is 0\.0; it must be above 0"),
        ({"seeds": [0, 10]}, r"seeds\[1\] is 10; it must be at least 0 and at most 9"),
        ({"seeds": [1, 1]}, r"seeds is \[1, 1\]; it must be entries that differ"),
    ],
)
def test_a_line_that_does_not_fit_is_refused(line: dict[str, Any], message: str) -> None:
    with pytest.raises(ParamsError, match=message):
        one(**line).variant("residual")


def test_changes_of_what_the_stage_does_not_have_are_refused(ci_params: params_file.Params) -> None:
    section = ci_params.section("train_residual", TrainResidualParams)
    variant = one(residual={"learner": {"penalti": 0.0}}).variant("residual")

    with pytest.raises(
        ParamsError, match=r"residual\.residual\.learner has unknown keys \['penalti'\]; legal keys are .*'penalty'"
    ):
        params_of(variant, "residual", section, 700)


def test_chunks_that_cannot_be_played_are_refused(base: ACT) -> None:
    variant = one(act={"n_action_steps": 99}).variant("residual")

    with pytest.raises(
        ParamsError, match=r"variants\.residual\.act: n_action_steps is 99; it must be in 1\.\.chunk_size \(5\)"
    ):
        rechunked(base, variant, "residual")


def test_unknown_variants_methods_and_seeds_are_named_with_what_there_is() -> None:
    with pytest.raises(ParamsError, match=r"study has no variant 'ppoo'; params\.yaml has \['residual', 'other'\]"):
        study().variant("ppoo")
    with pytest.raises(ParamsError, match=r"study\.variants\.residual: method is 'sac'; there are .*'residual'"):
        find_method(one(method="sac").variant("residual"), "residual", METHODS)
    with pytest.raises(ParamsError, match=r"seed is 10; allowed are 0\.\.9"):
        require_seed(10)


def test_a_study_without_its_reference_is_refused() -> None:
    with pytest.raises(ParamsError, match=r"variants are \['other'\]; residual must be one"):
        study(variants={"other": {"label": "o"}})
    with pytest.raises(ParamsError, match=r"variant residual has the reference 'before'; it must be one of \['residual'\]"):
        one(reference="before")
    with pytest.raises(ParamsError, match=r"variant residual has the reference 'before'; it must be one of \['residual'\]"):
        study(common={**COMMON, "reference": "before"}, variants={"residual": {"label": "r"}})
