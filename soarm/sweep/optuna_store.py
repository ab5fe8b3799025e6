"""A sweep in Optuna: where its trials are kept, who draws them, who stops them early.

A journal file serves the processes of one machine, a database those of many.
"""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import optuna
from optuna.exceptions import DuplicatedStudyError, ExperimentalWarning, StorageInternalError
from optuna.pruners import MedianPruner
from optuna.samplers import TPESampler
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, Trial, TrialState
from sqlalchemy.exc import SQLAlchemyError

from soarm.errors import StageError
from soarm.sweep.search import Search
from soarm.sweep.swept import Swept
from soarm.tracking.forgiving import without_password

_SETTINGS, VALUES, HOST, BEAT, LOST, REASON = "settings", "values", "host", "beat", "lost", "reason"
_PATIENCE_S = 10.0
"""How long to wait for the settings of a sweep that another process has just begun."""
_SEEDS = 1_000_003
"""A prime, so that the trials of two seeds draw from different streams."""
GRACE_S = 900.0
"""A trial of another machine that has not been heard of for so long is lost, and is begun again [s]."""


class Store:
    """One sweep and its trials.

    Args:
        where: A file, or the URL of a database.
        name: Of the sweep.
        swept: The stage.
        settings: What all its trials have in common, as JSON has it; `searches` among it.
        seed: Draws of all its trials follow from it.
        begin: Whether to begin it, where there is none.

    Raises:
        StageError: The store cannot be used, has no such sweep, or holds a sweep of that name with other settings.
    """

    def __init__(
        self, where: str, name: str, swept: Swept, settings: Mapping[str, Any], seed: int, *, begin: bool = True
    ) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._seed = seed
        storage = _open(where)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            how: dict[str, Any] = {"storage": storage, "study_name": name, "pruner": MedianPruner(), "sampler": TPESampler()}
            try:
                if not begin and name not in optuna.get_all_study_names(storage):
                    raise StageError(f"{without_password(where)} has no sweep {name} to show; begin it without --show")
                self.study = optuna.create_study(direction=swept.direction, **how)
                self.study.set_user_attr(_SETTINGS, json.dumps(settings))
                self.is_new = True
            except DuplicatedStudyError:
                self.study = optuna.load_study(**how)
                self.is_new = False
                _require_same(self.study, name, settings)
            except SQLAlchemyError as error:
                raise _unusable(where, error) from None

    def trials(self) -> list[FrozenTrial]:
        """Return all trials, by number, without those that were lost and begun again."""
        return [one for one in self.study.get_trials(deepcopy=False) if not one.user_attrs.get(LOST)]

    def ask(self) -> Trial:
        """Begin a trial; nobody runs it before `draw` has named a machine."""
        return self.study.ask()

    def begin_with(self, searches: Sequence[Search]) -> None:
        """Have the first trial be params.yaml as it stands, where that is among what is searched."""
        values = {search.name: search.as_it_stands() for search in searches}
        if None not in values.values():
            self.study.enqueue_trial(values)

    def draw(self, trial: Trial, searches: Sequence[Search], host: str) -> dict[str, Any]:
        """Return the values of a trial that this machine runs from now on: name -> value; the same whenever they are drawn."""
        # With the trial's own stream: what is drawn does not depend on which process draws it. Trials that run count as bad
        # ones, so that two processes do not try the same.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            self.study.sampler = TPESampler(seed=self._seed * _SEEDS + trial.number, constant_liar=True)
        values = {search.name: search.draw(trial) for search in searches}
        trial.set_user_attr(VALUES, json.dumps(values))
        self.beat(trial)
        trial.set_user_attr(HOST, host)
        return values

    def again(self, found: FrozenTrial) -> Trial | None:
        """Return a trial whose process has ended, to go on with it; None where it is over."""
        if self.study.get_trials(deepcopy=False)[found.number].state != TrialState.RUNNING:
            return None
        return Trial(self.study, found._trial_id)  # Optuna has no other way back to a trial that runs

    def beat(self, trial: Trial) -> None:
        """Note that a trial goes on."""
        trial.set_user_attr(BEAT, time.time())

    def give_up_lost(self, host: str, now_s: float) -> list[int]:
        """Begin trials again that another machine has not been heard of for long, and return their numbers."""
        lost = []
        for one in self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            began_s = one.datetime_start.timestamp() if one.datetime_start else now_s
            if one.user_attrs.get(HOST) != host and now_s - one.user_attrs.get(BEAT, began_s) > GRACE_S:
                self.study._storage.set_trial_user_attr(one._trial_id, LOST, True)
                self.study.tell(one.number, state=TrialState.FAIL, skip_if_finished=True)
                self.study.enqueue_trial(one.params)
                lost.append(one.number)
        return lost

    def end(self, trial: Trial, state: TrialState, value: float | None = None, reason: str = "") -> None:
        """End a trial."""
        if reason:
            trial.set_user_attr(REASON, reason)
        self.study.tell(trial, value, state)


def values_of(trial: FrozenTrial) -> dict[str, Any]:
    """Return what a trial changes in the stage's parameters: name -> value; empty before it is drawn."""
    found: dict[str, Any] = json.loads(trial.user_attrs.get(VALUES, "{}"))
    return found


def _open(where: str) -> BaseStorage:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            if "://" in where:
                return RDBStorage(where)
            Path(where).parent.mkdir(parents=True, exist_ok=True)
            return JournalStorage(JournalFileBackend(where))
    except (OSError, ValueError, KeyError) as error:  # KeyError: lines of JSON that are no journal
        raise StageError(f"{where} is no journal of a sweep, or cannot be written ({error}); name another --storage") from None
    except (SQLAlchemyError, StorageInternalError, ImportError) as error:
        raise _unusable(where, error) from None


def _unusable(where: str, error: Exception) -> StageError:
    reason = str(error).strip().partition("\n")[0]
    return StageError(
        f"the database {without_password(where)} cannot be used ({reason}); --storage takes a file, or a URL of SQLAlchemy "
        "such as postgresql+psycopg://user@host/name, whose driver has to be installed (here the extra `postgresql`)"
    )


def _require_same(study: optuna.Study, name: str, settings: Mapping[str, Any]) -> None:
    """Refuse to add trials to a sweep that has others, which cannot be compared with them."""
    give_up_s = time.monotonic() + _PATIENCE_S
    while (said := study.user_attrs.get(_SETTINGS)) is None and time.monotonic() < give_up_s:
        time.sleep(0.1)
    found = _flat(json.loads(said)) if said else {}
    wanted = _flat(settings)
    different = [key for key in [*wanted, *(found.keys() - wanted.keys())] if found.get(key) != wanted.get(key)]

    def told(key: str) -> str:
        return key if key in wanted and key in found else f"{'now' if key in wanted else 'then'}: {key}"

    if different:
        raise StageError(
            f"the sweep {name} cannot go on, because other trials could not be compared with the ones it has. This is not as "
            "it was when it began:\n  " + "\n  ".join(map(told, different)) + "\nPut it back, or begin another with --name"
        )


def _flat(settings: Mapping[str, Any]) -> dict[str, str]:
    """Return settings by the words that name them in a message."""
    return {
        "the stage": settings["stage"],
        "--search " + " --search ".join(map(repr, settings["searches"])): "",
        **settings["fingerprint"],
    }
