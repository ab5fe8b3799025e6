"""The checkpoint a training run is resumed from: one file, replaced whole."""

from __future__ import annotations

import io
import logging
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from soarm.act.trainer import Trainer
from soarm.errors import CheckpointError
from soarm.smallfile import write_atomically

logger = logging.getLogger(__name__)


class TrainingState:
    """The state of one training run on disk.

    Args:
        path: The file.
        identity: What the run follows from; the state of a run with another identity is refused.
    """

    def __init__(self, path: Path, identity: Mapping[str, Any]) -> None:
        self._path, self._identity = path, dict(identity)

    def save(self, run: Trainer) -> None:
        """Write the state of `run`; a kill while writing leaves the previous state."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        content = io.BytesIO()
        torch.save({"identity": self._identity, "state": run.state_dict()}, content)
        write_atomically(self._path, content.getvalue(), CheckpointError)

    def restore(self, run: Trainer) -> bool:
        """Bring `run` to the saved state, if there is one.

        Returns:
            Whether there was one.

        Raises:
            CheckpointError: The file is truncated, or of another run.
        """
        if not self._path.exists():
            return False
        try:
            found = torch.load(self._path, map_location="cpu", weights_only=True)
        except (RuntimeError, pickle.UnpicklingError, EOFError, OSError, ValueError) as error:
            raise CheckpointError(
                f"{self._path} is truncated or not a training checkpoint ({error}); delete it to train from the start"
            ) from error
        different = _differences(self._identity, found.get("identity") if isinstance(found, dict) else None)
        if different:
            raise CheckpointError(
                f"{self._path} is the checkpoint of another run; it differs in:\n  "
                + "\n  ".join(different)
                + "\nDelete it to train from the start."
            )
        run.load_state_dict(found["state"])
        logger.info("resuming from %s", self._path)
        return True


def _differences(expected: Any, found: Any, where: str = "") -> list[str]:
    if isinstance(expected, Mapping) and isinstance(found, Mapping):
        keys = sorted(set(expected) | set(found))
        return [line for key in keys for line in _differences(expected.get(key), found.get(key), f"{where}.{key}".lstrip("."))]
    return [] if expected == found else [f"{where or 'identity'}: {found!r} there, {expected!r} here"]
