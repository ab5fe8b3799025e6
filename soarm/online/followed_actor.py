"""The actor that a learner hands over, in the hands of the loop."""

from __future__ import annotations

from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load as from_bytes

from soarm.errors import OnlineError
from soarm.policy import Array
from soarm.residual.actor import ResidualActor


class FollowedActor:
    """The actor that a learner hands over, as it stands in a file; read again when the file has changed.

    Args:
        actor: A network of the same sizes.
        path: The file.
    """

    def __init__(self, actor: ResidualActor, path: Path) -> None:
        self._actor, self._path = actor.eval(), path
        self._seen = 0
        self.refresh()

    def refresh(self) -> None:
        """Take the newest actor."""
        stamp = self._path.stat().st_mtime_ns
        if stamp == self._seen:
            return
        self._seen = stamp
        try:
            self._actor.load_state_dict(from_bytes(self._path.read_bytes()))
        except (SafetensorError, RuntimeError) as error:
            raise OnlineError(f"{self._path} holds no actor of this residual ({error}); remove it and start again") from None

    def predict_residual(self, residual_observation: Array) -> Array:
        """See `soarm.policy.ResidualModel`."""
        return self._actor.predict_residual(residual_observation)
