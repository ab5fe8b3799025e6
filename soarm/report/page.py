"""A page of HTML that needs nothing but itself: text, tables, and pictures and films that are part of it.

Knows HTML; knows nothing of policies. Every text handed in is escaped, except what comes from this module's own functions.
It fits windows from 390 px up, follows the scheme (light, dark) that its reader's system asks for, prints, and can be read by
keyboard and by a screen reader: landmarks, headings, a link past the contents, tables with a caption and scopes.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from typing import NamedTuple

from soarm.report import palette

_STYLE = Path(__file__).with_name("page.css")
# MLflow shows a page as a blob in a sandbox, where browsers follow no link to a place in the page.
_LINKS = """addEventListener("click", (event) => {
  const link = event.target.closest('a[href^="#"]');
  if (location.protocol !== "blob:" || !link) return;
  event.preventDefault();
  const place = document.querySelector(link.getAttribute("href"));
  place.scrollIntoView();
  place.focus({ preventScroll: true });
});"""


class Section(NamedTuple):
    """A part of a page, which its contents list.

    Attributes:
        heading: Of the part.
        parts: What this module's functions returned.
    """

    heading: str
    parts: Sequence[str]


def page(title: str, lead: Iterable[str], sections: Sequence[Section], facts: Iterable[tuple[str, str]] = ()) -> str:
    """Return a whole document.

    Args:
        title: Of the page, its only heading of the first level.
        lead: What stands before the first section, from this module's functions.
        sections: The rest.
        facts: Where the page comes from, shown under the title: (what, text).
    """
    light, dark = (f":root {{ {palette.variables(scheme)} }}" for scheme in ("light", "dark"))
    style = f"{light}\n@media screen and (prefers-color-scheme: dark) {{ {dark} }}\n{_STYLE.read_text(encoding='utf-8')}"
    listed = "".join(f'<li><a href="#{_id(one.heading)}">{escape(one.heading)}</a></li>' for one in sections)
    contents = f'<nav aria-label="Contents"><ul>{listed}</ul></nav>\n' if len(sections) > 1 else ""
    told = "".join(f"<div><dt>{escape(what)}</dt><dd>{escape(text)}</dd></div>" for what, text in facts)
    origin = f'<dl class="facts">{told}</dl>\n' if told else ""
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<title>{escape(title)}</title>\n'
        f'<style>{style}</style>\n</head>\n<body>\n<a class="skip" href="#content">Skip to the content</a>\n'
        f"<script>{_LINKS}</script>\n<header>\n<h1>{escape(title)}</h1>\n{origin}{contents}</header>\n"
        f'<main id="content" tabindex="-1">\n' + "\n".join([*lead, *map(_section, sections)]) + "\n</main>\n</body>\n</html>\n"
    )


def paragraph(text: str, kind: str = "") -> str:
    """Return a paragraph; `kind` is a class of the style sheet."""
    return f'<p class="{kind}">{escape(text)}</p>' if kind else f"<p>{escape(text)}</p>"


def cards(entries: Iterable[tuple[str, str, str]]) -> str:
    """Return boxes with one number each: (what, number, remark)."""
    boxes = "".join(
        f'<div class="card"><span>{escape(what)}</span><b>{escape(number)}</b><span>{escape(remark)}</span></div>'
        for what, number, remark in entries
    )
    return f'<div class="cards">{boxes}</div>'


def table(header: Sequence[str], rows: Iterable[Sequence[str]], caption: str) -> str:
    """Return a table, in a box that scrolls where the window is narrower; the first cell of each row is its heading.

    A column of numbers (what begins with a digit, a sign or a dash) is set to the right.
    """
    cells = [list(row) for row in rows]
    kinds = [' class="number"' if all(_NUMBER.match(row[i]) for row in cells) else "" for i in range(len(header))]
    head = "".join(f'<th scope="col"{kind}>{escape(cell)}</th>' for cell, kind in zip(header, kinds, strict=True))
    body = "".join(
        f'<tr><th scope="row"{kinds[0]}>{escape(first)}</th>'
        + "".join(f"<td{kind}>{escape(cell)}</td>" for cell, kind in zip(rest, kinds[1:], strict=True))
        + "</tr>\n"
        for first, *rest in cells
    )
    box = f'<div class="scroll" role="region" tabindex="0" aria-label="{escape(caption, quote=True)}">'
    titled = f"<table><caption><span>{escape(caption)}</span></caption>"
    return f"{box}{titled}<thead><tr>{head}</tr></thead>\n<tbody>{body}</tbody></table></div>"


def folded(summary: str, content: str) -> str:
    """Return content that opens on a click; `content` comes from this module."""
    return f"<details><summary>{escape(summary)}</summary>{content}</details>"


def grid(parts: Iterable[str]) -> str:
    """Return figures and films side by side, as many as fit."""
    return '<div class="figures">' + "\n".join(parts) + "</div>"


def figure(name: str, svg: str, alt: str, caption: str, how: str = "") -> str:
    """Return a drawing.

    Args:
        name: No other figure of the page has it.
        svg: The drawing. Colours of `soarm.report.palette` in it become the page's, so that they follow the scheme.
        alt: What is to be seen, for whoever cannot see it.
        caption: What is to be seen.
        how: How it is drawn, shown after the caption.
    """
    label = f'<svg role="img" aria-label="{escape(alt, quote=True)}"'
    return _captioned(_inline(name, svg).replace("<svg", label, 1), caption, how)


def image(address: str, alt: str, caption: str) -> str:
    """Return a picture; `address` is best a `data_uri`."""
    return _captioned(f'<img src="{escape(address, quote=True)}" alt="{escape(alt, quote=True)}">', caption)


def film(address: str, poster: str, alt: str, caption: str) -> str:
    """Return a film without sound.

    Args:
        address: Of the film; best a `data_uri`.
        poster: Of the picture that is shown before it is played; best a `data_uri`.
        alt: What film it is.
        caption: What happens in it, for whoever cannot see it.
    """
    source, still, label = (escape(text, quote=True) for text in (address, poster, alt))
    controls = 'controls muted loop playsinline preload="metadata"'
    return _captioned(f'<video {controls} src="{source}" poster="{still}" aria-label="{label}"></video>', caption)


def data_uri(content: bytes, media_type: str) -> str:
    """Return an address that holds the content itself, so that the page needs no file beside it."""
    return f"data:{media_type};base64,{base64.b64encode(content).decode('ascii')}"


def _captioned(content: str, caption: str, how: str = "") -> str:
    more = f" <span>{escape(how)}</span>" if how else ""
    return f"<figure>{content}<figcaption>{escape(caption)}{more}</figcaption></figure>"


def _section(one: Section) -> str:
    name = _id(one.heading)
    parts = "\n".join(one.parts)
    return f'<section aria-labelledby="{name}">\n<h2 id="{name}" tabindex="-1">{escape(one.heading)}</h2>\n{parts}\n</section>'


def _id(heading: str) -> str:
    return "part-" + re.sub(r"[^a-z0-9]+", "-", heading.lower()).strip("-")


def _inline(name: str, svg: str) -> str:
    svg = svg[svg.index("<svg") :]  # an inline element has no XML prologue
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<!--.*?-->", "", svg, flags=re.DOTALL)
    # Ids are unique in a file, not across the figures of a page.
    svg = re.sub(r'\bid="([^"]+)"', rf'id="{name}-\1"', svg)
    svg = re.sub(r'href="#([^"]+)"', rf'href="#{name}-\1"', svg)
    svg = re.sub(r"url\(#([^)]+)\)", rf"url(#{name}-\1)", svg)
    return re.sub(r"(?<=: )#[0-9a-f]{6}\b", _variable, svg)


def _variable(colour: re.Match[str]) -> str:
    name = palette.NAMES.get(colour[0])
    return colour[0] if name is None else f"var(--{name})"


_NUMBER = re.compile(r"[-+\u2013\u2212]?(\d|$)")
