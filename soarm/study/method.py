"""What a method is to the study: a function from a `MethodInput` to a `MethodResult`.

    result = METHODS["residual"](inputs)

Every method has the same base, demonstrations, budget of environment steps and validation scenes; what it does with them is
its own business. Whoever writes one needs this file alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from soarm.act.model import ACT
from soarm.act.params import TrainActParams
from soarm.base import BasePolicy
from soarm.dataset.reader import Dataset
from soarm.errors import ParamsError
from soarm.policy import BatchPolicy
from soarm.recording import RecordParams
from soarm.residual.training import Log, Track, TrainResidualParams
from soarm.sim.params import SimParams


@dataclass(frozen=True)
class Point:
    """The greedy policy on the validation scenes at one moment of learning.

    Attributes:
        step: Environment steps used so far; 0 is the method before it learns.
        solved: Which scenes it solved, in the order of the scenes.
    """

    step: int
    solved: tuple[bool, ...]

    @property
    def success_rate(self) -> float:
        """Share of scenes solved, in [0, 1]."""
        return sum(self.solved) / len(self.solved)


@dataclass(frozen=True)
class MethodResult:
    """The result of a method.

    Attributes:
        curve: Points by step; the first has step 0, the last is the policy.
        policy: Number of rows -> the greedy policy of the last step; no checkpoint is picked.
        metrics: What else there is to say, for the run's metrics file; `env_steps` and `env_steps_per_s` at least.
    """

    curve: tuple[Point, ...]
    policy: Callable[[int], BatchPolicy]
    metrics: dict[str, Any]


@dataclass(frozen=True)
class MethodInput:
    """The input of a method.

    Attributes:
        sim: The environment.
        base: The frozen base, chunking as the variant wants it.
        demonstrations: What the base was trained on.
        params: Of the residual's training with the variant's changes in it. `env_steps` is the budget and `validation` says
            when and on how many scenes points of the curve are taken, whatever the method.
        bound: How far a residual reaches, per joint [deg x 5, percent].
        record: How demonstrations are recorded, for methods that record more.
        train_act: How the base was trained, for methods that train it further.
        seed: Training seed, 0..9.
        scratch: Folder for checkpoints to resume from; belongs to this run alone.
        log: Takes metrics at an environment step.
        track: Wraps steps to show progress; takes them, their number and a description.
        options: The variant's own options, read by the method.
    """

    sim: SimParams
    base: BasePolicy
    demonstrations: Dataset
    params: TrainResidualParams
    bound: tuple[float, ...]
    record: RecordParams
    train_act: TrainActParams
    seed: int
    scratch: Path
    log: Log
    track: Track
    options: Mapping[str, Any]

    @property
    def act(self) -> ACT:
        """The base, for methods that train an ACT further.

        Raises:
            ParamsError: The base is no ACT.
        """
        if not isinstance(self.base, ACT):
            raise ParamsError(f"this method trains an ACT further, and the base is a {type(self.base).__name__}; leave it out")
        return self.base


Method = Callable[[MethodInput], MethodResult]
