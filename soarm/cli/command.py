"""The application, the decorator that makes a function a command of it, and the options that many commands share."""

from __future__ import annotations

import contextlib
import functools
import json
import logging
import sys
from collections.abc import Callable
from typing import Annotated, Any, ParamSpec, TypeVar

import typer

from soarm import entry

P = ParamSpec("P")
N = TypeVar("N", int, float)
CHAIN, DRIVE, SETUP, DATA, LOOK = "Train and evaluate", "Drive an arm", "Set up an arm", "Datasets and logs", "Look"
PANELS = (CHAIN, LOOK, DRIVE, DATA, SETUP)
"""The panels of `soarm --help`, in their order."""

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit status: 0 all is well, 1 something is wrong, 2 wrong usage, 130 Ctrl-C, 141 nobody reads the output, "
    "128 + n after a signal n. `soarm COMMAND --help` shows an example.",
)
loading = entry.loading
_handler = logging.StreamHandler(sys.stdout)
_traceback = False
_LONGEST_RANGE = 1_000_000


def command(
    panel: str, example: str, *, of: typer.Typer = app, name: str | None = None, hidden: bool = False
) -> Callable[..., Any]:
    """Return a decorator that makes a function a command.

    Args:
        panel: Under which heading `soarm --help` shows it; one of the panels above.
        example: One call of it as it is typed, for the end of its help.
        of: The group it belongs to; the top by default.
        name: Where it is not the function's, with `-` for `_`.
        hidden: Whether help leaves it out.

    The function returns the exit status. It is returned unchanged, so that it can be called as well.
    """

    def register(body: Callable[P, int]) -> Callable[P, int]:
        @functools.wraps(body)
        def run(*args: P.args, **kwargs: P.kwargs) -> int:
            return entry.guarded(lambda: body(*args, **kwargs), traceback=_traceback)

        of.command(name, rich_help_panel=panel, epilog=f"Example: `{example}`", hidden=hidden)(run)
        return body

    return register


def whole(low: int, high: int, help: str, *names: str) -> Any:
    """Return the option of a whole number from `low` to `high`."""
    return typer.Option(*names, help=help, parser=_within(int, low, high, "a whole number"), metavar=f"{low}..{high}")


def number(low: float, high: float, help: str, *names: str) -> Any:
    """Return the option of a number from `low` to `high`; NaN is none."""
    return typer.Option(*names, help=help, parser=_within(float, low, high, "a number"), metavar=f"{low:g}..{high:g}")


def _within(kind: Callable[[str], N], low: N, high: N, what: str) -> Callable[[str], N]:
    def read(text: str) -> N:
        with contextlib.suppress(ValueError):
            value = kind(text)
            if low <= value <= high:
                return value
        raise typer.BadParameter(f"it is {str(text)[:40]!r}; it must be {what} in {low}..{high}")

    return read


Workers = Annotated[int | None, whole(1, 1024, "How many processes of this machine share the work.")]
RayAddress = Annotated[
    str | None,
    typer.Option(
        "--ray",
        metavar="ADDRESS",
        help="Share the work on the Ray cluster that this machine is a node of, a process per processor: `auto`, HOST:PORT, "
        "or `local` for one that begins and ends with the command.",
    ),
]


def require_one_kind(workers: int | None, ray: str | None) -> None:
    """Refuse --workers beside --ray."""
    if ray is not None and workers is not None:
        raise typer.BadParameter("--workers is for this machine; with --ray the cluster's processors say how many run at once")


def numbers(text: str) -> list[int]:
    """Read "3,7-9" as [3, 7, 8, 9].

    Raises:
        typer.BadParameter: It is no such list.
    """
    found: list[int] = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()) or len(part) > 20:
            raise typer.BadParameter(f"it is {text[:40]!r}; it must be numbers and ranges, as in 3,7-9")
        if dash and int(last) < int(first):
            raise typer.BadParameter(f"{part} runs backwards; write {last}-{first}")
        if int(last or first) - int(first) > _LONGEST_RANGE:
            raise typer.BadParameter(f"{part} is too long a range")
        found += range(int(first), int(last or first) + 1)
    return found


def _json_asked(asked: bool) -> bool:
    if asked:
        _handler.stream = sys.stderr  # what is logged beside the result
    return asked


Json = Annotated[bool, typer.Option("--json", help="Write the result as JSON on standard output.", callback=_json_asked)]


def write_json(value: Any) -> None:
    """Write a result for a program to read: one JSON value on standard output; NaN becomes null."""
    with loading():  # not above: most commands need none
        from soarm.records import plain
    sys.stdout.write(json.dumps(plain(value), indent=2) + "\n")


def _version(asked: bool) -> None:
    if asked:
        with loading():  # not above: it costs a tenth of the time that `soarm --help` takes
            from importlib import metadata
        sys.stdout.write(f"soarm {metadata.version('soarm')}\n")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")] = False,
    traceback: Annotated[bool, typer.Option("--traceback", help="Show where in the code an error was raised.")] = False,
) -> None:
    """Teach the SO-ARM100 a task: demonstrations, ACT, a residual, and the arm."""
    global _traceback
    _traceback = traceback
    _handler.setFormatter(logging.Formatter("%(message)s"))
    _handler.stream = sys.stdout
    logging.basicConfig(level=logging.INFO, handlers=[_handler])
