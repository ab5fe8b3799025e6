"""An evaluation of a made-up bundle, and a runner without an arm."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from soarm import arm
from soarm import params as params_file
from soarm.proof import plan as plans
from soarm.proof.attempt import Ran
from soarm.proof.folder import ProofFolder
from soarm.proof.plan import Plan, Sectors
from soarm.tasks.pick_place import TASK

ROOT = Path(__file__).parents[2]
BUNDLE = {"act.onnx": "a" * 64, "residual.onnx": "b" * 64}


@pytest.fixture
def sectors() -> Sectors:
    """Where the default policy saw cube and bin."""
    return plans.sectors_of(params_file.load(ROOT / "params.yaml", "pick_place"), TASK)


@pytest.fixture
def make_plan(sectors: Sectors) -> Callable[..., tuple[Plan, tuple[Any, ...]]]:
    """Return a maker of a plan and its assignment: number of spots, seed."""

    def make(n_spots: int = 3, seed: int = 0) -> tuple[Plan, tuple[Any, ...]]:
        spots = plans.draw(seed, n_spots, TASK, sectors)
        trials, assignment = plans.draw_order(seed, spots)
        return Plan(
            "pick_place", seed, 10.0, BUNDLE, spots, trials, plans.seal_of(plans.assignment_text(assignment))
        ), assignment

    return make


@pytest.fixture
def folder(tmp_path: Path, make_plan: Callable[..., Any]) -> ProofFolder:
    """An evaluation of three spots that has just begun."""
    return ProofFolder.create(tmp_path / "proof", *make_plan())


@pytest.fixture
def make_ran() -> Callable[..., Ran]:
    """Return a maker of what a run was."""

    def make(**changes: Any) -> Ran:
        celsius = dict.fromkeys(arm.JOINT_NAMES, (31.0, 33.0, 34.0))
        ran = {"cause": "the cube lies in the bin", "ended_well": True, "success_s": 2.5, "seconds": 2.5, "ticks": 150}
        return Ran(**{**ran, "clamped": 3, "reasons": {"RANGE": 3}, "celsius": celsius, "least_volts": 7.2, **changes})

    return make
