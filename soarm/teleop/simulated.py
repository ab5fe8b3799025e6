"""The simulated arm and its expert, for a session without an arm; the only part of this room that needs the simulator."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from soarm import params as params_file
from soarm.recording import RecordParams
from soarm.sim.env import SimEnv
from soarm.sim.params import CameraParams, SimParams
from soarm.sim.registry import sim_task
from soarm.teleop.cameras import CameraChoice
from soarm.teleop.follower import SimFollower
from soarm.teleop.teleoperator import PolicyTeleoperator


def follower(
    params: Path | None, task: str | None = None, cameras: Sequence[CameraChoice] = (), *, recorded: bool = False
) -> SimFollower:
    """Return the simulated arm that a params file describes.

    Args:
        params: The file; None takes the params.yaml of this folder, or else the package's.
        task: Name of the task; None takes the file's own.
        cameras: Those of the scene whose pictures it sees; without any, those of the file.
        recorded: Whether what it sees is recorded: otherwise no picture is drawn.

    Raises:
        ParamsError: The file does not describe one.
    """
    sim = _load(params, task).section("sim", SimParams)
    seen = {} if not recorded else sized(cameras, sim) or sim.cameras
    return SimFollower(SimEnv(dataclasses.replace(sim.told(), cameras=seen)))


def expert(params: Path | None, control_hz: int, first_seed: int, task: str | None = None) -> PolicyTeleoperator:
    """Return the scripted demonstrator in the place of a hand.

    Args:
        params: As for `follower`.
        control_hz: Steps per second of the arm it drives.
        first_seed: Of the first episode's habits and tremor.
        task: As for `follower`.

    Raises:
        ParamsError: The file does not describe one.
    """
    loaded = _load(params, task)
    habits = loaded.section("record", RecordParams).expert
    return PolicyTeleoperator(sim_task(loaded.task).expert(habits, control_hz), first_seed)


def sized(cameras: Sequence[CameraChoice], sim: SimParams) -> dict[str, CameraParams]:
    """Return cameras of the scene with the sizes that are chosen, by name; each where `sim.cameras` has it, if it does."""
    sizes = {one.name: CameraParams(one.width_px, one.height_px) for one in cameras}
    return {
        name: dataclasses.replace(sim.cameras.get(name, size), width_px=size.width_px, height_px=size.height_px)
        for name, size in sizes.items()
    }


def _load(params: Path | None, task: str | None) -> params_file.Params:
    return params_file.load(params or params_file.here_or_packaged(), task)
