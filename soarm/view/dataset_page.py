"""A page about a dataset: what it holds, what is wrong with it, statistics, and some of its episodes in full.

Knows HTML as far as `soarm.report.page` does not; needs nothing but itself once it is written.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from typing import Any

import numpy as np

from soarm.dataset import overview, statistics, units
from soarm.errors import DatasetError
from soarm.report import page, style
from soarm.view import camera_strips, curves
from soarm.view.inspection import Inspection

SHOWN_EPISODES = 5
"""Episodes shown in full where nobody names any."""
FRAMES_PER_EPISODE = 8
FRAME_PX = 240
MOST_LINES = 40
"""Faults of one kind; a folder that lost its videos has thousands."""
MOST_ELEMENTS = 64
_STATISTICS = ("min", "q01", "q50", "q99", "max", "mean", "std")
_UNFOLDED_ROWS = 25
_ENDS = 5


def render(looked: Inspection, episodes: Sequence[int], facts: Iterable[tuple[str, str]]) -> str:
    """Return the page.

    Args:
        looked: The dataset.
        episodes: Which to show in full, in this order.
        facts: Where the page comes from: (what, text).
    """
    lead = [page.paragraph(verdict(looked), "verdict"), page.cards(_cards(looked)), *_unknown_units(looked)]
    sections = [
        page.Section("What is wrong with its files", _lines(looked.faults)),
        page.Section("What looks wrong in its motion", _lines(looked.warnings)),
        page.Section("What it holds", [*_held(looked)]),
        page.Section("Episodes", [*_episodes(looked, episodes)]),
        page.Section("Statistics", [*_statistics(looked)]),
        *(page.Section(f"Episode {episode}", [*_episode(looked, episode)]) for episode in episodes),
    ]
    return page.page(f"{looked.path.name}: a LeRobot dataset", lead, [one for one in sections if one.parts], facts)


def verdict(looked: Inspection) -> str:
    """Return in a sentence or two whether the dataset is sound."""
    if looked.faults:
        return f"{_count(len(looked.faults), 'fault')} in its files. It does not open for training until they are mended."
    if looked.warnings:
        looks = _count(len(looked.warnings), "thing looks", "things look")
        return f"Nothing is wrong with its files; {looks} wrong in its motion."
    return "Nothing is wrong with its files, and nothing looks wrong in its motion."


def _cards(looked: Inspection) -> Iterator[tuple[str, str, str]]:
    lengths, rate, n_frames = looked.lengths, looked.rate, int(looked.starts[-1])
    yield "Episodes", f"{looked.n_episodes:,}", _count(len(set(looked.tasks)), "task")
    yield "Frames", f"{n_frames:,}", f"at {rate:g} per second" if rate else "rate unknown"
    if rate and n_frames:
        seconds = n_frames / rate
        yield (
            "Duration",
            f"{seconds / 60:.1f} min" if seconds >= 120 else f"{seconds:.1f} s",
            f"{lengths.mean() / rate:.1f} s per episode",
        )
    robot = looked.info.get("robot_type")
    yield "Robot", str(robot or "unknown"), _count(len(looked.cameras), "camera")


def _unknown_units(looked: Inspection) -> Iterator[str]:
    unknown = units.unknown_joints(looked.features)
    if unknown:
        yield page.paragraph(
            f"The units of {' and '.join(unknown)} are unknown: {units.DEFAULTS_OF_LEROBOT}. "
            "Values are shown as the files hold them."
        )


def _lines(lines: Sequence[str]) -> list[str]:
    more = [f"and {len(lines) - MOST_LINES} more"] if len(lines) > MOST_LINES else []
    return [_list([*map(escape, lines[:MOST_LINES]), *more])] if lines else []


def _held(looked: Inspection) -> Iterator[str]:
    if looked.found is not None:
        told = overview.entries(looked.path.name, looked.found)
        yield _list(f"{f'<b>{escape(name.strip())}</b>: ' if name else ''}{escape(text)}" for name, text in told)


def _episodes(looked: Inspection, shown: Sequence[int]) -> Iterator[str]:
    if not looked.n_episodes:
        return
    made = curves.of_dataset(looked.features, looked.columns, looked.starts, looked.rate)
    yield _side_by_side([page.figure(one.name, style.svg(one), one.how, one.how) for one in made])
    order = np.argsort(looked.lengths, kind="stable")
    ends = [("Shortest", order[:_ENDS]), ("Longest", order[::-1][:_ENDS])]
    if looked.n_episodes > 2 * _ENDS:
        text = (f"{what}: " + ", ".join(_link(looked, int(i)) for i in which) + "." for what, which in ends)
        yield f"<p>{' '.join(text)}</p>"
    table = _episode_table(looked, shown)
    yield table if looked.n_episodes <= _UNFOLDED_ROWS else page.folded(f"All {looked.n_episodes:,} episodes", table)


def _episode_table(looked: Inspection, shown: Sequence[int]) -> str:
    """Return a table with an anchor per episode; closing tags are left out, as HTML allows, since there may be 10,000 rows."""
    rows = []
    for i, (length, task) in enumerate(zip(looked.lengths.tolist(), looked.tasks, strict=True)):
        at = f'<a href="#shown-{i}">{i}</a>' if i in shown else str(i)
        seconds = f"{length / looked.rate:.1f}" if looked.rate else ""
        rows.append(f"<tr id=episode-{i}><th scope=row>{at}<td>{length}<td>{seconds}<td>{escape(task)}")
    head = "<th scope=col>episode<th scope=col>frames<th scope=col>seconds<th scope=col style=min-width:11rem>task"
    box = '<div class="scroll" role="region" tabindex="0" aria-label="Episodes" style="max-height:32rem;overflow-y:auto">'
    return f"{box}<table><caption>Episodes</caption><thead><tr>{head}<tbody>" + "\n".join(rows) + "</table></div>"


def _statistics(looked: Inspection) -> Iterator[str]:
    noted: Mapping[str, Any] = (looked.found.statistics if looked.found is not None else None) or {}
    pictured = list(looked.cameras)
    for key, feature in looked.features.items():
        if key in pictured:
            continue
        if key in looked.columns and len(looked.columns[key]):
            with np.errstate(invalid="ignore"):  # a fault says where values are not finite
                values: Mapping[str, Any] = statistics.summarise(looked.columns[key])
            source = f"over all {len(looked.columns[key]):,} rows"
        else:
            values, source = noted.get(key, {}), "as meta/stats.json says, since the rows cannot be read"
        elements = [*zip(feature.names, map(curves.unit_text, feature.units), strict=True)]
        yield from _statistics_table(f"{key}, {source}", elements, values)
    for key in [*pictured, *(looked.found.not_loaded if looked.found is not None else ())]:
        yield from _statistics_table(f"{key}, as meta/stats.json says", [], noted.get(key, {}))


def _statistics_table(caption: str, elements: Sequence[tuple[str, str]], values: Any) -> Iterator[str]:
    """Yield a table of what a mapping of statistics holds, which anybody may have written; `elements` are names and units."""
    columns: dict[str, list[float]] = {}
    for name in _STATISTICS:
        with contextlib.suppress(KeyError, TypeError, ValueError):
            columns[name] = np.asarray(values[name], dtype=np.float64).reshape(-1)[:MOST_ELEMENTS].tolist()
    size = min(map(len, columns.values()), default=0)
    if size:
        named = elements or [(str(i), "") for i in range(size)]
        rows = [[*named[i], *(f"{column[i]:.4g}" for column in columns.values())] for i in range(min(size, len(named)))]
        more = f"; {len(named) - size} more elements" if len(named) > size else ""
        yield page.table(("element", "unit", *columns), rows, caption + more)


def _episode(looked: Inspection, episode: int) -> Iterator[str]:
    length = int(looked.lengths[episode])
    seconds = f", {length / looked.rate:.1f} s" if looked.rate else ""
    text = f"{_count(length, 'frame')}{seconds}. {looked.tasks[episode]}"
    yield f'<p class="soft" id="shown-{episode}">{escape(text)}</p>'
    if not length:
        return
    yield from (_strip(looked, key, episode) for key in looked.cameras)
    if not looked.columns:
        yield page.paragraph("No curves: its rows cannot be read.", "soft")
        return
    made = curves.panels({key: looked.features[key] for key in looked.columns}, looked.rows(episode))
    drawn = curves.of_episode(made, episode, looked.rate)
    yield _side_by_side([page.figure(one.name, style.svg(one), curves.in_words(one), one.how) for one in drawn])
    if len(made) > curves.MOST_PANELS:
        yield page.paragraph(f"{len(made) - curves.MOST_PANELS} more panels are left out.", "soft")


def _strip(looked: Inspection, key: str, episode: int) -> str:
    """Return frames of a camera side by side, or why there are none."""
    assert looked.found is not None
    numbers = curves.spread(int(looked.lengths[episode]), FRAMES_PER_EPISODE)
    name = key.rpartition(".")[2]
    pictures = []
    try:
        decoded = camera_strips.frames(looked.found, key, episode, numbers, looked.rate or 30.0)
        for number, frame in zip(numbers, decoded, strict=False):
            address = page.data_uri(camera_strips.jpeg(frame, FRAME_PX), "image/jpeg")
            when = f"{number / looked.rate:.1f} s" if looked.rate else f"frame {number}"
            alt = escape(f"Camera {name}, episode {episode}, at {when}", quote=True)
            pictures.append(f'<div><img alt="{alt}" src="{address}"><span class="soft">{when}</span></div>')
    except DatasetError as error:
        return page.paragraph(f"No frames of {name}: {error}")
    caption = f"<figcaption>Camera {escape(name)}, episode {episode}.</figcaption>"
    return f"<figure {_BELOW}><div {_STRIP}>{''.join(pictures)}</div>{caption}</figure>"


_STRIP = 'style="display:grid;grid-template-columns:repeat(auto-fit,minmax(95px,1fr));gap:.5rem;font-size:.85rem"'
_BELOW = 'style="margin-bottom:1rem"'


def _side_by_side(figures: Sequence[str]) -> str:
    """Return figures in two columns; one alone keeps the width of a column."""
    return page.grid(figures) if len(figures) > 1 else f'<div style="max-width:36rem">{"".join(figures)}</div>'


def _list(items: Iterable[str]) -> str:
    """Return a list; the items are HTML."""
    return f'<ul style="overflow-wrap:anywhere">{"".join(f"<li>{item}</li>" for item in items)}</ul>'


def _link(looked: Inspection, i: int) -> str:
    length = f"{looked.lengths[i] / looked.rate:.1f} s" if looked.rate else f"{looked.lengths[i]} frames"
    return f'<a href="#episode-{i}">episode {i}</a> ({length})'


def _count(n: int, one: str, many: str = "") -> str:
    return f"{n:,} {one if n == 1 else many or one + 's'}"
