"""Commands that need no arm: the twin, and driving by hand in the simulator or on it."""

from __future__ import annotations

import dataclasses
import logging
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from soarm.cli.command import DRIVE, command, loading, number, whole

if TYPE_CHECKING:
    from soarm.sim.env import SimEnv
    from soarm.sim.params import SimParams
    from soarm.window.driving import DrivingWindow

logger = logging.getLogger(__name__)
ParamsFile = Annotated[
    Path | None, typer.Option(help="File that describes the simulator; `params.yaml` here, or else the package's.")
]
Seed = Annotated[
    int | None,
    whole(0, 2**31 - 1, "Scene of the first episode; by default 0, or as many as the dataset that is continued has episodes."),
]


@command(DRIVE, "soarm control --leader keyboard --dataset datasets/mine --episodes 50")
def control(
    leader: Annotated[
        Literal["keyboard", "gamepad", "arm", "expert", "replay"], typer.Option(help="What drives.")
    ] = "keyboard",
    follower: Annotated[
        Literal["sim", "arm"], typer.Option(help="What is driven; `arm` is one on a port, a real one or that of `soarm twin`.")
    ] = "sim",
    dataset: Annotated[
        Path | None, typer.Option(help="Folder of the dataset, continued where it exists; without it nothing is recorded.")
    ] = None,
    episodes: Annotated[int, whole(1, 1_000_000, "How many to keep.")] = 10,
    task: Annotated[
        str | None, typer.Option(help="Name of the task; that of `params.yaml` by default, pick_place for an arm on a port.")
    ] = None,
    instruction: Annotated[
        str | None, typer.Option(help="What the robot is asked to do, in words; the task's own by default.")
    ] = None,
    seed: Seed = None,
    port: Annotated[str | None, typer.Option(help="Port of the arm that follows.")] = None,
    calibration: Annotated[Path | None, typer.Option(help="Of the arm that follows.")] = None,
    leader_port: Annotated[str | None, typer.Option(help="Port of the arm that leads.")] = None,
    leader_calibration: Annotated[Path | None, typer.Option(help="Of the arm that leads.")] = None,
    settings: Annotated[Path | None, typer.Option(help="Of both arms (`soarm.hardware.config`).")] = None,
    objects: Annotated[
        Path | None, typer.Option(help="File that says where the objects are, to record them (`soarm.runtime.objects`).")
    ] = None,
    camera: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=DEVICE[:WxH]",
            help="A camera to record, any number of them: number, path or address of OpenCV, or a file kept fresh; of the "
            "simulator NAME[:WxH], as in front:96x96. 640x480 by default.",
        ),
    ] = None,
    replay: Annotated[Path | None, typer.Option(help="Dataset, or log of `soarm drive`, for --leader replay.")] = None,
    replay_episode: Annotated[int, whole(0, 1_000_000, "Which episode of it.")] = 0,
    replay_units: Annotated[
        Literal["degrees"] | None, typer.Option(help="Unit of --replay, where the dataset does not say it.")
    ] = None,
    from_log: Annotated[
        Path | None, typer.Option(help="No driving: the episodes of this log of `soarm drive` are added to --dataset.")
    ] = None,
    params: ParamsFile = None,
    control_hz: Annotated[int | None, whole(1, 1000, "Steps per second of --follower arm; 30 by default.")] = None,
    fast: Annotated[bool, typer.Option("--fast", help="Do not wait for the clock; for --leader expert and replay.")] = False,
    window: Annotated[
        bool | None, typer.Option(help="Show the simulated arm in a window; where there is a display, by default.")
    ] = None,
) -> int:
    """Drive an arm by hand, and record demonstrations: the simulated arm, the twin's or a real one."""
    with loading("twin"):
        from soarm.teleop.control import ControlConfig, record_log
        from soarm.teleop.control import control as drive
    if from_log is not None:
        if dataset is None:
            raise typer.BadParameter("--from-log needs --dataset")
        record_log(from_log, dataset, instruction)
        return 0
    config = ControlConfig(
        leader=leader,
        follower=follower,
        dataset=dataset,
        episodes=episodes,
        task=task,
        instruction=instruction,
        seed=seed,
        port=port,
        calibration=calibration,
        leader_port=leader_port,
        leader_calibration=leader_calibration,
        settings=settings,
        objects=objects,
        cameras=tuple(camera or ()),
        replay=replay,
        replay_episode=replay_episode,
        replay_units=replay_units,
        params=params,
        control_hz=control_hz,
        fast=fast,
    )
    if (fault := config.fault()) is not None:
        raise typer.BadParameter(fault)
    if window and (fast or follower != "sim"):
        raise typer.BadParameter("--window is for --follower sim, and without --fast")

    def open_display(env: SimEnv, keys: str) -> AbstractContextManager[DrivingWindow | None]:
        with loading("twin"):
            from soarm.window.driving import opener
        return opener(required=window is True)(env, keys)

    report = drive(config, None if fast or window is False else open_display)
    return 0 if report.kept or (dataset is None and not config.drives_alone) else 1


# As LeRobot calls it.
command(DRIVE, "soarm teleoperate --leader keyboard", name="teleoperate", hidden=True)(control)


@command(DRIVE, "soarm twin --port /tmp/arm --objects /tmp/objects.json --calibration arm.json")
def twin(
    port: Annotated[list[Path] | None, typer.Option(help="Link to the port; a second one for an arm that leads.")] = None,
    objects: Annotated[Path | None, typer.Option(help="File that is told where the objects are, for --objects.")] = None,
    pictures: Annotated[
        Path | None,
        typer.Option(
            help="Folder for a picture of each camera, 30 times a second, for `soarm drive --camera front=FOLDER/front.ppm`."
        ),
    ] = None,
    camera: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME[:WxH]",
            help="A camera of the scene that --pictures draws, any number of them: front:96x96. Those of `sim.cameras` "
            "in params.yaml by default, which says where a camera is.",
        ),
    ] = None,
    cameras_of: Annotated[
        Path | None, typer.Option(help="Bundle whose cameras --pictures draws, mounted as for it, in place of `sim.cameras`.")
    ] = None,
    calibration: Annotated[Path | None, typer.Option(help="How the servos are mounted; written if it does not exist.")] = None,
    scene: Annotated[int, whole(0, 2**31 - 1, "Seed of the scene.")] = 0,
    servo_model: Annotated[
        Literal["position", "sts3215"], typer.Option(help="How servos make torque: the simulator's, or the STS3215's.")
    ] = "sts3215",
    volts: Annotated[float, number(0, 25.4, "Of the supply [V].")] = 7.4,
    clock: Annotated[Literal["wall", "lockstep"], typer.Option(help="What moves it.")] = "wall",
    usb_delay: Annotated[float, number(0, 10, "What the adapter adds to every reply [s].")] = 0.001,
    lead: Annotated[
        str,
        typer.Option(
            metavar="still|sweep|calibrate|FILE",
            help="How the leader moves; calibrate: every limp arm is held as `soarm calibrate` asks.",
        ),
    ] = "still",
    new: Annotated[
        bool, typer.Option("--new", help="Servos from the factory, plugged in one at a time for setup-motors.")
    ] = False,
    wire_log: Annotated[Path | None, typer.Option(help="File for every byte of the arm's line.")] = None,
    fault: Annotated[
        list[str] | None,
        typer.Option(
            help="What breaks, as in mute:servo_id=3,at_s=10,count=5; any number of: mute, delay, corrupt, truncate, "
            "wrong_length, wrong_id, noise, duplicate, error, echo, deaf, frozen, multi_turn, overload, sag, heat, reboot, "
            "unplug, push.",
        ),
    ] = None,
    extra_servo: Annotated[
        list[int] | None, whole(0, 253, "Id of one more servo; an id of 1 to 6 is there twice then.")
    ] = None,
    params: ParamsFile = None,
    torque_at_power_up: Annotated[bool, typer.Option(help="Servos start with torque; not settled.")] = False,
    goal_enables_torque: Annotated[bool, typer.Option(help="Writing a goal switches torque on; not settled.")] = False,
    sync_read_after_missing: Annotated[
        bool, typer.Option(help="Servos after a silent one still answer a SYNC READ; not settled.")
    ] = True,
    return_delay: Annotated[bool, typer.Option(help="Register 7 delays replies; not settled.")] = False,
    torque_limit_obeyed: Annotated[bool, typer.Option(help="Register 48 is obeyed at run time; not settled.")] = True,
) -> int:
    """Emulate an SO-ARM100 on a pseudo-terminal: MuJoCo behind a servo bus, until Ctrl-C.

    The port takes whatever takes a serial port: this project's commands, LeRobot's, Feetech's. SIGUSR1 pulls the arm's cable,
    and plugs it in again.
    """
    with loading("twin"):
        from soarm.teleop import cameras, simulated
        from soarm.twin import serving
        from soarm.twin.servo import FirmwareAssumptions
        from soarm.twin.twin_config import TwinConfig
    ports = port or []
    if len(ports) > 2:
        raise typer.BadParameter(f"{len(ports)} ports were given; there is one arm, and one that leads")
    if lead not in (serving.STILL, serving.CALIBRATE) and len(ports) < 2:
        raise typer.BadParameter("--lead needs a second --port, for the arm that leads")
    if camera and cameras_of is not None:
        raise typer.BadParameter("--camera and --cameras-of both say what --pictures draws; give one of them")
    if (camera or cameras_of is not None) and pictures is None:
        raise typer.BadParameter("--camera and --cameras-of say what --pictures FOLDER draws; give it too")
    sim = _simulator(params, cameras_of)
    if camera:
        sim = dataclasses.replace(sim, cameras=simulated.sized(cameras.choices(camera, simulated=True), sim))
    if pictures is not None and not sim.cameras:
        raise typer.BadParameter(
            "--pictures has nothing to draw: sim.cameras is empty; give --camera front:96x96, --cameras-of BUNDLE, or --params"
        )
    config = TwinConfig(
        servo_model=servo_model,
        clock=clock,
        volts=volts,
        calibration=serving.calibration_at(calibration),
        new=new,
        hand=lead == serving.CALIBRATE,
        extra_servos=tuple(extra_servo or ()),
        arms=2 if len(ports) > 1 else 1,
        line_timing=clock == "wall",
        usb_delay_s=usb_delay if clock == "wall" else 0.0,
        assumptions=FirmwareAssumptions(
            torque_at_power_up, goal_enables_torque, sync_read_after_missing, return_delay, torque_limit_obeyed
        ),
        paths=tuple(ports),
    )
    serving.serve(
        sim, config, scene=scene, faults=fault or [], lead=lead, objects=objects, pictures=pictures, wire_log=wire_log
    )
    logger.info("the twin is gone")
    return 0


def _simulator(params: Path | None, cameras_of: Path | None) -> SimParams:
    """Return the simulator of a params file; with a bundle that of its task, and with its cameras."""
    with loading("twin"):
        from soarm import params as params_file
        from soarm.sim.params import SimParams
    file = params or params_file.here_or_packaged()
    if cameras_of is None:
        return params_file.load(file).section("sim", SimParams)
    with loading("twin"):
        from soarm.export.setting import seen_as
        from soarm.runtime.bundle import Bundle
    bundle = Bundle.open(cameras_of)
    sim = params_file.load(file, bundle.task.name).section("sim", SimParams)
    if bundle.mounting is None:
        raise typer.BadParameter(f"{cameras_of} has no cameras, or does not say how they were mounted; leave --cameras-of out")
    return seen_as(sim, bundle.mounting)
