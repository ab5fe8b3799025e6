"""A twin in the foreground: it serves its ports until a signal ends it, keeps a file of objects fresh and moves a leader."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import NamedTuple

from soarm.errors import TwinError
from soarm.hardware.calibration import Calibration
from soarm.signals import STOP_SIGNALS, handled_by
from soarm.sim.params import SimParams
from soarm.smallfile import require_writable, write_atomically
from soarm.twin.faults import Fault
from soarm.twin.leading import Motion
from soarm.twin.rendering import PictureFolder, RenderedCameras
from soarm.twin.twin import Twin
from soarm.twin.twin_config import TwinConfig
from soarm.twin.wire_log import WireLog

logger = logging.getLogger(__name__)
_LOOK_S = 1.0 / 60
STILL, SWEEP, CALIBRATE = "still", "sweep", "calibrate"
"""How the leader moves without a file; `calibrate`: every limp arm is held as `soarm calibrate` asks."""


def serve(
    sim: SimParams,
    config: TwinConfig,
    *,
    scene: int = 0,
    faults: Sequence[str] = (),
    lead: str = STILL,
    objects: Path | None = None,
    pictures: Path | None = None,
    wire_log: Path | None = None,
    wait: Callable[[float], None] = time.sleep,
) -> None:
    """Serve a twin until SIGINT, SIGTERM or SIGHUP; SIGUSR1 pulls the arm's cable, and plugs it in again.

    Args:
        sim: The simulator.
        config: How the arm is emulated.
        scene: Seed of the scene.
        faults: What breaks, as `Fault.parse` takes it.
        lead: How the leader moves, where there is one: one of the words above, or a file with a motion.
        objects: File that is told where the objects are.
        pictures: Folder with a picture per camera of the simulator, kept fresh.
        wire_log: File for every byte of the arm's line.
        wait: Waits so many seconds.

    Raises:
        TwinError: The twin cannot be set up, or stopped serving.
    """
    with _told() as told, contextlib.ExitStack() as stack:
        if objects is not None:
            require_writable(objects, TwinError)
        if wire_log is not None:
            config = dataclasses.replace(config, wire_log=stack.enter_context(_wire_log(wire_log)))
        twin = stack.enter_context(Twin.start(sim, config))
        twin.reset(scene)
        for fault in faults:
            twin.inject(Fault.parse(fault))
        motion = _motion(lead, twin) if config.arms == 2 else None
        folder = None
        if pictures is not None:
            folder = PictureFolder(stack.enter_context(RenderedCameras(twin, sim)), pictures)
            folder.refresh()  # the first picture takes longest
        for name, port in zip(("arm", "leader"), twin.ports, strict=False):
            logger.info("%s on %s", name, port)
        logger.info("kill -USR1 %d pulls the arm's cable, and plugs it in again", os.getpid())
        logger.info("scene %d, servo model %s, %.1f V; Ctrl-C ends it", scene, config.servo_model, config.volts)
        _watch(twin, objects, folder, motion, wait, told)


def calibration_at(path: Path | None) -> Calibration:
    """Return the calibration of a file; where there is no such file, the nominal one, which is written there."""
    if path is None:
        return Calibration.nominal()
    if not path.exists():
        Calibration.nominal().save(path)
        logger.info("wrote the twin's calibration to %s", path)
    return Calibration.load(path)


class _Told(NamedTuple):
    """What signals ask for.

    Attributes:
        stop: To end: Ctrl-C, SIGTERM and SIGHUP; none of them may keep the links from being taken away.
        cable: To pull the arm's cable, or to plug it in again: SIGUSR1.
    """

    stop: threading.Event
    cable: threading.Event


@contextlib.contextmanager
def _told() -> Iterator[_Told]:
    told = _Told(threading.Event(), threading.Event())

    def note(signum: int, frame: FrameType | None) -> None:
        (told.cable if signum == signal.SIGUSR1 else told.stop).set()

    with handled_by(note, (*STOP_SIGNALS, signal.SIGUSR1)):
        yield told


def _wire_log(path: Path) -> WireLog:
    try:
        return WireLog(path)
    except (OSError, ValueError) as error:
        raise TwinError(
            f"{path} cannot be written ({getattr(error, 'strerror', None) or error}); choose another place for --wire-log"
        ) from None


def _motion(lead: str, twin: Twin) -> Motion | None:
    """Return how the leader moves; it starts where the arm is."""
    if lead == CALIBRATE:
        return None
    if lead == SWEEP:
        return Motion.sweep(twin.q())
    return Motion([0.0], [twin.q()]) if lead == STILL else Motion.load(Path(lead))


def _watch(
    twin: Twin,
    objects: Path | None,
    pictures: PictureFolder | None,
    motion: Motion | None,
    wait: Callable[[float], None],
    told: _Told,
) -> None:
    """Keep the files of objects and pictures fresh, move the leader, pull the cable, and say once when the task is done."""
    said, plugged = False, True
    while twin.running:
        if motion is not None:
            twin.lead(motion(twin.time_s()))
        wait(_LOOK_S)
        if told.stop.is_set():
            return
        if told.cable.is_set():
            told.cable.clear()
            plugged = not plugged
            (twin.replug if plugged else twin.unplug)()
            logger.info("the arm's cable is %s", "plugged in again" if plugged else "pulled; SIGUSR1 plugs it in again")
        if objects is not None:
            write_atomically(
                objects, json.dumps({"task": twin.task.name, "objects": twin.objects().tolist()}), TwinError, durable=False
            )
        if pictures is not None:
            pictures.refresh()
        outcome = twin.outcome()
        if outcome is not None and outcome.terminated and not said:
            logger.info("%s, after %.1f s", twin.task.goal.words, twin.time_s())
            said = True
    raise TwinError("the twin stopped serving its port; what went wrong stands above")
