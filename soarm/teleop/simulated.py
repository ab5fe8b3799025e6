"""The simulated arm and its expert, for a session without an arm; the only part of this room that needs the simulator."""

from __future__ import annotations

from pathlib import Path

from soarm import params as params_file
from soarm.recording import RecordParams
from soarm.sim.env import PickPlaceEnv
from soarm.sim.expert import Expert
from soarm.sim.params import SimParams
from soarm.teleop.follower import SimFollower
from soarm.teleop.teleoperator import PolicyTeleoperator


def follower(params: Path) -> SimFollower:
    """Return the simulated arm that a params file describes.

    Raises:
        ParamsError: The file does not describe one.
    """
    return SimFollower(PickPlaceEnv(params_file.load(params).section("sim", SimParams)))


def expert(params: Path, control_hz: int, first_seed: int) -> PolicyTeleoperator:
    """Return the scripted demonstrator in the place of a hand.

    Raises:
        ParamsError: The file does not describe one.
    """
    return PolicyTeleoperator(Expert(params_file.load(params).section("record", RecordParams).expert, control_hz), first_seed)
