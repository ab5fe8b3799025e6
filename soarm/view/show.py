"""Show a dataset: write its page and open it, or start the Rerun viewer."""

from __future__ import annotations

import datetime
import logging
import os
import sys
import webbrowser
from collections.abc import Sequence
from pathlib import Path

from soarm.errors import DatasetError, ViewError
from soarm.smallfile import replacing
from soarm.view import curves, dataset_page, rerun_log
from soarm.view.inspection import Inspection, inspect

logger = logging.getLogger(__name__)

MARK = b"<!-- made by soarm view; it is made anew without a question -->\n"
"""How a page ends that this module wrote."""


def show_page(path: Path, out: Path | None = None, episodes: Sequence[int] | None = None, *, browser: bool = True) -> Path:
    """Write the page of a dataset, sound or not, and open it in a browser.

    Args:
        path: The dataset's folder; nothing in it is changed.
        out: The page; None is `<name of the dataset>.html` beside the dataset.
        episodes: Which episodes to show in full; None is a handful, spread over the dataset.
        browser: Whether to open the page where there is a display.

    Returns:
        The page.

    Raises:
        DatasetError: There is no dataset, or it lacks one of the episodes.
        ViewError: Another file is where the page should be, or it cannot be written.
    """
    folder = Path(os.path.abspath(path))  # the name, not what a link points to
    target = folder.with_name(f"{folder.name}.html") if out is None else out
    require_ours(target)
    looked = inspect(folder)
    chosen = chosen_episodes(looked, episodes)
    today = datetime.datetime.now(tz=datetime.UTC).astimezone().strftime("%Y-%m-%d %H:%M")
    facts = [("Folder", folder.name), ("Made", f"{today} by soarm view"), ("In full", _in_full(looked, chosen))]
    text = dataset_page.render(looked, chosen, facts)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with replacing(target, durable=False) as file:
            file.write(text.encode("utf-8", errors="replace") + MARK)
    except OSError as error:
        raise ViewError(
            f"the page cannot be written to {target}: {error.strerror or error}. Choose another place with --out FILE.html"
        ) from None
    logger.info("%s (%.1f MB)", target, target.stat().st_size / 1e6)
    if browser and has_display():
        webbrowser.open(target.resolve().as_uri())
    return target


def show_in_rerun(path: Path, save: Path | None = None, episodes: Sequence[int] | None = None) -> None:
    """Open episodes of a dataset in the Rerun viewer, or write them to a file for it.

    Args:
        path: The dataset's folder; nothing in it is changed.
        save: A file `.rrd` to write; None opens a window.
        episodes: Which; None is a handful, spread over the dataset.

    Raises:
        DatasetError: There is no dataset, its rows cannot be read, or it lacks one of the episodes.
        MissingPackageError: Rerun is not installed.
        ViewError: There is no display, or the file is there already.
    """
    if save is None and not has_display():
        raise ViewError("there is no display for the Rerun viewer. Write a file with --save FILE.rrd, and open it elsewhere")
    if save is not None and save.exists():
        raise ViewError(f"{save} is there already. Choose another file, or remove it")
    looked = inspect(Path(os.path.abspath(path)))
    chosen = chosen_episodes(looked, episodes)
    if not looked.columns or not chosen:
        raise DatasetError(f"{path} has no rows that can be read. `soarm view {path}` writes a page that says what is wrong")
    rerun_log.log(looked, chosen, save)
    if save is not None:
        logger.info("%s (%.1f MB); rerun %s opens it", save, save.stat().st_size / 1e6, save)


def chosen_episodes(looked: Inspection, episodes: Sequence[int] | None, most: int = dataset_page.SHOWN_EPISODES) -> list[int]:
    """Return the episodes to show, each once.

    Raises:
        DatasetError: There is no such episode.
    """
    if episodes is None:
        return curves.spread(looked.n_episodes, most) if looked.n_episodes else []
    unknown = [episode for episode in episodes if not 0 <= episode < looked.n_episodes]
    if unknown:
        raise DatasetError(
            f"{looked.path}: there is no episode {', '.join(map(str, unknown))}; the dataset has the episodes "
            f"0..{looked.n_episodes - 1}"
        )
    return list(dict.fromkeys(episodes))


def require_ours(target: Path) -> None:
    """Refuse to replace a file that is not a page of this module.

    Raises:
        ViewError: It is not.
    """
    if not target.exists() and not target.is_symlink():
        return
    if target.is_file() and not target.is_symlink():
        with open(target, "rb") as file:
            file.seek(max(0, target.stat().st_size - len(MARK)))
            if file.read() == MARK:
                return
    raise ViewError(f"{target} is there and was not written by soarm view. Choose another place with --out FILE.html")


def has_display() -> bool:
    """Whether a window can be opened."""
    return sys.platform in ("darwin", "win32") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def _in_full(looked: Inspection, chosen: Sequence[int]) -> str:
    if len(chosen) == looked.n_episodes:
        return "all episodes"
    return f"{len(chosen)} of {looked.n_episodes:,} episodes; others with --episodes 0,3,7"
