"""Write docs/commands.md from the commands themselves: python docs/commands.py."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from soarm.cli import app
from soarm.cli.command import PANELS

PAGE = Path(__file__).with_name("commands.md")
BEGIN = "<!-- what follows is written by `python docs/commands.py` -->\n"


def main() -> None:
    """Write the page anew, up to what a person wrote in front."""
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


def page(text: str) -> str:
    """Return the page with its tables as the commands are now.

    Args:
        text: The page as it is.
    """
    return text.partition(BEGIN)[0] + BEGIN + "\n".join(tables()) + "\n"


def tables() -> Iterator[str]:
    """Yield the lines of a table per panel of `soarm --help`."""
    found = list(commands(typer.main.get_command(app)))
    for panel in PANELS:
        yield f"\n## {panel}\n\n| command | what it does | example |\n|---|---|---|"
        for name, command in found:
            if command.rich_help_panel == panel:
                line = " ".join(command.help.partition("\n\n")[0].split())
                yield f"| `{name}` | {line} | {command.epilog.removeprefix('Example: ')} |"


def commands(group: Any, *above: str) -> Iterator[tuple[str, Any]]:
    """Yield every command that help shows: its name with that of its group, and the command."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, *above, name)
        elif not command.hidden:
            yield " ".join([*above, name]), command


if __name__ == "__main__":
    main()
