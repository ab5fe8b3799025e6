import dataclasses
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from soarm.evaluation.paired import compare
from soarm.evaluation.results import EpisodeRow, Results
from soarm.report import comparison as report
from soarm.report import gallery

VOID = {"meta", "link", "br", "hr", "img", "input"}


class Checker(HTMLParser):
    """Collects ids, references to addresses, and tags that are not closed in order."""

    def __init__(self):
        super().__init__()
        self.open, self.ids, self.addresses, self.faults = [], [], [], []

    def handle_starttag(self, tag, attrs):
        self.ids += [value for key, value in attrs if key == "id"]
        self.addresses += [value for key, value in attrs if key in ("src", "href", "xlink:href")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.faults.append(tag)


@pytest.fixture(scope="module")
def html(base, residual, comparison, tmp_path_factory):
    folder = tmp_path_factory.mktemp("figures")
    shown = gallery.save_all(gallery.of_comparison(base, residual, comparison), folder)
    films = [("clips/gained-103.mp4", "Gained <here>")]
    return report.render(base, residual, comparison, shown, [], films, ["Rows from <somewhere> & elsewhere."])


def test_the_page_is_well_formed_and_its_ids_are_unique(html):
    checker = Checker()
    checker.feed(html)

    assert (checker.open, checker.faults) == ([], [])
    assert len(checker.ids) == len(set(checker.ids)) > 0


def test_the_page_needs_nothing_but_itself_and_its_films(html):
    checker = Checker()
    checker.feed(html)

    assert checker.addresses
    assert [address for address in checker.addresses if not address.startswith("#")] == ["clips/gained-103.mp4"]
    assert "Gained &lt;here&gt;" in html
    assert not re.search(r"<script|@import|url\((?!#)", html)


def test_every_reference_inside_a_figure_finds_its_id(html):
    checker = Checker()
    checker.feed(html)
    inside = {address[1:] for address in checker.addresses if address.startswith("#")}
    wanted = inside | set(re.findall(r"url\(#([^)]+)\)", html))

    assert wanted <= set(checker.ids)


def test_the_page_shows_rates_table_seeds_and_notes(html):
    assert "50.0 %" in html
    assert "75.0 %" in html
    assert ">ACT solves</th>" + "".join(f'<td class="number">{n}</td>' for n in (3, 1, 4)) in html
    assert ">ACT fails</th>" + "".join(f'<td class="number">{n}</td>' for n in (3, 1, 4)) in html
    for seed in (102, 103, 104, 105):
        assert f'<th scope="row" class="number">{seed}</th>' in html
    assert "Rows from &lt;somewhere&gt; &amp; elsewhere." in html


@pytest.mark.parametrize(
    ("gains", "regressions", "words"),
    [
        (0, 0, "exactly the same scenes"),
        (3, 1, "no more than chance would: it gains 3 scenes and loses 1 (exact McNemar p = 0.625)"),
        (12, 1, "solves more scenes than ACT alone: it gains 12 scenes"),
        (1, 12, "solves fewer scenes than ACT alone: it gains 1 scene and loses 12"),
    ],
)
def test_the_verdict_claims_no_more_than_the_test(base, gains, regressions, words):
    pairs = [(False, True)] * gains + [(True, False)] * regressions + [(True, True)] * 5

    def side(which):
        outcomes = ["success" if pair[which] else "dropped" for pair in pairs]
        rows = [vars(base.rows[0]) | {"seed": i, "outcome": o, "success": o == "success"} for i, o in enumerate(outcomes)]
        return Results(tuple(EpisodeRow(**row) for row in rows), base.task)

    comparison = dataclasses.replace(compare(side(0), side(1), np.random.default_rng(0), 200), identical=False)

    assert words in report.verdict(comparison)


def test_the_verdict_says_when_the_residual_changes_nothing(base):
    assert "Every episode is the same" in report.verdict(compare(base, base, np.random.default_rng(0), 200))


def test_a_policy_that_solves_nothing_gets_a_page_without_nan(hopeless, tmp_path):
    comparison = compare(hopeless, hopeless, np.random.default_rng(0), 200)
    shown = gallery.save_all(gallery.of_comparison(hopeless, hopeless, comparison), tmp_path)

    html = report.render(hopeless, hopeless, comparison, shown, [], [], [])

    assert "nan" not in re.sub(r"<svg.*?</svg>", "", html, flags=re.DOTALL)
