"""What a sweep found: its trials as a table, which parameters mattered, and the command that makes the best trial again."""

from __future__ import annotations

import shlex
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.importance import PedAnovaImportanceEvaluator
from optuna.trial import FrozenTrial, TrialState

from soarm.sweep.basis import Basis
from soarm.sweep.optuna_store import REASON, values_of
from soarm.sweep.search import Search
from soarm.sweep.swept import Swept

_STATES = {
    TrialState.COMPLETE: "done",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
    TrialState.RUNNING: "running",
    TrialState.WAITING: "waiting",
}
_FOR_IMPORTANCE = 10
"""Finished trials from which on it is told which parameters mattered; of fewer it would be chance."""


def best(swept: Swept, trials: Sequence[FrozenTrial]) -> FrozenTrial | None:
    """Return the trial with the best value, the first among equals; None where none is done."""
    found = None
    for one in trials:
        if one.state != TrialState.COMPLETE or one.value is None:
            continue
        if found is None or found.value is None or swept.is_better(one.value, found.value):
            found = one
    return found


def words(values: Mapping[str, Any], searches: Sequence[Search]) -> str:
    """Return the parameters in which trials differ as a person reads them."""
    differ = [search.name for search in searches if search.differs]
    return ", ".join(f"{name}={_typed(values[name])}" for name in differ if name in values)


def command(basis: Basis, values: Mapping[str, Any]) -> str:
    """Return what makes a trial again, with all that follows from it: `dvc exp run` with the parameters that it changes."""
    section = basis.params.sections[basis.stage]
    changes = [f"{basis.address(name)}={_typed(value)}" for name, value in values.items() if _at(section, name) != value]
    return " ".join(["dvc exp run --temp", *(f"-S {shlex.quote(change)}" for change in changes)])


def told(basis: Basis, best: FrozenTrial) -> list[str]:
    """Return which trial is the best and how to make it again, a line each."""
    typed = command(basis, values_of(best))
    as_it_stands = "" if " -S " in typed else ", which is params.yaml as it stands"
    return [f"the best is trial {best.number}{as_it_stands}. What it is worth on test scenes:", "", f"    {typed}"]


def line(swept: Swept, trials: Sequence[FrozenTrial], number: int) -> str:
    """Return how a trial ended and how far the sweep is, of all processes."""
    own = next(one for one in trials if one.number == number)
    counts = [f"{sum(one.state == state for one in trials)} {word}" for state, word in _STATES.items()]
    found = best(swept, trials)
    tells = f"; best {found.value:.4g} (trial {found.number})" if found is not None else ""
    value = f" {own.value:.4g}" if own.state == TrialState.COMPLETE else ""
    return f"trial {number} {_STATES[own.state]}{value}{tells}; " + ", ".join(one for one in counts if one[0] != "0")


def table(swept: Swept, trials: Sequence[FrozenTrial], searches: Sequence[Search]) -> list[str]:
    """Return a line per trial: number, state, value, last step, minutes, parameters; the best has a star."""
    lines = [f"{'trial':>5}  {'state':<8}{swept.metric:>20}{'step':>9}{'minutes':>9}  parameters"]
    found = best(swept, trials)
    for one in trials:
        last = max(one.intermediate_values, default=None)
        value = one.value if one.value is not None else one.intermediate_values.get(last) if last is not None else None
        took = f"{one.duration.total_seconds() / 60:.1f}" if one.duration is not None else ""
        told = " *" if one is found else f" ({reason})" if (reason := one.user_attrs.get(REASON)) else ""
        lines.append(
            f"{one.number:>5}  {_STATES[one.state]:<8}{'' if value is None else f'{value:.4g}':>20}"
            f"{'' if last is None else last:>9}{took:>9}  {words(values_of(one), searches)}{told}"
        )
    return lines


def importances(study: optuna.Study) -> dict[str, float]:
    """Return the share of each parameter in how good trials differ from the others, by PED-ANOVA; empty of too few trials.

    Watanabe et al. 2023, arXiv 2304.10255.
    """
    done = [one for one in study.get_trials(deepcopy=False) if one.state == TrialState.COMPLETE]
    if len(done) < _FOR_IMPORTANCE or len({one.value for one in done}) < 2:
        return {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        return dict(optuna.importance.get_param_importances(study, evaluator=PedAnovaImportanceEvaluator()))


def as_data(swept: Swept, basis: Basis, study: optuna.Study, trials: Sequence[FrozenTrial]) -> dict[str, Any]:
    """Return all of it for a program to read."""
    found = best(swept, trials)
    return {
        "sweep": study.study_name,
        "stage": swept.stage,
        "metric": swept.metric,
        "direction": swept.direction,
        "best": None if found is None else found.number,
        "command": None if found is None else command(basis, values_of(found)),
        "importances": importances(study),
        "trials": [
            {
                "number": one.number,
                "state": _STATES[one.state],
                "value": one.value,
                "validations": {str(step): value for step, value in one.intermediate_values.items()},
                "seconds": None if one.duration is None else one.duration.total_seconds(),
                "parameters": values_of(one),
                "reason": one.user_attrs.get(REASON),
            }
            for one in trials
        ],
    }


def _typed(value: Any) -> str:
    """Return a value as it is typed after `-S NAME=`."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return f"[{','.join(map(_typed, value))}]"
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{key}: {_typed(inner)}" for key, inner in value.items()) + "}"
    return str(value)


def _at(section: Any, name: str) -> Any:
    for part in name.split("."):
        section = section.get(part) if isinstance(section, Mapping) else None
    return section
