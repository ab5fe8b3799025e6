"""`soarm dataset`: look at a dataset, verify it, and write a copy in degrees.

    soarm dataset info FOLDER
    soarm dataset verify FOLDER
    soarm dataset convert FOLDER NEW_FOLDER --calibration FILE.json    from -100..100 to degrees
    soarm dataset convert FOLDER NEW_FOLDER --units degrees            only says that it is in degrees

Nothing here changes a dataset that exists. Also `python -m soarm.dataset`.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from soarm.dataset import checks, quality, reader
from soarm.dataset.conversion import convert
from soarm.dataset.overview import page
from soarm.dataset.units import DEGREES
from soarm.errors import SoarmError
from soarm.ownership import require_free

logger = logging.getLogger("soarm.dataset")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status: 0 where all is well, 1 where something is wrong."""
    parser = argparse.ArgumentParser(
        prog="soarm dataset", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    info = commands.add_parser("info", help="what it holds, in which units, and what it can be used for")
    info.set_defaults(do=lambda options: _info(options.path))
    verify = commands.add_parser("verify", help="list everything that is wrong with its files, or looks wrong in its motion")
    verify.add_argument("--strict", action="store_true", help="exit status 1 also for what only looks wrong")
    verify.set_defaults(do=lambda options: _verify(options.path, options.strict))
    for command in (info, verify):
        command.add_argument("path", type=Path, help="the dataset's folder, which holds meta/")
    change = commands.add_parser("convert", help="write a copy in degrees that says so")
    change.add_argument("source", type=Path, help="a dataset in unknown units")
    change.add_argument("destination", type=Path, help="a new folder")
    how = change.add_mutually_exclusive_group(required=True)
    how.add_argument(
        "--calibration", type=Path, help="of the follower when it was recorded, LeRobot's or as import-calibration made it"
    )
    how.add_argument("--units", choices=[DEGREES], help="only says that it is in degrees")
    change.set_defaults(do=_convert)
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    try:
        status: int = options.do(options)
    except SoarmError as error:
        logger.error("%s", error)
        return 1
    return status


def _info(path: Path) -> int:
    for line in page(path):
        logger.info("%s", line)
    return 0


def _verify(path: Path, strict: bool) -> int:
    found = checks.examine(path)
    for fault in found.faults:
        logger.error("%s", fault)
    if found.faults:
        logger.error("%s: %d faults", path, len(found.faults))
        return 1
    logger.info("%s: nothing is wrong with its files, as far as they say", path)
    suspicious = quality.findings(reader.from_contents(path, found))
    for line in suspicious:
        logger.warning("%s", line)
    logger.info("%s: %d things look wrong in its motion", path, len(suspicious))
    return 1 if strict and suspicious else 0


def _convert(options: argparse.Namespace) -> int:
    require_free(options.destination)
    made = convert(options.source, options.destination, options.calibration)
    logger.info("%s: %d episodes in degrees; %s is as it was", made.path, made.n_episodes, options.source)
    return 0


if __name__ == "__main__":
    sys.exit(main())
