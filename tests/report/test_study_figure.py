"""The study's figure, drawn from few variants and from many."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from matplotlib.figure import Figure as Canvas

from soarm.report import study
from soarm.report.style import save


def table(n_variants: int, interval: bool = True) -> list[dict[str, object]]:
    names = ["residual", *(f"other{i}" for i in range(n_variants - 1))]
    spread = 0.02 if interval else math.nan
    ends = {"success": 0.9, "success_low": 0.9 - spread, "success_high": 0.9 + spread}
    ends |= {"auc": 0.7, "auc_low": 0.7 - spread, "auc_high": 0.7 + spread}
    return [
        {"variant": name, "label": f"a rather long name of variant {name}", "method": "residual", "n_seeds": 3, "step": step}
        | {"reference": "residual"}
        | {"mean": 0.5 + step / 1e6, "least": 0.5, "greatest": 0.95, **ends, "base_success": 0.5, "n_scenes": 500}
        for name in names
        for step in (0, 100_000, 200_000)
    ]


@pytest.mark.parametrize(("n_variants", "interval"), [(1, False), (3, True)])
def test_the_figure_is_saved_with_what_it_was_drawn_from(tmp_path: Path, n_variants: int, interval: bool) -> None:
    save(study.figure(table(n_variants, interval)), tmp_path)

    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".csv", ".png", ".svg"]
    assert len((tmp_path / "study.csv").read_text().splitlines()) == 1 + 3 * n_variants


def test_every_variant_has_a_panel_of_its_own_and_a_line_among_the_ends() -> None:
    canvas = Canvas(layout="constrained")
    made = study.figure(table(5))
    study.draw(canvas.add_subplot(), made.table)
    left, right = canvas.subfigs

    panels = [panel for panel in left.axes if panel.get_visible()]
    assert len(panels) == 5
    assert all(panel.get_ylim() == (0.0, 1.02) for panel in panels)
    assert [label.get_text() for label in right.axes[0].get_yticklabels()] == [row["label"] for row in made.table[::3]]
