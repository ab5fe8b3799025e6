"""Trial after trial, until the sweep has as many as were asked for.

Any number of processes may do so at once, on one machine or, with a database, on many. Each of them first looks for a trial
that a kill left on its machine, and goes on with it from its checkpoint.
"""

from __future__ import annotations

import functools
import logging
import platform
import signal
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from optuna.trial import Trial, TrialState

from soarm.errors import StageError
from soarm.signals import StopRequests, recorded_signals
from soarm.sweep import outcome
from soarm.sweep.attempt import Attempt, attempt
from soarm.sweep.basis import Basis
from soarm.sweep.optuna_store import HOST, Store
from soarm.sweep.search import Search, parse
from soarm.sweep.swept import Swept

logger = logging.getLogger(__name__)
FOLDER = Path("runs", "sweeps")
"""Sweeps of a repository, ignored by git."""
_LOOK_S = 0.25
_BEAT_S = 60.0
_MOST_FAILURES = 3


@dataclass(frozen=True)
class Sweep:
    """A sweep of a repository.

    Attributes:
        swept: The stage.
        basis: What its trials have in common.
        searches: What is searched.
        folder: For its trials.
        store: Where Optuna keeps them.
        host: This machine.
    """

    swept: Swept
    basis: Basis
    searches: tuple[Search, ...]
    folder: Path
    store: Store
    host: str

    def lines(self) -> list[str]:
        """Return what the sweep found, for a person."""
        trials = self.store.trials()
        lines = outcome.table(self.swept, trials, self.searches)
        if shares := outcome.importances(self.store.study):
            lines += ["", "what mattered: " + ", ".join(f"{name} {share:.0%}" for name, share in shares.items())]
        if (best := outcome.best(self.swept, trials)) is not None:
            lines += ["", *outcome.told(self.basis, best)]
        return lines

    @classmethod
    def open(cls, swept: Swept, texts: list[str], name: str, storage: str | None, root: Path, *, begin: bool = True) -> Sweep:
        """Open a sweep, or begin it.

        Args:
            swept: The stage.
            texts: What is searched, in any order; see `soarm.sweep.search`.
            name: Of the sweep.
            storage: A file, or the URL of a database; None for a file in the folder of the sweep.
            root: Root of the repository.
            begin: Whether to begin it, where there is none.

        Raises:
            ParamsError: What is searched does not fit.
            StageError: An input of the stage is missing, the storage cannot be used, or the sweep there is another one.
        """
        basis, texts = Basis(root, swept.stage), sorted(" ".join(text.split()) for text in texts)
        searches = parse(texts, basis.params.section(swept.stage, swept.params), swept.stage, swept.judges)
        settings = {"stage": swept.stage, "searches": texts, "fingerprint": basis.fingerprint}
        folder = root / FOLDER / name
        where = storage or str(folder / "journal.log")
        if not begin and "://" not in where and not Path(where).exists():
            raise StageError(f"there is no sweep {name} to show: {where} is missing; begin it without --show")
        store = Store(where, name, swept, settings, basis.params.seed, begin=begin)
        strange = sorted(int(path.name) for path in folder.glob("[0-9]*"))  # before Optuna is asked: others begin trials
        known = {one.number for one in store.study.get_trials(deepcopy=False)}
        if not known.issuperset(strange):
            raise StageError(
                f"{folder} holds trials of a sweep that {storage or 'its journal'} does not know; move that folder away, or "
                "begin another sweep with --name"
            )
        if store.is_new:
            store.begin_with(searches)
        return cls(swept, basis, searches, folder, store, platform.node())

    def run(self, n_trials: int) -> int:
        """Run trials until there are `n_trials`, those of other processes included, and return the exit status.

        Raises:
            StageError: The inputs of the stage have changed.
        """
        failed = 0
        with recorded_signals() as stop:
            while not stop and failed < _MOST_FAILURES and (one := self._next(n_trials)) is not None:
                with one.stack:
                    failed = failed + 1 if self._run(one, stop) is TrialState.FAIL else 0
        if failed == _MOST_FAILURES:
            logger.error("%d trials in a row failed, so no other is begun: see why, and type the same command", failed)
        if not stop:
            states = {trial.state for trial in self.store.trials()}
            return int(TrialState.FAIL in states and TrialState.COMPLETE not in states)
        logger.info("stopped. Type the same command again: the trial goes on from its checkpoint")
        return 128 + signal.Signals[stop.came[0]]

    def _next(self, n_trials: int) -> _Begun | None:
        """Return the trial to run next; None where there are enough."""
        for number in self.store.give_up_lost(self.host, time.time()):
            logger.info("trial %d was lost with its machine, and is begun again under another number", number)
        trials = self.store.trials()
        for found in trials:
            is_ours = found.state == TrialState.RUNNING and found.user_attrs.get(HOST) == self.host
            if is_ours and (one := self._held(found.number, functools.partial(self.store.again, found))) is not None:
                logger.info("trial %d goes on", found.number)
                return one
        if sum(one.state != TrialState.WAITING for one in trials) >= n_trials:
            return None
        if Basis(self.basis.root, self.swept.stage).fingerprint != self.basis.fingerprint:
            raise StageError(
                f"code, parameters or inputs of {self.swept.stage} have changed since the sweep was started: further trials "
                "could not be compared with those before. Put them back and type the same command, or begin another "
                "sweep with --name"
            )
        trial = self.store.ask()
        return self._held(trial.number, lambda: trial)

    def _held(self, number: int, find: Callable[[], Trial | None]) -> _Begun | None:
        """Lock a trial's folder and return the trial; None where another process has it, or it is over."""
        with ExitStack() as stack:
            held = stack.enter_context(attempt(self.swept, self.basis.root, self.folder / str(number)))
            if held is None or (trial := find()) is None:
                return None
            values = self.store.draw(trial, self.searches, self.host)
            return _Begun(trial, values, held, stack.pop_all())

    def _run(self, one: _Begun, stop: StopRequests) -> TrialState:
        """Run a trial to its end, or until it is pruned or this process is asked to stop, and return its state."""
        number = one.trial.number
        if not one.attempt.is_done:
            logger.info("trial %d: %s", number, outcome.words(one.values, self.searches))
            one.attempt.start(self.basis.changed(one.values))
        beaten_s, is_pruned = time.monotonic(), False
        try:
            while one.attempt.is_running and not stop and not is_pruned:
                time.sleep(_LOOK_S)
                is_pruned = self._report(one)
                if time.monotonic() - beaten_s > _BEAT_S:
                    self.store.beat(one.trial)
                    beaten_s = time.monotonic()
        finally:
            one.attempt.stop()
        if stop and not one.attempt.is_done:
            return TrialState.RUNNING
        self._report(one)
        value = one.attempt.result()
        state = TrialState.COMPLETE if value is not None else TrialState.PRUNED if is_pruned else TrialState.FAIL
        reason = one.attempt.reason() if state is TrialState.FAIL else ""
        self.store.end(one.trial, state, value, reason)
        if reason:
            logger.warning("trial %d failed: %s (%s)", number, reason, one.attempt.folder / "output.log")
        one.attempt.forget_checkpoint()
        logger.info("%s", outcome.line(self.swept, self.store.trials(), number))
        return state

    def _report(self, one: _Begun) -> bool:
        """Hand Optuna the validations that are new, and return whether it would rather stop the trial."""
        every = one.values.get("log_every", self.basis.params.sections[self.swept.stage]["log_every"])
        wants = False
        for step, value in one.attempt.news():
            step -= step % every  # environments side by side overshoot, each number of them by its own
            if step not in one.trial.storage.get_trial(one.trial._trial_id).intermediate_values:
                one.trial.report(value, step)
                wants = one.trial.should_prune()
                logger.info("trial %d: step %d, %s %.4g", one.trial.number, step, self.swept.metric, value)
        return wants


@dataclass(frozen=True)
class _Begun:
    """A trial that this process runs: in Optuna, its values, its folder, and what ends with it."""

    trial: Trial
    values: Mapping[str, Any]
    attempt: Attempt
    stack: ExitStack
