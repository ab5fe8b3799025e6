"""Training of ACT on demonstrations.

    result = train(dataset, params, seed=0, scratch=folder, log=run.log, track=run.track)

Killed at any instant and started again with the same arguments, it goes on from its last checkpoint in `scratch` and ends with
the same bits. Knows no tracking server, no stage and no simulator.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import logging
import os
import pickle
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

import torch

from soarm.act import parallel
from soarm.act.parallel import Log
from soarm.act.params import TrainActParams
from soarm.act.trainer import Result, Trainer
from soarm.base import Demonstrations
from soarm.errors import CheckpointError, ParamsError
from soarm.quantities import SEEDS
from soarm.smallfile import write_atomically
from soarm.spec import DEFAULT_TASK

if TYPE_CHECKING:
    from accelerate import Accelerator

logger = logging.getLogger(__name__)

Track = Callable[[Iterable[int], int, str], Iterable[int]]


class Resumable(Protocol):
    """A run that can be stored and gone on with; `identity` is what two tries of one run have in common."""

    identity: dict[str, Any]

    def state_dict(self) -> dict[str, Any]: ...  # noqa: D102
    def load_state_dict(self, state: Mapping[str, Any]) -> None: ...  # noqa: D102


def train(
    demonstrations: Demonstrations,
    params: TrainActParams,
    *,
    seed: int,
    scratch: Path,
    log: Log,
    track: Track = lambda steps, total, description: steps,
    task: str | None = DEFAULT_TASK,
    eye: Path | None = None,
) -> Result:
    """Train an ACT.

    Args:
        demonstrations: The dataset.
        params: How.
        seed: Seed of the initial weights, the order of the data, dropout and the split.
        scratch: Folder for the checkpoint to resume from; must belong to these arguments alone.
        log: Called every `log_every` steps and after the last.
        track: Wraps the steps to show progress; takes them, their number and a description.
        task: Name of the task, for the specification.
        eye: Folder of the eye that `params.network` may start from.

    Raises:
        DatasetError: The data cannot be learnt from.
        ParamsError: `params.device` is not there, or not as often as there are processes.
        CheckpointError: What lies in `scratch` cannot be resumed from.
        TrainingError: The loss is no longer finite.
    """
    device = resolve_device(params.device)
    run = _Run(demonstrations, params, seed, scratch / "resume.pt", task, eye)
    if params.processes > 1:
        said = "%d processes train together: a batch is still of %d windows, %d in each; the learning rate stays as it is"
        logger.info(said, params.processes, params.batch_size, params.batch_size // params.processes)
        parallel.together(params.processes, device, _train_as_one, run, log)  # and then this process takes the result over
    with reproducible(device, seed):
        trainer = run.trainer(device)
        run.finish(trainer, log, track)
        return trainer.result()


@dataclasses.dataclass(frozen=True)
class _Run:
    """The arguments of `train` that a process of several is given."""

    demonstrations: Demonstrations
    params: TrainActParams
    seed: int
    checkpoint: Path
    task: str | None
    eye: Path | None

    def trainer(self, device: torch.device, together: Accelerator | None = None) -> Trainer:
        """Return the run at its last checkpoint."""
        how: dict[str, Any] = {"seed": self.seed, "device": device, "task": self.task, "eye": self.eye}
        trainer = Trainer(self.demonstrations, self.params, together=together, **how)
        if together is not None:  # equal weights, but not the same dropout in all processes
            torch.manual_seed(self.seed + len(SEEDS) * together.process_index)
        restore(trainer, self.checkpoint)
        return trainer

    def finish(self, trainer: Trainer, log: Log, track: Track = lambda steps, total, description: steps) -> None:
        """Take the steps that are left."""
        params = self.params
        for step in track(range(trainer.step, params.steps), params.steps - trainer.step, "training ACT"):
            trainer.advance()
            if (step + 1) % params.log_every == 0 or step + 1 == params.steps:
                log(step + 1, trainer.report())
            if (step + 1) % params.checkpoint_every == 0 or step + 1 == params.steps:
                if trainer.together is None or trainer.together.is_main_process:
                    save_state(trainer, self.checkpoint)
                else:
                    trainer.state_dict()  # which asks all processes


def _train_as_one(together: Accelerator, log: Log, run: _Run) -> None:
    """Train as one of several processes."""
    with reproducible(together.device, run.seed):
        run.finish(run.trainer(together.device, together), log)


def resolve_device(name: Literal["auto", "cpu", "cuda"]) -> torch.device:
    """Return the device to train on.

    Raises:
        ParamsError: `cuda` is asked for and there is none; it is never replaced by another.
    """
    if name == "cuda" and not torch.cuda.is_available():
        raise ParamsError(
            f"train_act.device is 'cuda', but torch {torch.__version__} finds no CUDA device; set it to 'cpu' or 'auto', or "
            "install a CUDA build of torch and its driver"
        )
    return torch.device("cuda" if name == "cuda" or (name == "auto" and torch.cuda.is_available()) else "cpu")


@contextlib.contextmanager
def reproducible(device: torch.device, seed: int) -> Iterator[None]:
    """Seed torch's random stream and forbid algorithms that give other bits each time; both are as before afterwards."""
    if device.type == "cuda":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # what cuBLAS needs to be deterministic
    before = torch.are_deterministic_algorithms_enabled()
    fill = torch.utils.deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        torch.use_deterministic_algorithms(True)
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # costs a pass per tensor
        try:
            yield
        finally:
            torch.use_deterministic_algorithms(before)
            torch.utils.deterministic.fill_uninitialized_memory = fill  # type: ignore[attr-defined]


def save_state(trainer: Resumable, path: Path) -> None:
    """Write the state of a run; a kill while writing leaves the previous state."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = io.BytesIO()
    torch.save({"identity": trainer.identity, "state": trainer.state_dict()}, content)
    write_atomically(path, content.getvalue(), CheckpointError)


def restore(trainer: Resumable, path: Path) -> None:
    """Bring a run to its saved state, if there is one.

    Raises:
        CheckpointError: The file is truncated, or of another run.
    """
    if not path.exists():
        return
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, pickle.UnpicklingError, EOFError, OSError, ValueError) as error:
        raise CheckpointError(
            f"{path} is truncated or not a training checkpoint ({error}); delete it to train from the start"
        ) from error
    different = _differences(trainer.identity, found.get("identity") if isinstance(found, dict) else None)
    if different:
        listing = "\n  ".join(different)
        raise CheckpointError(
            f"{path} is the checkpoint of another run; it differs in:\n  {listing}\nDelete it to train from the start."
        )
    trainer.load_state_dict(found["state"])
    logger.info("resuming from %s", path)


def _differences(expected: Any, found: Any, where: str = "") -> list[str]:
    if isinstance(expected, Mapping) and isinstance(found, Mapping):
        keys = sorted(set(expected) | set(found))
        return [line for key in keys for line in _differences(expected.get(key), found.get(key), f"{where}.{key}".lstrip("."))]
    return [] if expected == found else [f"{where or 'identity'}: {found!r} there, {expected!r} here"]
