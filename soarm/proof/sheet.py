"""The places of a plan on paper, in true size: put the arm's base on its outline, and things on their numbers and letters.

Seen from above, by somebody who faces the arm: x to the right, y up the page, towards the base; the arm reaches down the page.
What one sheet cannot hold is tiled; neighbours overlap, and the crosses of one lie on those of the other. A line of 100 mm
shows whether the printer kept the scale.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Literal, NamedTuple

from soarm import kinematics
from soarm.errors import ProofError
from soarm.proof.plan import Plan, Spot, things
from soarm.runtime.objects import measured
from soarm.smallfile import write_atomically
from soarm.tasks.task import Task
from soarm.tasks.thing import Thing

Paper = Literal["a4", "a3", "letter"]
PAPERS_MM: Mapping[Paper, tuple[float, float]] = {"a4": (297.0, 210.0), "a3": (420.0, 297.0), "letter": (279.4, 215.9)}
"""Long and short edge [mm]."""
BASE_M = ((-0.0555, 0.0555), (-0.071, 0.025))
"""The foot of the arm's base in its frame, x and y, from and to [m]: of the simulator's collision shape."""
RULER_MM = 100
_MARGIN_MM, _FOOT_MM, _OVERLAP_MM, _AROUND_MM = 8.0, 10.0, 12.0, 3.0
_BEYOND_MM = 4.0
"""How far the edges of a square go on beyond its corners, so that they can be seen around what lies on it."""
_NUMBER_MM, _LETTER_MM = 6.5, 7.0
_DASHES = ("none", "6 2", "2 2", "8 2 2 2")


class _Box(NamedTuple):
    """A part of the drawing [mm], x to the right and y down."""

    x: float
    y: float
    width: float
    height: float

    @property
    def view(self) -> str:
        return f"{self.x:.2f} {self.y:.2f} {self.width:.2f} {self.height:.2f}"

    @property
    def place(self) -> str:
        return f'x="{self.x:.2f}" y="{self.y:.2f}" width="{self.width:.2f}" height="{self.height:.2f}"'


class _Tiling(NamedTuple):
    """How a drawing is cut: the sheet's width and height [mm], and its tiles, row by row."""

    sheet: tuple[float, float]
    columns: int
    tiles: tuple[_Box, ...]


def write(folder: Path, plan: Plan, task: Task, paper: Paper) -> list[Path]:
    """Write the drawing as a whole, `sheet.svg`, its pages, `sheet-1.svg` and on, and all pages for a browser, `sheet.html`.

    Args:
        folder: Of the evaluation.
        plan: Of it.
        task: Of the plan.
        paper: What is printed on.

    Raises:
        ProofError: They cannot be written.
    """
    drawing, bounds = _drawing(plan, task)
    tiling = _tiling(bounds, PAPERS_MM[paper])
    pages = [_page(plan, drawing, tiling, number) for number in range(len(tiling.tiles))]
    ground = _rect(bounds, ' fill="white"')
    whole = f"{_svg(bounds.width, bounds.height, bounds.view)}{ground}{drawing}</svg>\n"
    written = {"sheet.svg": whole, **{f"sheet-{i}.svg": page for i, page in enumerate(pages, start=1)}}
    written["sheet.html"] = _html(plan, task, pages, tiling)
    for old in folder.glob("sheet-*.svg"):  # of another paper
        if old.name not in written:
            old.unlink()
    for name, content in written.items():
        write_atomically(folder / name, content, ProofError, durable=False)
    return [folder / name for name in written]


def _drawing(plan: Plan, task: Task) -> tuple[str, _Box]:
    """Return what is drawn, and its bounds."""
    moved, other = things(task)
    parts, reach = [*_base()], []
    for i, (letter, spot) in enumerate(_letters(plan).items()):
        parts.append(_square(other, spot, f' stroke="#777" stroke-dasharray="{_DASHES[i % len(_DASHES)]}"'))
        parts += _in_the_corners(other, spot, letter)
        reach.append((spot.places[other.name], other))
    for spot in plan.spots:
        x, y, *_ = spot.places[moved.name]
        parts.append(_square(moved, spot, ' stroke="black"'))
        parts.append(_text(1000 * x, -1000 * y + 0.36 * _NUMBER_MM, str(spot.number), _NUMBER_MM))
        reach.append((spot.places[moved.name], moved))
    (left, right), (front, back) = BASE_M
    xs, ys = [1000 * left, 1000 * right], [-1000 * front, -1000 * back]
    for (x, y, *yaw), thing in reach:
        around = 1000 * thing.half_m * (math.sqrt(2) if yaw else 1.0) + _BEYOND_MM
        xs += [1000 * x - around, 1000 * x + around]
        ys += [-1000 * y - around, -1000 * y + around]
    x, y = min(xs) - _AROUND_MM, min(ys) - _AROUND_MM
    return "".join(parts), _Box(x, y, max(xs) + _AROUND_MM - x, max(ys) + _AROUND_MM - y)


def _letters(plan: Plan) -> dict[str, Spot]:
    """Return letter -> one of the spots that have it."""
    return {spot.letter: spot for spot in reversed(plan.spots)}


def _base() -> Iterator[str]:
    (left, right), (front, back) = ([1000 * end for end in ends] for ends in BASE_M)
    shoulder_x, shoulder_y = 1000 * kinematics.SHOULDER_XY_M
    foot = _Box(left, -back, right - left, back - front)
    yield _rect(foot, ' fill="#eee" stroke="black" stroke-width="0.5"')
    yield _text(0.0, -back + 8, "base of the arm", 5)
    yield _text(0.0, -back + 14, "it reaches down the page", 4)
    yield _cross(shoulder_x, -shoulder_y, 5)
    yield f'<circle cx="{shoulder_x:.2f}" cy="{-shoulder_y:.2f}" r="3" fill="none" stroke="black" stroke-width="0.3"/>'
    yield f'<line x1="0" x2="0" y1="{-front:.2f}" y2="400" stroke="#bbb" stroke-width="0.2" stroke-dasharray="4 3"/>'


def _square(thing: Thing, spot: Spot, look: str) -> str:
    """Return the outline of a thing on its place, its edges longer than it is."""
    x, y, *yaw = spot.places[thing.name]
    half, far = 1000 * thing.half_m, 1000 * thing.half_m + _BEYOND_MM
    edges = "".join(f"M{-far:.2f} {side * half:.2f}H{far:.2f}M{side * half:.2f} {-far:.2f}V{far:.2f}" for side in (-1, 1))
    turn = -yaw[0] if yaw else 0.0  # yaw turns x towards y, which is up the page
    at = f'transform="translate({1000 * x:.2f} {-1000 * y:.2f}) rotate({turn:g})"'
    return f'<path {at} d="{edges}" fill="none" stroke-width="0.3"{look}/>'


def _in_the_corners(thing: Thing, spot: Spot, letter: str) -> list[str]:
    """Return a letter in the four corners of a thing's outline, where a number seldom is."""
    x, y, *yaw = spot.places[thing.name]
    turn, inside = math.radians(yaw[0] if yaw else 0.0), 1000 * thing.half_m - _LETTER_MM / 2
    found = []
    for a, b in ((-1, -1), (-1, 1), (1, -1), (1, 1)):
        right = inside * (a * math.cos(turn) - b * math.sin(turn))
        up = inside * (a * math.sin(turn) + b * math.cos(turn))
        found.append(_text(1000 * x + right, -1000 * y - up + 0.36 * _LETTER_MM, letter, _LETTER_MM, look=' fill="#777"'))
    return found


def _tiling(bounds: _Box, paper: tuple[float, float]) -> _Tiling:
    """Cut the drawing for the sheets' direction that needs fewer of them."""
    return min((_tiled(bounds, sheet) for sheet in (paper, paper[::-1])), key=lambda one: len(one.tiles))


def _tiled(bounds: _Box, sheet: tuple[float, float]) -> _Tiling:
    width, height = sheet[0] - 2 * _MARGIN_MM, sheet[1] - 2 * _MARGIN_MM - _FOOT_MM
    columns, rows = _n_tiles(bounds.width, width), _n_tiles(bounds.height, height)
    step_x, step_y = width - _OVERLAP_MM, height - _OVERLAP_MM
    left = bounds.x - (columns * step_x + _OVERLAP_MM - bounds.width) / 2  # what is empty is on both sides
    tiles = (_Box(left + c * step_x, bounds.y + r * step_y, width, height) for r in range(rows) for c in range(columns))
    return _Tiling(sheet, columns, tuple(tiles))


def _n_tiles(length: float, room: float) -> int:
    return max(1, math.ceil((length - _OVERLAP_MM) / (room - _OVERLAP_MM)))


def _page(plan: Plan, drawing: str, tiling: _Tiling, number: int) -> str:
    (width, height), tile = tiling.sheet, tiling.tiles[number]
    row, column = divmod(number, tiling.columns)
    where = f"page {number + 1} of {len(tiling.tiles)}: row {row + 1}, column {column + 1}"
    foot_y = height - _MARGIN_MM
    room = _Box(_MARGIN_MM, _MARGIN_MM, tile.width, tile.height)
    inside = f'<svg {room.place} viewBox="{tile.view}">'
    frame = _rect(room, ' fill="none" stroke="#bbb" stroke-width="0.2"')
    ticks = "".join(f"M{_MARGIN_MM + mm:g} {foot_y:.2f}v{-3 if mm % 50 else -5}" for mm in range(0, RULER_MM + 1, 10))
    ruler = f'<path d="M{_MARGIN_MM:g} {foot_y:.2f}h{RULER_MM}{ticks}" fill="none" stroke="black" stroke-width="0.3"/>'
    label = _text(_MARGIN_MM + RULER_MM + 3, foot_y - 4.5, f"{RULER_MM} mm: measure it; print at 100 %", 3.5, "start")
    about = f"soarm prove, {plan.task}, {len(plan.spots)} spots, seed {plan.seed}; {where}; plan {plan.seal[:8]}"
    return (
        f"{_svg(width, height, f'0 0 {width:g} {height:g}')}{inside}{drawing}{_crosses(tiling)}</svg>{frame}{ruler}{label}"
        f"{_text(_MARGIN_MM + RULER_MM + 3, foot_y, about, 3.5, 'start')}</svg>\n"
    )


def _crosses(tiling: _Tiling) -> str:
    """Return crosses where neighbouring tiles overlap, at a fifth and four fifths of their edges."""
    found = []
    for i, tile in enumerate(tiling.tiles):
        for share in (0.2, 0.8):
            if i % tiling.columns:
                found.append(_cross(tile.x + _OVERLAP_MM / 2, tile.y + share * tile.height, 5))
            if i >= tiling.columns:
                found.append(_cross(tile.x + share * tile.width, tile.y + _OVERLAP_MM / 2, 5))
    return "".join(found)


def _html(plan: Plan, task: Task, pages: Sequence[str], tiling: _Tiling) -> str:
    """Return all pages for a browser to print, and the places as numbers for whoever has a ruler."""
    width, height = tiling.sheet
    ordered = things(task)
    rows, head = [], ["spot", "place"]
    for thing in ordered:
        head += [f"{thing.name} {axis}" for axis in ("x [mm]", "y [mm]", "turned [deg]")[: len(measured(task, thing))]]
    for spot in plan.spots:
        cells = [str(spot.number), spot.letter]
        for x, y, *yaw in (spot.places[thing.name] for thing in ordered):
            cells += [f"{1000 * x:+.0f}", f"{1000 * y:+.0f}", *(f"{one:+.0f}" for one in yaw)]
        rows.append(f"<tr><td>{'</td><td>'.join(cells)}</td></tr>")
    style = (
        f"@page {{ size: {width:g}mm {height:g}mm; margin: 0 }} body {{ margin: 0; font: 11pt sans-serif }} "
        "svg { display: block; break-after: page } table { margin: 12mm; border-collapse: collapse } "
        "td, th { padding: 0.6mm 3mm; text-align: right; border-bottom: 0.2mm solid #bbb }"
    )
    heads = "</th><th>".join(map(escape, head))
    title = f"Places of soarm prove, {escape(plan.task)}"
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head><meta charset="utf-8"><title>{title}</title><style>{style}</style></head>\n'
        f"<body>\n{''.join(pages)}<table><thead><tr><th>{heads}</th></tr></thead><tbody>\n{''.join(rows)}</tbody></table>\n</body>\n</html>\n"
    )


def _svg(width: float, height: float, view: str) -> str:
    size = f'width="{width:.2f}mm" height="{height:.2f}mm" viewBox="{view}"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif">'


def _rect(box: _Box, look: str) -> str:
    return f"<rect {box.place}{look}/>"


def _text(x: float, y: float, words: str, size_mm: float, anchor: str = "middle", look: str = "") -> str:
    return f'<text x="{x:.2f}" y="{y:.2f}" font-size="{size_mm:g}" text-anchor="{anchor}"{look}>{escape(words)}</text>'


def _cross(x: float, y: float, arm_mm: float) -> str:
    path = f"M{x - arm_mm:.2f} {y:.2f}h{2 * arm_mm:g}M{x:.2f} {y - arm_mm:.2f}v{2 * arm_mm:g}"
    return f'<path d="{path}" stroke="black" stroke-width="0.3"/>'
