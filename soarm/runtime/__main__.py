"""`python -m soarm.runtime check BUNDLE`: is this bundle whole, what is in it, and how fast is it on this machine?"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from soarm.errors import SoarmError
from soarm.runtime.bundle import Bundle, spec_json
from soarm.runtime.latency import measure

logger = logging.getLogger("soarm.runtime")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status: 0 for a good bundle, 1 for a bad one."""
    parser = argparse.ArgumentParser(prog="python -m soarm.runtime", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    check = commands.add_parser("check", help="verify a bundle, show its specification and time it on this machine")
    check.add_argument("bundle", type=Path, help="folder that the export stage wrote")
    check.add_argument("--calls", type=int, default=500, help="how many calls to time (%(default)s)")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    try:
        _check(options.bundle, options.calls)
    except SoarmError as error:
        logger.error("%s", error)
        return 1
    return 0


def _check(folder: Path, n_calls: int) -> None:
    bundle = Bundle.open(folder)
    logger.info("%s is whole: %s", folder, ", ".join(sorted(bundle.checksums)))
    logger.info("%s", spec_json(bundle.spec).rstrip())
    for name, latency in measure(bundle, n_calls).items():
        logger.info("%-8s median %.3f ms, 99 %% under %.3f ms (%d calls, one arm)", name, *latency, n_calls)


if __name__ == "__main__":
    sys.exit(main())
