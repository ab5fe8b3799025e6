"""Tracking that never stops the chain: whatever it raises, one warning says so and the stage goes on untracked."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from soarm.tracking.tracker import Tracker

logger = logging.getLogger(__name__)


class Forgiving(Tracker):
    """Another tracker, until it fails: then one warning, and nothing more is tracked. Its methods are those of `Tracker`.

    Args:
        make: Opens the other tracker; may fail already.
        name: Of the other tracker and the URI of its store, for the warning: "MLflow at http://server:5000".
        remedy: What to do when it fails, for the warning.
    """

    def __init__(self, make: Callable[[], Tracker], name: str, remedy: str) -> None:
        self._name, self._remedy = name, remedy
        self._inner = Tracker()
        try:
            self._inner = make()
        except Exception as error:
            self._warn(error)

    def _try(self, action: str, *arguments: Any) -> None:
        """Call a method of the other tracker."""
        try:
            getattr(self._inner, action)(*arguments)
        except Exception as error:  # a tracker lets through what it stands on: SQLAlchemy's, alembic's, a bare KeyError
            self._inner = Tracker()
            self._warn(error)

    def _warn(self, error: Exception) -> None:
        logger.warning(
            "%s failed (%s): this run is not tracked from here on; results and metrics files are written as always. "
            "%s, or set SOARM_TRACKING=off.",
            self._name,
            _root_cause(error),
            self._remedy,
        )
        logger.debug("where %s failed", self._name, exc_info=error)


for _action in vars(Tracker):
    if not _action.startswith("_"):
        setattr(Forgiving, _action, functools.partialmethod(Forgiving._try, _action))


def _root_cause(error: BaseException) -> str:
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:200]}" if lines else type(error).__name__


def without_password(uri: str) -> str:
    """Return an address as it may be logged."""
    parts = urlsplit(uri)
    return uri.replace(f"{parts.netloc}", parts.netloc.rpartition("@")[2], 1) if "@" in parts.netloc else uri
