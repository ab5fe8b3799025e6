"""A page of HTML that needs nothing but itself and the films beside it: text, tables, and figures as inline SVG.

Knows HTML; knows nothing of policies. Every text handed in is escaped, except what comes from this module's own functions.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from html import escape

_STYLE = """
:root { color-scheme: light; --ink: #1d2730; --soft: #5c6a76; --line: #dfe4e8; --paper: #ffffff; --ground: #f5f7f8; }
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink); font: 16px/1.55 system-ui, "Segoe UI", Roboto, sans-serif; }
main { max-width: 1120px; margin: 0 auto; padding: 2.2rem 1.2rem 4rem; }
h1 { font-size: 1.7rem; margin: 0 0 .3rem; } h2 { font-size: 1.2rem; margin: 2.6rem 0 .8rem; }
p { max-width: 46rem; } .soft { color: var(--soft); }
.verdict { font-size: 1.1rem; max-width: 52rem; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(190px, 1fr)); gap: .9rem; margin: 1.4rem 0; }
.card, figure { background: var(--paper); border: 1px solid var(--line); border-radius: 10px; }
.card { padding: .8rem 1rem; } .card b { display: block; font-size: 1.7rem; line-height: 1.25; }
.card span { color: var(--soft); font-size: .88rem; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(430px, 1fr)); gap: 1rem; align-items: start; }
@media (max-width: 500px) { .figures { grid-template-columns: 1fr; } }
figure { margin: 0; padding: 1rem; } figure svg, figure video { width: 100%; height: auto; display: block; }
figcaption { color: var(--soft); font-size: .88rem; margin-top: .6rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; background: var(--paper); border: 1px solid var(--line); }
caption { text-align: left; color: var(--soft); font-size: .88rem; padding-bottom: .4rem; }
.card b, table { font-variant-numeric: tabular-nums; }
th, td { padding: .38rem .85rem; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; } th { font-weight: 600; }
thead th { border-bottom: 2px solid var(--line); }
details { margin-top: .8rem; } summary { cursor: pointer; } code { font-size: .9em; }
"""


def page(title: str, body: Iterable[str]) -> str:
    """Return a whole document."""
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<title>{escape(title)}</title>\n'
        f"<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n" + "\n".join(body) + "\n</main>\n</body>\n</html>\n"
    )


def heading(text: str, level: int = 2) -> str:
    """Return a heading."""
    return f"<h{level}>{escape(text)}</h{level}>"


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


def table(header: Sequence[str], rows: Iterable[Sequence[str]], caption: str = "") -> str:
    """Return a table; the first cell of each row is its heading."""
    head = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in header)
    body = "".join(
        f'<tr><th scope="row">{escape(first)}</th>' + "".join(f"<td>{escape(cell)}</td>" for cell in rest) + "</tr>\n"
        for first, *rest in rows
    )
    title = f"<caption>{escape(caption)}</caption>" if caption else ""
    return f'<div class="scroll"><table>{title}<thead><tr>{head}</tr></thead>\n<tbody>{body}</tbody></table></div>'


def folded(summary: str, content: str) -> str:
    """Return content that opens on a click; `content` comes from this module."""
    return f"<details><summary>{escape(summary)}</summary>{content}</details>"


def figures(entries: Iterable[tuple[str, str, str]]) -> str:
    """Return figures side by side: (name, SVG, caption)."""
    return '<div class="figures">' + "\n".join(_figure(*entry) for entry in entries) + "</div>"


def films(entries: Iterable[tuple[str, str]]) -> str:
    """Return films side by side: (address relative to the page, caption)."""
    parts = (
        f'<figure><video controls muted loop preload="metadata" src="{escape(address, quote=True)}"></video>'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
        for address, caption in entries
    )
    return '<div class="figures">' + "\n".join(parts) + "</div>"


def _figure(name: str, svg: str, caption: str) -> str:
    svg = svg[svg.index("<svg") :]  # an inline element has no XML prologue
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<!--.*?-->", "", svg, flags=re.DOTALL)
    # Ids are unique in a file, not across the figures of a page.
    svg = re.sub(r'\bid="([^"]+)"', rf'id="{name}-\1"', svg)
    svg = re.sub(r'href="#([^"]+)"', rf'href="#{name}-\1"', svg)
    svg = re.sub(r"url\(#([^)]+)\)", rf"url(#{name}-\1)", svg)
    label = f'<svg role="img" aria-label="{escape(caption, quote=True)}"'
    return f"<figure>{svg.replace('<svg', label, 1)}<figcaption>{escape(caption)}</figcaption></figure>"
