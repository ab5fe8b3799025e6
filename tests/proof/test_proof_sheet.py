"""The sheet: true size, the right way round, whole on its pages."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import mujoco
import numpy as np
import pytest

from soarm.proof import sheet
from soarm.sim.scene import build_model
from soarm.tasks.pick_place import TASK

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def pages(tmp_path, make_plan):
    """Return a function that writes the sheet of a plan on a paper: its plan, and name -> root of every SVG."""

    def write(paper, n_spots=20):
        plan, _ = make_plan(n_spots)
        written = sheet.write(tmp_path, plan, TASK, paper)
        return plan, {path.name: ET.parse(path).getroot() for path in written if path.suffix == ".svg"}

    return write


def places(root):
    """Return name -> x and y of every text of a drawing [mm]."""
    return {text.text: (float(text.get("x")), float(text.get("y"))) for text in root.iter(f"{SVG}text")}


def test_a_spot_is_drawn_where_it_is_seen_from_above_in_millimetres(pages):
    plan, drawn = pages("a4")
    texts = places(drawn["sheet.svg"])

    for spot in plan.spots:
        x, y = texts[str(spot.number)]
        assert x == pytest.approx(1000 * spot.places["cube"][0], abs=0.01)
        assert y == pytest.approx(-1000 * spot.places["cube"][1], abs=3.0), "y of the frame goes up the page"


@pytest.mark.parametrize(
    ("paper", "size", "n_pages"), [("a4", (297, 210), 4), ("a3", (420, 297), 2), ("letter", (279.4, 215.9), 4)]
)
def test_pages_have_the_size_of_the_paper_and_one_unit_is_a_millimetre(pages, paper, size, n_pages):
    _, drawn = pages(paper)
    tiles = [root for name, root in drawn.items() if name != "sheet.svg"]

    assert len(tiles) == n_pages
    for root in tiles:
        width, height = (float(root.get(name).removesuffix("mm")) for name in ("width", "height"))
        assert sorted((width, height)) == pytest.approx(sorted(size))
        assert [float(one) for one in root.get("viewBox").split()] == pytest.approx([0, 0, width, height], abs=0.01)
        inner = root.find(f"{SVG}svg")
        assert inner.get("viewBox").split()[2:] == [inner.get("width"), inner.get("height")]
        (ruler,) = [path.get("d") for path in root.findall(f"{SVG}path")]
        assert re.match(r"M8 [\d.]+h100M", ruler)


def test_the_pages_together_hold_the_whole_drawing_and_overlap(pages):
    plan, drawn = pages("a4")
    boxes = [
        [float(one) for one in root.find(f"{SVG}svg").get("viewBox").split()]
        for name, root in drawn.items()
        if name != "sheet.svg"
    ]

    def inside(x, y):
        return sum(left <= x <= left + width and top <= y <= top + height for left, top, width, height in boxes)

    for spot in plan.spots:
        for name, half in (("cube", 17.7), ("bin", 49.0)):
            x, y = 1000 * spot.places[name][0], -1000 * spot.places[name][1]
            assert all(inside(x + a * half, y + b * half) >= 1 for a in (-1, 1) for b in (-1, 1))
    assert boxes[1][0] - boxes[0][0] == pytest.approx(boxes[0][2] - 12)


def test_the_outline_of_the_base_is_that_of_the_simulator(sim):
    model = build_model(sim)
    box = model.geom("base_touch")
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)

    middle, half = data.geom_xpos[box.id][:2], box.size[:2]
    np.testing.assert_allclose(np.array(sheet.BASE_M).T, [middle - half, middle + half], atol=1e-6)


def test_the_page_for_the_browser_lists_every_place_with_its_numbers(tmp_path, pages):
    plan, _ = pages("a4", 2)
    text = (tmp_path / "sheet.html").read_text()

    (x, y, yaw), (bin_x, bin_y) = plan.spots[0].places["cube"], plan.spots[0].places["bin"]
    cells = [
        1,
        "A",
        *(f"{1000 * one:+.0f}" for one in (x, y)),
        f"{yaw:+.0f}",
        *(f"{1000 * one:+.0f}" for one in (bin_x, bin_y)),
    ]
    assert "".join(f"<td>{cell}</td>" for cell in cells) in text
    assert "@page { size: 297mm 210mm; margin: 0 }" in text
