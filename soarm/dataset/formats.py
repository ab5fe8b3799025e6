"""Folders that hold no readable v3.0 dataset: older formats and recordings of LeRobot's that were never finalized.

Knows how they are recognised and what their owner can do; reads no rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from soarm.dataset import layout
from soarm.errors import DatasetError

_MAGIC: Final = b"PAR1"
"""What a parquet file begins and ends with; the end is written last."""


def require_current(root: Path, info: Mapping[str, Any]) -> None:
    """Refuse a dataset in a format before v3.0.

    Raises:
        DatasetError: Names LeRobot's converter.
    """
    version = info.get("codebase_version")
    is_older = isinstance(version, str) and version.startswith(("v1.", "v2."))
    if not is_older and not (root / "meta" / "episodes.jsonl").exists():
        return
    at = root.resolve()
    first = "" if version == "v2.1" else "v2.0 becomes v2.1 first, with LeRobot 0.3.3 (lerobot.datasets.v21). "
    raise DatasetError(
        f"{root}: codebase_version is {version!r}; this reader knows {layout.CODEBASE_VERSION!r}. {first}"
        "LeRobot converts it, and keeps the old one beside it under the name _old:\n"
        "  0.4:             python -m lerobot.datasets.v30.convert_dataset_v21_to_v30 "
        f"--repo-id={at.name} --root={at.parent} --push-to-hub=false\n"
        "  0.5.1 and later: python -m lerobot.scripts.convert_dataset_v21_to_v30 "
        f"--repo-id=local/{at.name} --root={at} --push-to-hub=false"
    )


def require_finalized(root: Path, info: Mapping[str, Any], n_episodes: int) -> None:
    """Refuse a recording of LeRobot's whose program ended before it called `finalize`.

    Its parquet files have no end, and the last episodes are missing in meta/episodes: they were in memory only. A file that
    was cut off later belongs to a dataset with all its episodes.

    Args:
        root: The dataset's folder.
        info: Its info.json, which LeRobot writes after every episode.
        n_episodes: Episodes in the files of meta/episodes that can be read.

    Raises:
        DatasetError: Says what is lost, and what is not.
    """
    total = info.get("total_episodes")
    endless = [path for path in sorted((root / "data").glob("*/*.parquet")) if _has_no_end(path)]
    if not endless or not isinstance(total, int) or n_episodes >= total:
        return
    names = ", ".join(str(path.relative_to(root)) for path in endless)
    raise DatasetError(
        f"{root} is a LeRobot recording that was never finalized: {names} has no end, which LeRobot writes in "
        f"dataset.finalize(), and {total - n_episodes} of {total} episodes are missing in meta/episodes. If the program that "
        "recorded it still runs, let it call dataset.finalize(). Otherwise neither LeRobot nor soarm can read these rows: "
        "record the episodes again, and end lerobot-record with Esc or Ctrl-C, which finalizes, not by a kill. "
        "Films in videos/ are whole, and so are the rows of other files in data/."
    )


def _has_no_end(path: Path) -> bool:
    with open(path, "rb") as file:
        start = file.read(len(_MAGIC))
        file.seek(0, 2)
        if file.tell() < 2 * len(_MAGIC):
            return False
        file.seek(-len(_MAGIC), 2)
        return start == _MAGIC and file.read() != _MAGIC
