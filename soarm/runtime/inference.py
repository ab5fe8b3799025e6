"""The network in a thread of its own: the bus never waits for it, and a chunk carries the time of its observation."""

from __future__ import annotations

import logging
import threading
from types import TracebackType
from typing import NamedTuple

import numpy as np

from soarm.errors import FaultError, SoarmError
from soarm.policy import Array, ChunkModel, Observation

logger = logging.getLogger(__name__)
_END_S = 5.0
"""For a network to end what it computes [s]."""


class ChunkPrediction(NamedTuple):
    """A chunk, shape (T, 6), and the time of the observation it was predicted from [s]."""

    t_s: float
    actions: Array


class InferenceThread:
    """Predicts chunks on demand; a context manager that ends its thread.

    A question that comes while another is being answered is dropped: the next one will be fresher. ONNX Runtime releases
    the interpreter's lock while it computes.

    Args:
        model: The network.
    """

    def __init__(self, model: ChunkModel) -> None:
        self._model = model
        self._wake = threading.Condition()
        self._question: tuple[float, Observation] | None = None
        self._chunk: ChunkPrediction | None = None
        self._error: SoarmError | None = None
        self._busy = self._ended = False
        self._thread = threading.Thread(target=self._predict, name="soarm-policy", daemon=True)
        self._thread.start()

    def ask(self, t_s: float, observation: Observation) -> None:
        """Ask for a chunk from an observation of a moment, each array (1, ...); does nothing while one is on its way."""
        with self._wake:
            if not self._busy:
                self._busy, self._question = True, (t_s, observation)
                self._wake.notify()

    def take(self) -> ChunkPrediction | None:
        """Return a chunk that has come since the last call; None if there is none.

        Raises:
            SoarmError: What the network raised; a FaultError names what is none of soarm's.
        """
        with self._wake:
            if self._error is not None:
                raise self._error
            chunk, self._chunk = self._chunk, None
            return chunk

    def forget(self) -> None:
        """Drop a chunk that has come; one that is on its way will still come."""
        with self._wake:
            self._chunk = None

    def close(self) -> None:
        """End the thread, without waiting for a network that hangs; a second time does nothing."""
        with self._wake:
            self._ended = True
            self._wake.notify()
        self._thread.join(_END_S)
        if self._thread.is_alive():
            logger.warning("the policy's network is still computing after %g s; it is abandoned", _END_S)

    def __enter__(self) -> InferenceThread:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _predict(self) -> None:
        while True:
            with self._wake:
                while self._question is None and not self._ended:
                    self._wake.wait()
                if self._ended:
                    return
                assert self._question is not None
                t_s, observation = self._question
                self._question = None
            try:
                chunk = ChunkPrediction(t_s, np.asarray(self._model.predict_chunks(observation)[0], np.float32))
            # Whatever it is: ONNX Runtime's errors have no common base, and this thread must not die in silence.
            except Exception as error:
                with self._wake:
                    self._error, self._busy = as_soarm_error(error), False
                return
            with self._wake:
                self._chunk, self._busy = chunk, False


def as_soarm_error(error: Exception) -> SoarmError:
    """Return what a network raised as an error of soarm's that says so."""
    if isinstance(error, SoarmError):
        return error
    fault = FaultError(f"the policy's network failed: {type(error).__name__}: {error}. Check the bundle: soarm.runtime check")
    fault.__cause__ = error
    return fault
