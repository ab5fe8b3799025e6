"""A page about a dataset: what it holds, what is wrong with it, statistics, and some of its episodes in full.

Knows HTML as far as `soarm.report.page` does not; needs nothing but itself once it is written.
"""

from __future__ import annotations

import base64
import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from typing import Any

import numpy as np

from soarm.dataset import layout, overview, statistics, units
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


def render(looked: Inspection, episodes: Sequence[int], notes: Iterable[str]) -> str:
    """Return the page.

    Args:
        looked: The dataset.
        episodes: Which to show in full, in this order.
        notes: Sentences about where the page comes from.
    """
    name = looked.path.name
    shown = [_episode(looked, episode) for episode in episodes]
    body = [
        page.heading(name, 1),
        page.paragraph("A LeRobot dataset, as it is on the disk.", "soft"),
        page.paragraph(verdict(looked), "verdict"),
        page.cards(_cards(looked)),
        *_unknown_units(looked),
        *_listed("What is wrong with its files", looked.faults),
        *_listed("What looks wrong in its motion", looked.warnings),
        *_facts(looked),
        *_episodes(looked, episodes),
        *_statistics(looked),
        *shown,
        page.heading("Where this comes from"),
        *(page.paragraph(note, "soft") for note in notes),
    ]
    return page.page(f"{name}: a LeRobot dataset", body)


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


def _listed(title: str, lines: Sequence[str]) -> Iterator[str]:
    if lines:
        more = [f"and {len(lines) - MOST_LINES} more"] if len(lines) > MOST_LINES else []
        yield page.heading(title)
        yield _list([*map(escape, lines[:MOST_LINES]), *more])


def _facts(looked: Inspection) -> Iterator[str]:
    yield page.heading("What it holds")
    rows = []
    described = looked.info.get("features")
    for key, feature in described.items() if isinstance(described, Mapping) else ():
        if key not in layout.DEFAULTS and isinstance(feature, Mapping):
            rows.append(
                [
                    key,
                    str(feature.get("dtype")),
                    _shape(feature.get("shape")),
                    _units(looked, key),
                    _names(looked, key, feature),
                ]
            )
    yield _table(("feature", "type", "shape", "unit", "elements"), rows, n_text=2)
    if looked.found is not None:
        told = [
            (name.strip(), text)
            for name, text in overview.facts(looked.path, looked.found)
            if name not in looked.info["features"]
        ]
        yield _list(f"{f'<b>{escape(name)}</b>: ' if name else ''}{escape(text)}" for name, text in told)


def _episodes(looked: Inspection, shown: Sequence[int]) -> Iterator[str]:
    if not looked.n_episodes:
        return
    yield page.heading("Episodes")
    made = curves.of_dataset(looked.features, looked.columns, looked.starts, looked.rate)
    yield page.figures((figure.name, style.svg(figure), figure.caption) for figure in made)
    order = np.argsort(looked.lengths, kind="stable")
    ends = [("Shortest", order[:5]), ("Longest", order[::-1][:5])]
    text = (f"{what}: " + ", ".join(_link(looked, int(i)) for i in which) + "." for what, which in ends)
    yield f"<p>{' '.join(text)}</p>" if looked.n_episodes > 1 else ""
    rows = []
    for i, (length, task) in enumerate(zip(looked.lengths.tolist(), looked.tasks, strict=True)):
        at = f'<a href="#episode-{i}">{i}</a>' if i in shown else str(i)
        anchor = "" if i in shown else f' id="episode-{i}"'
        seconds = f"{length / looked.rate:.1f}" if looked.rate else ""
        rows.append(f"<tr{anchor}><th scope=row>{at}<td>{length}<td>{seconds}<td {_WRAPPED}>{escape(task)}")
    head = "".join(
        f"<th scope=col{f' {_LEFT}' if name == 'task' else ''}>{name}" for name in ("episode", "frames", "seconds", "task")
    )
    table = f'<div class="scroll"><table><thead><tr>{head}<tbody>' + "\n".join(rows) + "</table></div>"
    yield table if len(rows) <= _UNFOLDED_ROWS else page.folded(f"All {len(rows):,} episodes", table)


def _statistics(looked: Inspection) -> Iterator[str]:
    yield page.heading("Statistics")
    noted: Mapping[str, Any] = (looked.found.statistics if looked.found is not None else None) or {}
    for key, feature in looked.features.items():
        if key in looked.columns and len(looked.columns[key]):
            with np.errstate(invalid="ignore"):  # a fault says where values are not finite
                values: Mapping[str, Any] = statistics.summarise(looked.columns[key])
            source = f"over all {len(looked.columns[key]):,} rows"
        else:
            values, source = noted.get(key, {}), "as meta/stats.json says, since the rows cannot be read"
        names = [
            f"{name} [{text}]" if (text := curves.unit_text(unit)) else name
            for name, unit in zip(feature.names, feature.units, strict=True)
        ]
        yield from _statistics_table(f"{key}, {source}", names, values)
    for key in looked.found.not_loaded if looked.found is not None else ():
        yield from _statistics_table(f"{key}, as meta/stats.json says", [], noted.get(key, {}))


def _statistics_table(caption: str, names: Sequence[str], values: Any) -> Iterator[str]:
    """Yield a table of what a mapping of statistics holds, which anybody may have written."""
    columns: dict[str, list[float]] = {}
    for name in _STATISTICS:
        with contextlib.suppress(KeyError, TypeError, ValueError):
            columns[name] = np.asarray(values[name], dtype=np.float64).reshape(-1)[:MOST_ELEMENTS].tolist()
    size = min(map(len, columns.values()), default=0)
    if size:
        names = names or [str(i) for i in range(size)]
        rows = [[name, *(f"{column[i]:.4g}" for column in columns.values())] for i, name in enumerate(names[:size])]
        more = f"; {len(names) - size} more elements" if len(names) > size else ""
        yield page.table(("element", *columns), rows, caption + more)


def _episode(looked: Inspection, episode: int) -> str:
    length = int(looked.lengths[episode])
    seconds = f", {length / looked.rate:.1f} s" if looked.rate else ""
    parts = [
        page.heading(f"Episode {episode}"),
        page.paragraph(f"{_count(length, 'frame')}{seconds}. {looked.tasks[episode]}", "soft"),
    ]
    if length:
        parts += [_strip(looked, key, episode) for key in looked.cameras]
        if looked.columns:
            made = curves.panels({key: looked.features[key] for key in looked.columns}, looked.rows(episode))
            drawn = curves.of_episode(made, episode, looked.rate)
            parts.append(page.figures((figure.name, style.svg(figure), figure.caption) for figure in drawn))
            if len(made) > curves.MOST_PANELS:
                parts.append(page.paragraph(f"{len(made) - curves.MOST_PANELS} more panels are left out.", "soft"))
        else:
            parts.append(page.paragraph("No curves: its rows cannot be read.", "soft"))
    return f'<section id="episode-{episode}">{"".join(parts)}</section>'


def _strip(looked: Inspection, key: str, episode: int) -> str:
    """Return frames of a camera side by side, or why there are none."""
    assert looked.found is not None
    numbers = curves.spread(int(looked.lengths[episode]), FRAMES_PER_EPISODE)
    name = key.rpartition(".")[2]
    pictures = []
    try:
        decoded = camera_strips.frames(looked.found, key, episode, numbers, looked.rate or 30.0)
        for number, frame in zip(numbers, decoded, strict=False):
            data = base64.b64encode(camera_strips.jpeg(frame, FRAME_PX)).decode()
            when = f"{number / looked.rate:.1f} s" if looked.rate else f"frame {number}"
            alt = escape(f"Camera {name}, episode {episode}, at {when}", quote=True)
            pictures.append(f'<div class="soft"><img alt="{alt}" {_PICTURE} src="data:image/jpeg;base64,{data}">{when}</div>')
    except DatasetError as error:
        return page.paragraph(f"No frames of {name}: {error}")
    caption = f"<figcaption>Camera {escape(name)}, episode {episode}.</figcaption>"
    return f"<figure><div {_STRIP}>{''.join(pictures)}</div>{caption}</figure>"


_STRIP = 'style="display:grid;grid-template-columns:repeat(auto-fill,minmax(115px,1fr));gap:.5rem;font-size:.8rem"'
_PICTURE = 'style="display:block;width:100%;height:auto;border-radius:4px"'
_WRAPPED = 'style="text-align:left;white-space:normal;overflow-wrap:anywhere"'
_LEFT = 'style="text-align:left"'


def _table(header: Sequence[str], rows: Iterable[Sequence[str]], n_text: int) -> str:
    """Return a table whose last `n_text` columns are text that may wrap."""
    n_fixed = len(header) - n_text
    head = "".join(f'<th scope="col" {_LEFT if i >= n_fixed else ""}>{escape(cell)}</th>' for i, cell in enumerate(header))
    body = "".join(
        f'<tr><th scope="row">{escape(first)}</th>'
        + "".join(f"<td {_WRAPPED if i >= n_fixed else ''}>{escape(cell)}</td>" for i, cell in enumerate(rest, start=1))
        + "</tr>"
        for first, *rest in rows
    )
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _list(items: Iterable[str]) -> str:
    """Return a list; the items are HTML."""
    return f'<ul style="overflow-wrap:anywhere">{"".join(f"<li>{item}</li>" for item in items)}</ul>'


def _link(looked: Inspection, i: int) -> str:
    length = f"{looked.lengths[i] / looked.rate:.1f} s" if looked.rate else f"{looked.lengths[i]} frames"
    return f'<a href="#episode-{i}">episode {i}</a> ({length})'


def _shape(shape: Any) -> str:
    return " x ".join(map(str, shape)) if isinstance(shape, list) else str(shape)


def _units(looked: Inspection, key: str) -> str:
    texts = map(curves.unit_text, looked.features[key].units if key in looked.features else ())
    return ", ".join(filter(None, dict.fromkeys(texts)))


def _names(looked: Inspection, key: str, described: Mapping[str, Any]) -> str:
    names = looked.features[key].names if key in looked.features else described.get("names")
    return ", ".join(map(str, names)) if isinstance(names, list | tuple) else str(names or "")


def _count(n: int, one: str, many: str = "") -> str:
    return f"{n:,} {one if n == 1 else many or one + 's'}"
