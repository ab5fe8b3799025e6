"""The shell of every page: what is in it, and what Chromium finds on it."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from soarm.report import page, palette

DOT = '<svg viewBox="0 0 100 50"><rect width="100" height="50" style="fill: #ffffff"/><text x="50" y="30">dot</text></svg>'
PIXEL = base64.b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")


def whole() -> str:
    """Return a page with one of everything, wider than a telephone."""
    header = ("joint of the arm", *(f"column {i}, with a long heading" for i in range(6)))
    rows = [("shoulder_pan", *("12.345 to 13.456",) * 6)]
    sections = [
        page.Section("Tables", [page.table(header, rows, "A wide table."), page.folded("More", page.paragraph("Folded."))]),
        page.Section(
            "Pictures",
            [
                page.grid(
                    [
                        page.figure("dot", DOT, "A dot.", "A dot is seen.", "Drawn by hand."),
                        page.image(page.data_uri(PIXEL, "image/gif"), "A pixel.", "One pixel."),
                    ]
                )
            ],
        ),
    ]
    lead = [page.paragraph("Lead.", "verdict"), page.cards([("success", "96.0 %", "92 to 98 %")])]
    return page.page("A page", lead, sections, [("revision", "0123456789abcdef" * 3)])


def test_texts_are_escaped() -> None:
    sections = [
        page.Section("<h>", [page.paragraph("<p>"), page.table(["<c>"], [["<r>"]], "<t>"), page.folded("<f>", "")]),
        page.Section("<i>", [page.figure("n", DOT, "<alt>", "<b>", "<how>"), page.film("<src>", "<poster>", "<v>", "<w>")]),
    ]
    html = page.page("<title>", [page.cards([("<a>", "<b>", "<x>")])], sections, [("<k>", "<l>")])

    for text in ("h", "p", "c", "r", "t", "f", "i", "alt", "b", "how", "src", "poster", "v", "w", "a", "x", "title", "k", "l"):
        assert f"&lt;{text}&gt;" in html


def test_a_column_of_numbers_is_set_to_the_right_and_words_are_not() -> None:
    html = page.table(("joint", "angle", "state"), [("a", "-1.5", "1 fault"), ("b", "\u2013", "held")], "Joints.")

    assert '<th scope="col" class="number">angle</th><th scope="col">state</th>' in html
    assert '<td class="number">\u2013</td><td>held</td>' in html


def test_the_contents_list_every_section() -> None:
    html = whole()

    for name in ("tables", "pictures"):
        assert f'<a href="#part-{name}">' in html
        assert f'<h2 id="part-{name}" tabindex="-1">' in html


def test_a_drawing_takes_its_colours_from_the_page_and_keeps_others() -> None:
    svg = DOT.replace("<text", '<path style="stroke: #d55e00; fill: #123456"/><text')

    assert 'style="stroke: var(--vermillion); fill: #123456"' in page.figure("dot", svg, "", "")
    assert "fill: var(--paper)" in page.figure("dot", svg, "", "")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_is_readable_on_every_ground(scheme: str) -> None:
    def luminance(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        return sum(
            k * (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4) for k, c in zip(WEIGHTS, parts, strict=True)
        )

    colours = {name: luminance(getattr(colour, scheme)) for name, colour in palette.COLOURS.items()}
    for text in ("ink", "soft", "accent"):
        for ground in ("ground", "paper"):
            low, high = sorted((colours[text], colours[ground]))
            assert (high + 0.05) / (low + 0.05) >= 4.5, (text, ground)


WEIGHTS = (0.2126, 0.7152, 0.0722)  # of red, green and blue in the luminance (WCAG 2.2)


@pytest.mark.parametrize(("width_px", "scheme"), [(390, "dark"), (1280, "light")])
def test_chromium_finds_nothing_wrong_with_a_page(inspect_page, tmp_path: Path, width_px: int, scheme: str) -> None:
    (tmp_path / "page.html").write_text(whole(), encoding="utf-8")
    found = inspect_page(tmp_path / "page.html", width_px, scheme)

    assert not any(found._replace(scrolling=[]))
    assert len(found.scrolling) == (width_px == 390)


def test_chromium_finds_what_is_wrong_with_a_page(inspect_page, tmp_path: Path) -> None:
    wide = (
        '<div style="width: 2000px">wide</div><div style="width: 90px; overflow: hidden"><p style="width: 200px">cut</p></div>'
    )
    pale = '<p style="color: #999">pale</p><svg viewBox="0 0 9 9" aria-label="x"><rect width="9" height="9" fill="#000"/>'
    pale += '<text x="1" y="5" fill="#333" font-size="2">dim</text>'
    pale += '<text x="7" y="5" fill="#fff" font-size="2">outside</text></svg>'
    body = f'{wide}{pale}<img src="gone.png"><img src="https://example.org/x.png" alt=""><script>throw Error("oops")</script>'
    (tmp_path / "page.html").write_text(f"<!DOCTYPE html><body>{body}</body>", encoding="utf-8")
    found = inspect_page(tmp_path / "page.html")

    assert [text for text in found.overflowing if "wide" in text and "<div>" in text]
    assert [text for text in found.overflowing if text.startswith("cut off: <div>")]
    assert [text for text in found.overflowing if "outside" in text]
    assert [text.split(": ")[1] for text in found.low_contrast if "outside" not in text] == ["<p> pale", "<text> dim"]
    assert ["gone.png" in text for text in found.without_alt] == [True]
    assert sum("gone.png" in text for text in found.failed) == 1
    assert "another host: https://example.org/x.png" in found.failed
    assert any("oops" in text for text in found.errors)
