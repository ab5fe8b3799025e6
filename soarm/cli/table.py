"""Commands of a camera over the table: calibrate it with the arm, and let it tell where things are."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
from pathlib import Path
from typing import Annotated

import typer

from soarm.cli.command import DRIVE, SETUP, Json, command, loading, number, whole, write_json

logger = logging.getLogger(__name__)
_Device = Annotated[
    str, typer.Option(help="The camera: number, path or address of OpenCV, or a file kept fresh (`pictures/front.ppm`).")
]
_Width = Annotated[int, whole(64, 4096, "Width of its pictures [px]; larger ones are cropped and averaged.")]
_Height = Annotated[int, whole(48, 4096, "Height of its pictures [px].")]


@command(SETUP, "soarm calibrate-table table.json --port PORT --calibration arm.json --camera 0")
def calibrate_table(
    target: Annotated[Path, typer.Argument(help="File for the table's calibration; one that is there is replaced.")],
    port: Annotated[str, typer.Option(help="Serial port of the arm, or of `soarm twin`.")],
    calibration: Annotated[Path, typer.Option(help="Of the arm.")],
    camera: _Device,
    settings: Annotated[Path | None, typer.Option(help="JSON with gains, part, park (`soarm.hardware.config`).")] = None,
    task: Annotated[str, typer.Option(help="Task whose thing the arm sets down.")] = "pick_place",
    colour: Annotated[str, typer.Option(help="Colour of that thing: a name, or a hue in degrees.")] = "blue",
    lies_at: Annotated[
        tuple[float, float, float] | None,
        number(-360, 360, "Where the thing lies: x, y [m], yaw [deg], to a centimetre; else you put it between the fingers."),
    ] = None,
    keep_clear: Annotated[
        list[str] | None,
        typer.Option(metavar="X,Y", help="What stays on the table: the arm keeps clear of it [m]."),
    ] = None,
    width: _Width = 640,
    height: _Height = 480,
    as_json: Json = False,
) -> int:
    """Calibrate a camera over the table: the arm sets a cube down on 15 spots, and looks where the picture shows it."""
    with loading("vision"):
        from soarm.errors import CalibrationError
        from soarm.hardware.calibration import Calibration
        from soarm.hardware.config import DEFAULT, ArmConfig
        from soarm.runtime.senses import open_one
        from soarm.smallfile import require_writable
        from soarm.spec import Feature
        from soarm.table_camera.arm_session import calibrate_on
        from soarm.table_camera.calibrating import places_of, put_down
        from soarm.table_camera.colours import Colour
        from soarm.table_camera.table import MOST_ERROR_M
        from soarm.tasks.registry import find
    require_writable(target, CalibrationError)
    thing, hue, clear = put_down(find(task)), Colour.parse(colour), places_of(keep_clear or [])
    measured, config = Calibration.load(calibration), DEFAULT if settings is None else ArmConfig.load(settings)
    with open_one("table", camera, Feature.image(height, width)) as eye:
        table = calibrate_on(port, measured, config, eye, thing, hue, lies_at=lies_at, keep_clear=clear)
    table.save(target)
    if as_json:
        write_json({"test": dataclasses.asdict(table.test), "camera": dataclasses.asdict(table.camera)})
    logger.info("%s", table.test.words())
    good = table.test.largest_m <= MOST_ERROR_M
    if good:
        logger.info("wrote %s; next: soarm track %s objects.json --camera %s", target, target, camera)
    else:
        logger.error(
            "wrote %s, but `soarm track` refuses it: above %g mm. Does camera or table wobble, or is the picture too dark?",
            target,
            1e3 * MOST_ERROR_M,
        )
    return 0 if good else 1


@command(DRIVE, "soarm track table.json objects.json --camera 0 --page 8765")
def track(
    table: Annotated[Path, typer.Argument(help="File that `soarm calibrate-table` wrote.")],
    target: Annotated[Path, typer.Argument(help="File that is kept fresh, for `soarm drive --objects`.")],
    camera: _Device,
    task: Annotated[str, typer.Option(help="Task whose things are followed.")] = "pick_place",
    colour: Annotated[
        list[str] | None, typer.Option(metavar="NAME=COLOUR", help="Colour of a thing: a name, or a hue in degrees.")
    ] = None,
    page: Annotated[int | None, whole(0, 65_535, "Port of a page here that shows what is seen; 0 takes a free one.")] = None,
    allow_moved: Annotated[bool, typer.Option("--allow-moved", help="Go on though the camera was moved.")] = False,
    allow_error: Annotated[bool, typer.Option("--allow-error", help="Use a calibration that is more than 5 mm off.")] = False,
) -> int:
    """Keep a file of objects fresh from a camera over the table, until Ctrl-C."""
    with loading("vision"):
        from soarm.errors import CalibrationError, ObservationError
        from soarm.runtime.senses import open_one
        from soarm.signals import recorded_signals
        from soarm.smallfile import require_writable
        from soarm.spec import Feature
        from soarm.table_camera.colours import colours_told
        from soarm.table_camera.page import Live, served
        from soarm.table_camera.table import MOST_ERROR_M, Table
        from soarm.table_camera.tracker import Tracker
        from soarm.table_camera.watching import Watcher, watch
        from soarm.tasks.registry import find
    measured = Table.load(table)
    if measured.test.largest_m > MOST_ERROR_M and not allow_error:
        raise CalibrationError(
            f"{table}: {measured.test.words()}; at most {1e3 * MOST_ERROR_M:g} mm are allowed. Calibrate again "
            "(`soarm calibrate-table`), or give --allow-error"
        )
    tracker = Tracker(find(task), measured, colours_told(colour or []))
    require_writable(target, ObservationError)
    with contextlib.ExitStack() as stack:
        stop = stack.enter_context(recorded_signals())
        wanted = Feature.image(measured.camera.height_px, measured.camera.width_px)
        eye = stack.enter_context(open_one("table", camera, wanted))
        live = None if page is None else Live()
        if live is not None and page is not None:
            logger.info("what is seen is shown at %s", stack.enter_context(served(live, page)))
        watch(eye, Watcher(tracker, target, live, insist=allow_moved), lambda: bool(stop))
    return 0
