"""The program `soarm`: parse the arguments, run the command, return its exit status."""

from __future__ import annotations

import functools
import sys
from collections.abc import Sequence
from typing import Any

import typer

from soarm import entry
from soarm.cli import arm_learning, chain, data, identify, look, policies, proving, robot, sim, study, sweeping, table, watch
from soarm.cli.command import PANELS, app

# Their import is what declares the commands.
assert {arm_learning, chain, data, identify, look, policies, proving, robot, sim, study, sweeping, table, watch}
app.registered_commands.sort(key=lambda command: PANELS.index(str(command.rich_help_panel)))


@functools.cache
def program() -> Any:
    """Return the program with all its commands; to build it takes 0.1 s."""
    return typer.main.get_command(app)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status.

    Args:
        arguments: Without the program's name; None takes those of the process.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    if "--traceback" in words:  # it is asked for after the command has failed, so at its end
        words = ["--traceback", *(word for word in words if word != "--traceback")]
    try:
        status: int = program().main(words or ["--help"], prog_name="soarm", standalone_mode=False)
    except typer.TyperException as error:
        if not error.format_message():  # a group without a command has shown its help
            return error.exit_code
        place = getattr(getattr(error, "ctx", None), "command_path", "soarm")
        return entry.say(f"error: {error.format_message().rstrip('.')}. See `{place} --help`.", error.exit_code)
    except SystemExit as leaving:  # so typer leaves where the reader of a help has gone
        if isinstance(leaving.__context__, BrokenPipeError):
            return entry.CLOSED_PIPE
        raise
    return status
