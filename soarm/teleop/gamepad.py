"""A gamepad as a teleoperator, through the optional package `inputs`."""

from __future__ import annotations

import importlib
import threading
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from soarm.errors import TeleopError
from soarm.policy import Array, Observation
from soarm.spec import STATE
from soarm.teleop.cartesian import Cartesian, Twist

DEAD_ZONE = 0.12
"""Sticks rest somewhere within this of the middle."""
_STICK_MAX, _TRIGGER_MAX = 32768.0, 255.0
_PAUSE_S = 0.01


def twist_of(axes: Mapping[str, float]) -> Twist:
    """Return what a gamepad's axes ask for.

    Args:
        axes: Code of `inputs` -> value: sticks ABS_X, ABS_Y, ABS_RX, ABS_RY in [-32768, 32767]; triggers ABS_Z, ABS_RZ in
            [0, 255]; the cross ABS_HAT0X, ABS_HAT0Y in {-1, 0, 1}. What is missing rests.
    """

    def stick(code: str) -> float:
        value = max(-1.0, min(1.0, axes.get(code, 0.0) / _STICK_MAX))
        size = max(0.0, abs(value) - DEAD_ZONE) / (1.0 - DEAD_ZONE)
        return size if value > 0 else -size

    closing, opening = (axes.get(code, 0.0) / _TRIGGER_MAX for code in ("ABS_Z", "ABS_RZ"))
    return Twist(
        x=stick("ABS_X"),
        y=stick("ABS_Y"),
        z=-stick("ABS_RY"),
        roll=stick("ABS_RX"),
        pitch=-float(axes.get("ABS_HAT0Y", 0.0)),
        gripper=max(-1.0, min(1.0, opening - closing)),
    )


class Gamepad:
    """The first gamepad that `inputs` finds.

    Args:
        control_hz: Steps per second [Hz].
        load: Returns the module `inputs`.
        lead: How far a target may be ahead of its joint; see `Cartesian`.
    """

    def __init__(
        self, control_hz: int, load: Callable[[], Any] | None = None, lead: NDArray[np.float64] | None = None
    ) -> None:
        self._cartesian = Cartesian(control_hz, lead=lead)
        self._load = load or (lambda: importlib.import_module("inputs"))
        self._axes: dict[str, float] = {}
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()
        self._lost: str | None = None

    def connect(self) -> None:
        """Open the gamepad and listen to it in a thread: reading one waits for its next event."""
        try:
            inputs = self._load()
        except ImportError:
            raise TeleopError("a gamepad needs the package `inputs`: pip install inputs, or take --leader keyboard") from None
        pads = inputs.devices.gamepads
        if not pads:
            raise TeleopError("no gamepad was found; connect one (it must appear as /dev/input/js0) and start again")
        self._thread = threading.Thread(target=self._listen, args=(pads[0],), name="gamepad", daemon=True)
        self._thread.start()

    def _listen(self, pad: Any) -> None:
        try:
            while not self._stop.is_set():
                events = pad.read()
                for event in events or ():
                    if event.ev_type == "Absolute":
                        self._axes[event.code] = float(event.state)
                if not events:
                    self._stop.wait(_PAUSE_S)
        except Exception as error:  # whatever the package raises: a thread that ends unheard leaves a stick pushed for ever
            self._lost = f"{type(error).__name__}: {error}"
        finally:
            self._axes.clear()

    def start(self, observation: Observation) -> None:
        """Begin where the arm stands."""
        self._cartesian.start(observation[STATE])

    def action(self, observation: Observation) -> Array:
        """Return the next joint targets."""
        if self._lost is not None:
            raise TeleopError(
                f"the gamepad was disconnected ({self._lost}); connect it and start again. Kept episodes are safe"
            )
        return self._cartesian.move(twist_of(self._axes), observation[STATE])

    def close(self) -> None:
        """Stop listening; a thread that waits for an event ends with the program."""
        self._stop.set()
