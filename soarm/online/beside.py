"""The learner beside the loop: a process that reads the steps as they come, and hands over actors.

    python -m soarm.online.beside runs/desk

The two know each other by files alone (`soarm.online.folder`), so either may be killed at any instant. It goes on learning
while an arm is reset, ends when its standard input ends, and then, or when nothing is owed, writes a checkpoint.
"""

from __future__ import annotations

import argparse
import logging
import os
import select
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import torch

from soarm.dataset.reader import Dataset
from soarm.errors import OnlineError
from soarm.online import folder as layout
from soarm.online.folder import RunFolder
from soarm.online.learning import OnlineLearner
from soarm.online.steps import StepReader
from soarm.residual.td3bc import ResidualTD3BC
from soarm.smallfile import write_atomically

logger = logging.getLogger("soarm.online.beside")
_IDLE_S = 0.1
_STARTS_S, _ENDS_S = 120.0, 30.0
"""How long it may take to start, reading all steps again, and to end [s]."""
READY = b"r"


def build(run: RunFolder) -> OnlineLearner:
    """Return the learner of a folder, with the networks of its last checkpoint, and no steps yet.

    Raises:
        CheckpointError: The residual cannot be read.
        DatasetError: The demonstrations cannot be read.
        OnlineError: The checkpoint cannot be read.
    """
    model = ResidualTD3BC.load(run.path / layout.RESIDUAL, device="cpu")
    shown = None if run.demonstrations is None else Dataset.open(run.demonstrations)
    learner = OnlineLearner(model, run.params, shown, fresh=run.fresh, seed=run.seed)
    if (run.path / layout.LEARNER).exists():
        learner.load(run.path / layout.LEARNER)
    return learner


class Learning:
    """A learner on the growing file of a folder.

    Args:
        run: The folder; its file of steps exists.
        learner: Of that folder.
    """

    def __init__(self, run: RunFolder, learner: OnlineLearner) -> None:
        self._run, self.learner = run, learner
        self._reader = StepReader(run.path / layout.STEPS)
        self._published = learner.n_updates
        self._saved_s = time.monotonic()
        self.read()
        self.publish()

    def read(self) -> None:
        """Take the episodes that ended since the last call."""
        for episode in self._reader.new():
            self.learner.add(episode)

    def step(self) -> bool:
        """Make an update if one is owed, and hand the actor over when it is time; return whether one was."""
        learner, params = self.learner, self._run.params
        if not learner.n_owed:
            return False
        learner.update()
        if learner.n_updates - self._published >= params.publish_every:
            self.publish()
        if time.monotonic() - self._saved_s >= params.checkpoint_s:
            self.save()
        return True

    def publish(self) -> None:
        """Hand the actor over."""
        write_atomically(self._run.path / layout.ACTOR, self.learner.actor_bytes(), OnlineError, durable=False)
        self._published = self.learner.n_updates

    def save(self) -> None:
        """Write a checkpoint."""
        self.learner.save(self._run.path / layout.LEARNER)
        self._saved_s = time.monotonic()

    def close(self) -> None:
        """Write a checkpoint, hand the last actor over, and close the file."""
        self.publish()
        self.save()
        self._reader.close()


class Beside:
    """The process, seen from the one that drives the arm; a context manager that ends it.

    Args:
        run: The folder; its file of steps exists.

    Raises:
        OnlineError: It does not get ready.
    """

    def __init__(self, run: RunFolder) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "soarm.online.beside", str(run.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C at the terminal must not reach it
            bufsize=0,
        )
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], _STARTS_S)
        if not ready or os.read(self._process.stdout.fileno(), 1) != READY:
            self.close()
            raise OnlineError("the learner does not start; what it said stands above")

    def require_alive(self) -> None:
        """Refuse to go on where it is gone.

        Raises:
            OnlineError: It is; what it had learnt is in the folder.
        """
        status = self._process.poll()
        if status is not None:
            raise OnlineError(
                f"the learner ended (exit status {status}), what it said stands above; no step is lost: start again to go on"
            )

    def close(self) -> None:
        """Have it write a checkpoint and end; a second time does nothing."""
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()
        try:
            self._process.wait(_ENDS_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            logger.warning("the learner did not end and was killed; it goes on from its checkpoint, and no step is lost")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def learn(learning: Learning, ended: Callable[[], bool]) -> None:
    """Learn until told to end."""
    try:
        while not ended():
            learning.read()
            if not learning.step():
                time.sleep(_IDLE_S)
    finally:
        learning.close()


def _input_ended() -> bool:
    ready, _, _ = select.select([sys.stdin], [], [], 0.0)
    return bool(ready) and not os.read(sys.stdin.fileno(), 64)


def main(arguments: Sequence[str] | None = None) -> int:
    """Learn in a folder until the standard input ends."""
    parser = argparse.ArgumentParser(prog="python -m soarm.online.beside", description=__doc__)
    parser.add_argument("folder", type=Path)
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    torch.set_num_threads(1)
    os.nice(5)  # the loop comes first
    run = layout.opened(options.folder)
    learning = Learning(run, build(run))
    os.write(sys.stdout.fileno(), READY)
    learn(learning, _input_ended)
    return 0


if __name__ == "__main__":
    sys.exit(main())
