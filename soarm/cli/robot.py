"""Commands to set up an arm and to drive it."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Annotated, Any

import typer

from soarm.cli.command import DRIVE, SETUP, command, loading

Words = Annotated[list[str] | None, typer.Argument(help="As `soarm COMMAND --help` of the room says.")]


def _of_room(room: str, panel: str, name: str, text: str, example: str, alone: bool = False, extra: str = "pipeline") -> None:
    def body(words: Words = None) -> int:
        with loading(extra):
            main: Callable[[Any], int] = importlib.import_module(f"soarm.{room}.__main__").main
        return main([*([] if alone else [name]), *(words or [])])

    body.__doc__ = text
    command(panel, example, name=name, passes_on=True)(body)


for _name, _text in {
    "find-port": "Find the arm's serial port.",
    "setup-motors": "Give new servos their ids.",
    "calibrate": "Measure zero and range of every joint.",
    "check-pose": "Check a calibration against a known pose.",
    "doctor": "Read every servo, and report what is wrong.",
    "release": "Switch torque off, and prove it.",
    "restore-registers": "Write the register values back that the servos held before.",
    "import-calibration": "Read a calibration of LeRobot.",
    "export-calibration": "Write a calibration as LeRobot does.",
}.items():
    _of_room("hardware", SETUP, _name, _text, f"soarm {_name} --port PORT")
_of_room("runtime", DRIVE, "drive", "Let a bundle drive an arm.", "soarm drive data/export --port PORT --calibration arm.json")
_of_room("runtime", DRIVE, "show-log", "Show what happened in a run.", "soarm show-log run.log")
_of_room("runtime", DRIVE, "replay-log", "Put a log through the safety chain again.", "soarm replay-log run.log")
_of_room("teleop", DRIVE, "teleoperate", "Drive an arm by hand, and record demonstrations.", "soarm teleoperate", True, "twin")
_of_room("dataset", DRIVE, "dataset", "Look at a dataset, verify it, or write a copy.", "soarm dataset info data/record", True)
_of_room("twin", DRIVE, "twin", "Emulate an arm on a pseudo-terminal.", "soarm twin --port /tmp/arm", True, "twin")
