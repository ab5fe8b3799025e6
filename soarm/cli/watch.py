"""Commands to watch a policy in the simulator: in a window, or on a film."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from soarm.cli import robot
from soarm.cli.command import LOOK, Json, command, loading, whole, write_json

if TYPE_CHECKING:
    from soarm.window.artefact import Role
    from soarm.window.scenes import ShowReport

_WORDS = "Folder of a bundle (no torch needed) or of a checkpoint"
Watched = Annotated[Path, typer.Argument(help=f"{_WORDS}; `demonstrator` is the scripted one of --task.")]
Corrected = Annotated[Path, typer.Argument(help=f"{_WORDS} with a residual.")]
Which = Annotated[Literal["residual", "base"] | None, typer.Option(help="Which to begin with; the best there is by default.")]
TaskName = Annotated[str | None, typer.Option("--task", help="Task of the demonstrator; an artefact says its own.")]
Base = Annotated[Path | None, typer.Option(help="Checkpoint of the base under a residual; train_act beside it by default.")]
Scene = Annotated[int, whole(0, 999_999, "Which of the held-out scenes comes first, those that policies are evaluated on.")]
Seed = Annotated[int | None, whole(0, 2**31 - 1, "Seed of the first scene, in place of --scene: as rows and reports have it.")]
Scenes = Annotated[int | None, whole(1, 100_000, "End after so many scenes; without it the window stays open.")]
Film = Annotated[Path | None, typer.Option(help="Write a film (.mp4) of one scene, or of --scenes, and open no window.")]
Params = Annotated[Path | None, typer.Option(help="Where the simulator is described, in place of params.yaml.")]
Port = Annotated[
    str | None, typer.Option(help="Port of an arm or of `soarm twin`: the bundle drives it, as with `soarm drive`.")
]
Calibration = Annotated[Path | None, typer.Option(help="Of the arm at --port.")]
Objects = Annotated[Path | None, typer.Option(help="For the arm at --port: file that says where the objects are.")]
Cameras = Annotated[
    list[str] | None, typer.Option("--camera", metavar="NAME=DEVICE", help="For the arm at --port: as of `soarm drive`.")
]


@command(LOOK, "soarm run data/export --scene 3")
def run(
    artefact: Watched = Path("data/export"),
    which: Which = None,
    task: TaskName = None,
    base: Base = None,
    scene: Scene = 0,
    seed: Seed = None,
    scenes: Scenes = None,
    film: Film = None,
    params: Params = None,
    port: Port = None,
    calibration: Calibration = None,
    objects: Objects = None,
    camera: Cameras = None,
    as_json: Json = False,
) -> int:
    """Watch a policy: in the simulator, in a window and in real time, scene after scene. Keys are shown in the window."""
    if port is not None:
        if calibration is None:
            raise typer.BadParameter("--port needs --calibration, and the --camera or --objects that `soarm drive` would need")
        _refuse("nothing is simulated with --port", task=task, base=base, seed=seed, scenes=scenes, film=film, params=params)
        status: int = robot.drive(artefact, port, calibration, objects=objects, camera=camera, which=which)
        return status
    _refuse("no arm is driven without --port", calibration=calibration, objects=objects, camera=camera)
    with loading("twin"):
        from soarm.window.artefact import DEMONSTRATOR, open_artefact
        from soarm.window.watching import watch

    if artefact != Path(DEMONSTRATOR):
        _refuse(f"{artefact} says its task itself; only the demonstrator is told", task=task)
    _refuse_base(artefact, base)
    opened = open_artefact(artefact, base=base, task=task, params=params)
    roles = sorted(opened.makers, key=lambda role: role != which)
    return _told(watch(opened, [[role] for role in roles], scene, seed, scenes, film), as_json)


@command(LOOK, "soarm rl-demo data/export --scene 3")
def rl_demo(
    artefact: Corrected = Path("data/export"),
    base: Base = None,
    scene: Scene = 0,
    seed: Seed = None,
    scenes: Scenes = None,
    film: Film = None,
    params: Params = None,
    as_json: Json = False,
) -> int:
    """Watch base and residual on the same scene, side by side; push the cube, and see what the residual does about it."""
    with loading("twin"):
        from soarm.window.artefact import open_artefact
        from soarm.window.watching import watch

    _refuse_base(artefact, base)
    line_ups: list[list[Role]] = [["base", "residual"], ["residual"], ["base"]]
    opened = open_artefact(artefact, base=base, params=params)
    return _told(watch(opened, line_ups, scene, seed, scenes, film), as_json)


def _refuse_base(artefact: Path, base: Path | None) -> None:
    with loading("twin"):
        from soarm.runtime.bundle import CHECKSUMS_FILE
        from soarm.window.artefact import DEMONSTRATOR
    if artefact == Path(DEMONSTRATOR) or (artefact / CHECKSUMS_FILE).exists():
        _refuse(f"{artefact} needs none; only the checkpoint of a residual does", base=base)


def _refuse(why: str, **options: object) -> None:
    """Refuse options that mean nothing here.

    Raises:
        BadParameter: One of them was given.
    """
    given = [f"--{name}" for name, value in options.items() if value is not None]
    if given:
        raise typer.BadParameter(f"{' and '.join(given)} would be ignored: {why}")


def _told(report: ShowReport, as_json: bool) -> int:
    """Write the report, where a program reads it."""
    if as_json:
        scenes = [{"seed": seed, "endings": [ending._asdict() for ending in endings]} for seed, endings in report.scenes]
        write_json({"scenes": scenes, "pushes": report.pushes})
    return 0
