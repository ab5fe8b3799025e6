"""The colours of figures and pages, on a light and on a dark ground.

Knows colours alone. Marks have those of Okabe and Ito (2008), which people with any form of colour blindness can tell apart,
and lighter ones of the same hues on a dark ground. Text has `ink`, `soft` or, if it is a link, `accent`: their contrast is at
least AA of WCAG 2.2 on every ground.
"""

from __future__ import annotations

from typing import NamedTuple


class Colour(NamedTuple):
    """A colour in both schemes, as `#rrggbb`."""

    light: str
    dark: str


COLOURS: dict[str, Colour] = {
    "ground": Colour("#f5f7f8", "#11171c"),
    "paper": Colour("#ffffff", "#1a2128"),
    "ink": Colour("#1d2730", "#e8edf1"),
    "soft": Colour("#55616c", "#aab5be"),
    "line": Colour("#d9dfe3", "#39454f"),
    "accent": Colour("#0b5c93", "#7cc4f2"),
    "blue": Colour("#0072b2", "#3f9fe0"),
    "vermillion": Colour("#d55e00", "#f07d33"),
    "green": Colour("#009e73", "#2fc297"),
    "orange": Colour("#e69f00", "#f2b632"),
    "sky": Colour("#56b4e9", "#93d3f7"),
    "purple": Colour("#cc79a7", "#e3a3c6"),
    "grey": Colour("#767676", "#9aa3ab"),
    "faint": Colour("#b9b9b9", "#67727c"),
    "pale": Colour("#9bbfd4", "#4f7f9c"),
}
"""Name, also of the page's CSS variable -> colour."""

DRAWN = {"#000000": "ink", "#222222": "ink", "#333333": "ink", "#444444": "soft", "#e4e4e4": "line", "#dddddd": "line"}
"""What figures draw frames, grids and text with -> its name among `COLOURS`."""
NAMES = {colour.light: name for name, colour in COLOURS.items()} | DRAWN
"""A colour in a drawing on a light ground -> its name."""


def variables(scheme: str) -> str:
    """Return the colours of `light` or `dark` as declarations of CSS variables."""
    return " ".join(f"--{name}: {getattr(colour, scheme)};" for name, colour in COLOURS.items())
