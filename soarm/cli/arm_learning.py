"""Commands of learning: train a residual in the simulator or on an arm, and find the arm's zeros from what it carried."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated, Literal

import typer

from soarm.cli import chain
from soarm.cli.command import CHAIN, SETUP, Json, command, loading, whole, write_json
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


@command(SETUP, "soarm find-zeros runs/arm --calibration arm.json arm-zeros.json")
def find_zeros(
    folder: Annotated[Path, typer.Argument(help="Folder of `soarm rl-train --arm`, all with this calibration.")],
    target: Annotated[Path, typer.Argument(help="File for the new calibration; must not exist.")],
    calibration: Annotated[Path, typer.Option(help="Of the arm, as it was when it learnt there.")],
    as_json: Json = False,
) -> int:
    """Find the zeros of the joints from what the arm carried, and write a calibration that has them.

    A thing between the fingers is where the hand is; where it was seen tells which zeros the joints have. What was learnt with
    the old calibration belongs to it: begin a new folder with the new one.
    """
    with loading():
        from soarm import arm
        from soarm.errors import CalibrationError
        from soarm.hardware.calibration import Calibration
        from soarm.online import folder as layout
        from soarm.online import zeros
        from soarm.online.steps import StepReader, read_all
        from soarm.residual.frozen import base_of
        from soarm.tasks.registry import find
    if target.exists():
        raise CalibrationError(f"{target} exists; name a new file, and keep the old calibration")
    old, spec = Calibration.load(calibration), base_of(layout.opened(folder).path / layout.RESIDUAL)[1]
    with StepReader(folder / layout.STEPS) as steps:
        made_with = steps.about.get(layout.CALIBRATION, old.hash)
    if made_with != old.hash:
        raise CalibrationError(
            f"the steps of {folder} were made with another calibration (hash {made_with!s:.12}) than {calibration} "
            f"({old.hash:.12}); name that one"
        )
    found = zeros.find_zeros(read_all(folder / layout.STEPS), find(spec.task), spec.control_hz)
    old.rezeroed(found.zero_deg).save(target)
    if as_json:
        write_json(found._asdict())
        return 0
    for joint, zero_deg, error_deg in zip(arm.JOINT_NAMES, found.zero_deg, found.error_deg, strict=True):
        unit = "percent" if joint == arm.JOINT_NAMES[arm.GRIPPER] else "deg"
        logger.info("%-14s %+.1f %s, to %.1f", joint, zero_deg, unit, error_deg)
    logger.info(
        "what was carried, in %d episodes, is %.1f mm from where the hand has it, and was %.1f; wrote %s",
        found.n_carries,
        1e3 * found.after_m,
        1e3 * found.before_m,
        target,
    )
    return 0
