"""The command that trains a residual: in the simulator, a stage of the chain, or on an arm."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated, Literal

import typer

from soarm.cli import chain
from soarm.cli.command import CHAIN, Json, command, loading, whole
from soarm.quantities import SEEDS

logger = logging.getLogger(__name__)
_ON_ARM = "With --arm: "


@command(CHAIN, "soarm rl-train --seed 1")
def rl_train(
    sets: chain.Sets = None,
    profile: chain.Profile = None,
    task: chain.TaskName = None,
    seed: chain.Seed = None,
    dataset: chain.DatasetFolder = None,
    units: chain.Units = None,
    temp: chain.Temp = False,
    force: chain.Force = False,
    as_json: Json = False,
    arm: Annotated[bool, typer.Option("--arm", help="Go on learning on an arm, real or emulated.")] = False,
    port: Annotated[
        str | None, typer.Option(help=f"{_ON_ARM}its serial port; `twin` starts an emulated arm, in real time.")
    ] = None,
    calibration: Annotated[Path | None, typer.Option(help=f"{_ON_ARM}its calibration.")] = None,
    out: Annotated[Path, typer.Option(help=f"{_ON_ARM}folder of steps and networks; one that was begun goes on.")] = Path(
        "runs/arm"
    ),
    residual: Annotated[Path, typer.Option(help=f"{_ON_ARM}the residual to start from, with its base.")] = Path(
        "data/train_residual/residual.zip"
    ),
    from_zero: Annotated[bool, typer.Option("--from-zero", help=f"{_ON_ARM}start from the base alone.")] = False,
    steps: Annotated[int, whole(1, 10_000_000, f"{_ON_ARM}steps in the folder at which it ends.")] = 10_000,
    objects: Annotated[
        Path | None, typer.Option(help=f"{_ON_ARM}file of objects that somebody keeps fresh (`soarm.runtime.objects`).")
    ] = None,
    reward: Annotated[
        Literal["confirmed", "key", "sensed"],
        typer.Option(help=f"{_ON_ARM}who says that the task is done: sensors and then a key, a key, or sensors."),
    ] = "confirmed",
    leader: Annotated[
        Literal["none", "keyboard", "gamepad", "arm"], typer.Option(help=f"{_ON_ARM}who may take over, with the space bar.")
    ] = "none",
    leader_port: Annotated[str | None, typer.Option(help=f"{_ON_ARM}port of the arm that leads.")] = None,
    leader_calibration: Annotated[Path | None, typer.Option(help=f"{_ON_ARM}of the arm that leads.")] = None,
    settings: Annotated[Path | None, typer.Option(help=f"{_ON_ARM}JSON with gains, part, park.")] = None,
    limits: Annotated[Path | None, typer.Option(help=f"{_ON_ARM}JSON with limits of the safety chain.")] = None,
    no_deadman: Annotated[
        bool, typer.Option("--no-deadman", help=f"{_ON_ARM}no process softens the arm if this one dies.")
    ] = False,
) -> int:
    """Train the residual on the frozen ACT: in the simulator, or with --arm on an arm."""
    if not arm:
        chosen = chain.Chosen(sets, profile, task, seed, dataset, units, temp, force, as_json)
        return chain.run_stage("rl-train", "train_residual", chosen)
    of_chain = {"--set": sets, "--profile": profile, "--task": task, "--units": units, "--temp": temp, "--force": force}
    if wrong := [name for name, value in {**of_chain, "--json": as_json}.items() if value]:
        raise typer.BadParameter(f"{', '.join(wrong)} belong to the training in the simulator; with --arm leave them out")
    if port is None or (calibration is None and port != "twin"):
        raise typer.BadParameter("--arm needs --port and --calibration; --port twin is an emulated arm and needs neither")
    if seed is not None and seed not in SEEDS:
        raise typer.BadParameter(f"--seed is {seed}; with --arm it must be in {SEEDS.start}..{SEEDS.stop - 1}")
    with loading():
        from soarm.online.arm_training import ArmTraining, train_on_arm
        from soarm.online.make import ArmOptions
    where = ArmOptions(port, calibration, objects, settings, limits, reward, deadman=not no_deadman)
    config = ArmTraining(out, where, residual, dataset, from_zero, steps, seed or 0, leader, leader_port, leader_calibration)
    driver = logging.getLogger("soarm.hardware.driver")
    before = driver.level
    driver.setLevel(logging.WARNING)  # it says of every episode that the arm holds
    try:
        train_on_arm(config)
    finally:
        driver.setLevel(before)
    return 0
