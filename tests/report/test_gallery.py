import csv
import math
import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure as Canvas
from PIL import Image

from soarm.evaluation.paired import compare
from soarm.evaluation.summary import summarise
from soarm.report import figures, gallery, page, tables
from soarm.report.style import COLOURS, save, svg
from soarm.tasks.pick_place import TASK


@pytest.fixture
def ax():
    return Canvas().add_subplot()


def test_a_figure_is_saved_as_svg_png_and_the_csv_it_was_drawn_from(base, residual, comparison, tmp_path):
    made = gallery.of_comparison(base, residual, comparison)
    gallery.save_all(made, tmp_path)

    assert [figure.name for figure in made] == ["success", "failures", "scenes", "reached", "times"]
    assert len(list(tmp_path.iterdir())) == 3 * len(made)
    for figure in made:
        assert ET.parse(tmp_path / f"{figure.name}.svg").getroot().tag.endswith("svg")
        with Image.open(tmp_path / f"{figure.name}.png") as image:
            assert image.width == round(130 * figure.size_in[0])
        with (tmp_path / f"{figure.name}.csv").open() as file:
            assert len(list(csv.DictReader(file))) == len(figure.table)


def test_the_same_rows_give_the_same_files(base, tmp_path):
    figure = gallery.of_policy(base, summarise(base))[0]
    for name in ("a", "b"):
        save(figure, tmp_path / name)

    for suffix in ("svg", "png", "csv"):
        assert (tmp_path / "a" / f"success.{suffix}").read_bytes() == (tmp_path / "b" / f"success.{suffix}").read_bytes()


def test_a_policy_that_solves_nothing_still_has_figures_but_no_times(hopeless, tmp_path):
    comparison = compare(hopeless, hopeless, np.random.default_rng(0), 200)
    alone = gallery.of_policy(hopeless, comparison.base)
    paired = gallery.of_comparison(hopeless, hopeless, comparison)
    gallery.save_all(alone, tmp_path / "alone")
    gallery.save_all(paired, tmp_path / "paired")

    assert "times" not in {figure.name for figure in alone + paired}


def test_a_method_has_its_colour_in_every_figure(ax, comparison):
    policies = {"residual": comparison.residual, "base": comparison.base}
    figures.draw_failures(ax, tables.failures(policies), TASK.outcomes)
    by_label = {container.get_label(): to_hex(container.patches[0].get_facecolor()) for container in ax.containers}

    assert by_label == {
        "ACT + residual (2 failures)": COLOURS["residual"].lower(),
        "ACT (4 failures)": COLOURS["base"].lower(),
    }


def test_success_is_drawn_from_0_to_1_with_the_interval_named(ax, comparison):
    figures.draw_success(ax, tables.success({"base": comparison.base}))

    assert ax.get_xlim() == (0.0, 1.0)
    assert "n = 8; bars: Wilson 95 % interval" in ax.get_xlabel()


def test_the_scene_map_puts_forward_up_and_counts_its_legend(ax, base, residual):
    figures.draw_scenes(ax, tables.scenes(base, residual), ("cube_x_m", "cube_y_m"))
    points = np.concatenate([np.asarray(collection.get_offsets()) for collection in ax.collections])
    labels = [text.get_text() for text in ax.figure.legends[0].get_texts()]

    left, right = ax.get_xlim()
    assert left > 0 > right, "x grows to the left where y grows down the page and z towards the reader: no mirror image"
    assert sorted(map(tuple, points.round(6).tolist())) == sorted(
        (round(r.value("cube_x_m"), 6), round(-r.value("cube_y_m"), 6)) for r in base.rows
    )
    assert labels == [
        "both solve: 3",
        "neither solves: 1",
        "only ACT solves (regression): 1",
        "only ACT + residual solves (gain): 3",
    ]


def test_a_figure_for_a_page_has_its_text_as_text_and_only_colours_of_both_schemes(base, residual, comparison):
    for figure in gallery.of_comparison(base, residual, comparison):
        drawn = svg(figure)
        inline = page.figure(figure.name, drawn, "alt", "caption")

        assert "held-out" in figure.how or "scene" in figure.how
        assert "<text" in drawn
        assert set(re.findall(r"#[0-9a-f]{6}\b", inline)) == set()


def test_curves_are_drawn_where_they_were_logged(tmp_path):
    nan = math.nan
    act = [{"step": 1.0, "val_l1_deg": 9.0}, {"step": 2.0, "val_l1_deg": 4.0}]
    residual = [{"step": 1.0, "success_rate": 0.5, "validation_success": nan}]
    made = gallery.of_training({"train_act": act, "train_residual": residual})
    gallery.save_all(made, tmp_path)

    assert [figure.name for figure in made] == ["act_error", "residual_success"]
    assert list(made[1].table[0]) == ["step", "success_rate"]


def test_a_training_without_curves_has_no_figures():
    assert gallery.of_training({"train_act": []}) == []


def test_an_alarm_s_limit_is_drawn_and_named(ax):
    curve = next(curve for curve in gallery.CURVES if curve.name == "residual_saturation_per_joint")
    table = [{"step": float(step), **dict.fromkeys(curve.columns, 0.1 * step)} for step in range(3)]
    figures.draw_curves(ax, table, curve)
    heights = {line.get_label(): line.get_ydata()[0] for line in ax.lines if line.get_linestyle() == "--"}

    assert heights == {"alarm": 0.3}
    assert [text.get_text() for text in ax.figure.legends[0].get_texts()] == [*curve.columns.values(), "alarm"]
    assert len({line.get_color() for line in ax.lines}) == 7


def test_every_curve_can_be_drawn_with_all_its_columns(tmp_path):
    stages = {curve.stage for curve in gallery.CURVES}
    columns = {stage: [name for curve in gallery.CURVES if curve.stage == stage for name in curve.columns] for stage in stages}
    tables_of = {stage: [{"step": 1.0, **dict.fromkeys(names, 0.5)}] for stage, names in columns.items()}

    assert [figure.name for figure in gallery.of_training(tables_of)] == [curve.name for curve in gallery.CURVES]
