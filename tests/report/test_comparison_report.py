import dataclasses
import datetime
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from soarm.evaluation.paired import compare
from soarm.evaluation.results import EpisodeRow, Results
from soarm.report import clips, gallery, video
from soarm.report import comparison as report
from soarm.tasks.registry import TASKS
from soarm.tasks.task import SUCCESS

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


ORIGIN = report.Origin(datetime.date(2026, 11, 6), "0123456789abcdef0123-dirty", "pick_place", "ci", 7, "data/eval_base")


@pytest.fixture(scope="module")
def films(base, residual, tmp_path_factory):
    folder = tmp_path_factory.mktemp("comparison") / "clips"
    folder.mkdir()
    chosen = clips.choose(base, residual, per_kind=1)
    chosen[0] = dataclasses.replace(chosen[0], caption="Gained <here>")
    for clip in chosen:
        noise = np.random.default_rng(clip.seed).integers(0, 255, (16, 64, 64, 3), np.uint8)
        video.write_mp4(noise, folder / clip.file_name, fps=15)
    return [(folder / clip.file_name, clip) for clip in chosen]


@pytest.fixture(scope="module")
def html(base, residual, comparison, films):
    made = gallery.of_comparison(base, residual, comparison)
    curve = [{"step": float(step), "val_l1_deg": 9.0 / step} for step in (1, 2, 3)]
    return report.render(base, residual, comparison, made, gallery.of_training({"train_act": curve}), films, ORIGIN)


def test_the_page_is_well_formed_and_its_ids_are_unique(html):
    checker = Checker()
    checker.feed(html)

    assert (checker.open, checker.faults) == ([], [])
    assert len(checker.ids) == len(set(checker.ids)) > 0


def test_the_page_needs_nothing_but_itself(html):
    checker = Checker()
    checker.feed(html)
    addresses = [address for address in checker.addresses if not address.startswith("#")]

    assert [address.split(",")[0] for address in addresses] == ["data:video/mp4;base64"] * 3
    assert "Gained &lt;here&gt;" in html
    assert not re.search(r"<script [^>]*src|@import|url\((?!#)", html)


@pytest.mark.parametrize(("width_px", "scheme"), [(390, "dark"), (1280, "light")])
def test_chromium_finds_nothing_wrong_with_the_report_and_plays_its_films(inspect_page, html, tmp_path, width_px, scheme):
    (tmp_path / "report.html").write_text(html, encoding="utf-8")
    played = []
    found = inspect_page(tmp_path / "report.html", width_px, scheme, do=lambda page: played.extend(page.evaluate(PLAY)))

    assert not any(found._replace(scrolling=[]))
    assert width_px < 1280 or not found.scrolling
    assert played == [[64, None]] * 3


PLAY = """async () => {
  const seen = [];
  for (const film of document.querySelectorAll("video")) {
    await film.play();
    seen.push([film.videoWidth, film.error]);
    film.pause();
  }
  return seen;
}"""


def test_films_that_find_no_room_are_named_and_stay_beside_the_page(base, residual, comparison, films, monkeypatch):
    alone = report.render(base, residual, comparison, [], [], [], ORIGIN)
    most = len(alone) + 4000 + 2 * films[0][0].stat().st_size
    monkeypatch.setattr(report, "MOST_BYTES", most)
    html = report.render(base, residual, comparison, [], [], films, ORIGIN)

    assert 0 < html.count("<video") < len(films)
    assert len(html) <= most
    assert f"would make this page larger than {most / 1e6:g} MB; beside it:" in html
    assert f"clips/{films[-1][1].file_name}: {films[-1][1].caption}" in html


def test_the_page_says_when_and_of_what_it_was_made(html):
    facts = dict(re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", html))

    assert facts == {
        "made on": "6 November 2026",
        "revision": "0123456789ab, dirty",
        "task": "pick_place",
        "profile": "ci",
        "seed": "7",
    }
    assert "read from data/eval_base" in html
    assert "0123456789abcdef0123-dirty" in html


def test_every_reference_inside_a_figure_finds_its_id(html):
    checker = Checker()
    checker.feed(html)
    inside = {address[1:] for address in checker.addresses if address.startswith("#")}
    wanted = inside | set(re.findall(r"url\(#([^)]+)\)", html))

    assert wanted <= set(checker.ids)


def test_the_page_shows_rates_table_and_seeds(html):
    def row(*cells):
        first, *rest = cells
        return f'<th scope="row">{first}</th>' + "".join(f'<td class="number">{cell}</td>' for cell in rest)

    assert "<b>50.0\u00a0%</b>" in html
    assert "<b>75.0\u00a0%</b>" in html
    assert row("both", 3, "37.5\u00a0%", "13.7 to 69.4\u00a0%") in html
    assert row("only ACT + residual (gained)", 3, "37.5\u00a0%", "13.7 to 69.4\u00a0%") in html
    assert row("only ACT (lost)", 1, "12.5\u00a0%", "2.2 to 47.1\u00a0%") in html
    assert row("neither", 1, "12.5\u00a0%", "2.2 to 47.1\u00a0%") in html
    for seed in (102, 103, 104, 105):
        assert f'<th scope="row" class="number">{seed}</th>' in html


def test_every_row_of_the_numbers_has_its_interval(html):
    rest = html.split("Means and paired differences")[2]  # once as the name of the box, once as the caption
    rows = re.findall(r"<tr><th scope=.row.>(.*?)</tr>", rest[: rest.index("</table>")])

    assert len(rows) == 6
    assert all(re.search(r"<td[^>]*>[-+][\d.,]+ to [-+][\d.,]+</td>", row) for row in rows), rows


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


def test_a_policy_that_solves_nothing_gets_a_page_without_nan(hopeless):
    comparison = compare(hopeless, hopeless, np.random.default_rng(0), 200)
    shown = gallery.of_comparison(hopeless, hopeless, comparison)

    html = report.render(hopeless, hopeless, comparison, shown, [], [], ORIGIN)

    assert "nan" not in re.sub(r"<svg.*?</svg>", "", html, flags=re.DOTALL)


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_the_report_is_of_any_task(task):
    def rows(outcomes):
        stages = [stage.name.lower() for stage in task.stages]
        numbers = {"steps": 90, "time_to_success_s": 3.0, "return_shaped": 0.5, "return_sparse": 1.0}
        numbers |= {"action_acceleration_rms_deg_s2": 5.0, "action_jerk_rms_deg_s3": 6.0}
        places = {column.name: column.kind(0.1) for column in task.columns}
        made = [
            EpisodeRow(i, one == SUCCESS, one, stages[-1 if one == SUCCESS else 1], **numbers, of_task=places)
            for i, one in enumerate(outcomes)
        ]
        return Results(tuple(made), task)

    base, residual = rows([*task.outcomes]), rows([SUCCESS] * len(task.outcomes))
    comparison = compare(base, residual, np.random.default_rng(0), 100)
    figures = gallery.of_comparison(base, residual, comparison)
    html = report.render(base, residual, comparison, figures[2:3], [], [], ORIGIN._replace(task=task.name))

    assert f"<dd>{task.name}</dd>" in html
    assert all(f">{task.outcomes[failure]}<" in html for failure in task.failures)
    assert not any("nan" in figure.finding.split() for figure in figures)
    assert task.outcomes[task.failures[0]] in clips.choose(base, residual)[0].caption
