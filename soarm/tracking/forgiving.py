"""Tracking that never stops the chain: whatever it raises, one warning says so and the stage goes on untracked."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from soarm.tracking.tracker import Status, Tracker

logger = logging.getLogger(__name__)


class Forgiving(Tracker):
    """Another tracker, until it fails: then one warning, and nothing more is tracked.

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

    def params(self, section: str, values: Mapping[str, Any]) -> None:
        """See `Tracker`."""
        self._try(lambda: self._inner.params(section, values))

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """See `Tracker`."""
        self._try(lambda: self._inner.log(step, metrics))

    def summary(self, metrics: Mapping[str, Any]) -> None:
        """See `Tracker`."""
        self._try(lambda: self._inner.summary(metrics))

    def tag(self, key: str, value: str) -> None:
        """See `Tracker`."""
        self._try(lambda: self._inner.tag(key, value))

    def artifact(self, path: Path) -> None:
        """See `Tracker`."""
        self._try(lambda: self._inner.artifact(path))

    def dataset(self, name: str, path: Path, digest: str) -> None:
        """See `Tracker`."""
        self._try(lambda: self._inner.dataset(name, path, digest))

    def onnx_model(self, path: Path, name: str, alias: str) -> None:
        """See `Tracker`."""
        self._try(lambda: self._inner.onnx_model(path, name, alias))

    def close(self, status: Status) -> None:
        """See `Tracker`."""
        self._try(lambda: self._inner.close(status))

    def _try(self, call: Callable[[], None]) -> None:
        try:
            call()
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


def _root_cause(error: BaseException) -> str:
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:200]}" if lines else type(error).__name__


def without_password(uri: str) -> str:
    """Return an address as it may be logged."""
    parts = urlsplit(uri)
    return uri.replace(f"{parts.netloc}", parts.netloc.rpartition("@")[2], 1) if "@" in parts.netloc else uri
