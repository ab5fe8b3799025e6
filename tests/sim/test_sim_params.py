"""What of the simulator's parameters does not go together."""

from __future__ import annotations

from typing import Any

import pytest

from soarm.errors import ParamsError
from soarm.params import changed
from soarm.sim.grasping import GraspParams
from soarm.sim.params import SimParams


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"physics": {"force_limit": [3.5, 1.0]}},
            r"force_limit is \[3\.5, 1\.0\]; .* \[low, high\] with low <= high",
        ),
        ({"physics": {"cube_mass_kg": [0.0, 1.0]}}, r"cube_mass_kg\[0\] is 0\.0; it must be at least 1e-06"),
        ({"task": {"clearance_m": 0.6}}, r"task: clearance_m is 0\.6; cube and bin lie at most 0\.4\d\d m apart"),
        ({"task": {"home": [0.0, 0.0, 5.0, 90.0, -90.0, 101.0]}}, r"home is .*101\.0\]; it must be inside the joint limits"),
        ({"task": {"time_limit_s": 0.01}}, r"time_limit_s is 0\.01; an episode must last a control step \(1/30 s\)"),
    ],
)
def test_a_simulator_that_cannot_be_is_refused(sim: SimParams, change: dict[str, Any], message: str) -> None:
    with pytest.raises(ParamsError, match=message):
        changed(sim, change, "sim")


def test_a_demonstrator_that_opens_less_than_it_closes_is_refused(steady: GraspParams) -> None:
    with pytest.raises(ParamsError, match=r"close_percent is 50\.0; it must be below open_percent"):
        changed(steady, {"close_percent": 50.0}, "expert")
