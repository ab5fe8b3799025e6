"""The environment of the default profile, and the demonstrator without noise."""

from __future__ import annotations

from pathlib import Path

import pytest

from soarm import params
from soarm.sim.camera import Backend, find_fault
from soarm.sim.grasping import GraspParams
from soarm.sim.params import SimParams

PARAMS_FILE = Path(__file__).parents[2] / "params.yaml"


@pytest.fixture(scope="session")
def sim() -> SimParams:
    """Return the parameters of the simulation."""
    return params.load(PARAMS_FILE, "pick_place").section("sim", SimParams)


@pytest.fixture(scope="module", params=["egl", "ray"])
def backend(request: pytest.FixtureRequest) -> Backend:
    """Return each backend that works here."""
    chosen: Backend = request.param
    if (fault := find_fault(chosen)) is not None:
        pytest.skip(f"{chosen}: {fault}")
    return chosen


@pytest.fixture(scope="session")
def steady(sim: SimParams) -> GraspParams:
    """Return a demonstrator that always moves alike: the middle of every range, no offset, no tremor."""
    section = params.load(PARAMS_FILE, "pick_place").sections["record"]["expert"]
    return params.build(GraspParams, section, "expert").noiseless()
