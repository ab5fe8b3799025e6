import dataclasses

import pytest
from matplotlib.figure import Figure as Canvas

from soarm.arm import JOINT_NAMES
from soarm.evaluation.statistics import wilson
from soarm.report import figures, gallery, tables


@dataclasses.dataclass(frozen=True)
class Measured:
    factor: float
    solved: int
    joint: str | None = None
    n_scenes: int = 20
    steps_mean: float = 90.0


@pytest.fixture
def ceilings():
    return tables.ceilings([Measured(0.0, 11), Measured(0.5, 18), Measured(1.0, 20)], chosen=1.0)


@pytest.fixture
def joints():
    return tables.joint_ceilings(
        [Measured(factor, 12 + i, joint) for i, joint in enumerate(JOINT_NAMES) for factor in (0.5, 0.0)]
    )


def test_ceilings_tell_the_base_from_a_reach_and_mark_the_chosen_one(ceilings):
    assert [(row["policy"], row["factor"], row["success_rate"], row["chosen"]) for row in ceilings] == [
        ("base", 0.0, 0.55, False),
        ("ceiling", 0.5, 0.9, False),
        ("ceiling", 1.0, 1.0, True),
    ]
    assert (ceilings[1]["ci95_low"], ceilings[1]["ci95_high"]) == wilson(18, 20)


def test_reach_has_its_figures_and_none_of_joints_that_were_not_measured(ceilings, joints, tmp_path):
    both, one = gallery.of_reach(ceilings, joints), gallery.of_reach(ceilings, [])
    gallery.save_all(both, tmp_path / "both")

    assert [figure.name for figure in both] == ["ceilings", "joints"]
    assert [figure.name for figure in one] == ["ceilings"]
    assert len(list((tmp_path / "both").iterdir())) == 6


def test_ceilings_are_drawn_from_0_against_the_base_with_the_chosen_one_ringed(ceilings):
    ax = Canvas().add_subplot()
    figures.draw_ceilings(ax, ceilings)
    lines = {line.get_label(): line for line in ax.lines}

    assert ax.get_ylim()[0] == 0.0
    assert set(lines["ACT"].get_ydata()) == {0.55}
    assert (*lines["chosen"].get_xdata(), *lines["chosen"].get_ydata()) == (1.0, 1.0)
    assert [text.get_text() for text in ax.texts] == ["90.0 %", "100.0 %"]


def test_joints_have_a_bar_per_factor_and_the_whole_bound_as_a_line(joints):
    ax = Canvas().add_subplot()
    figures.draw_joint_ceilings(ax, joints, whole=0.95)

    assert [patch.get_width() for patch in ax.patches[:6]] == pytest.approx([0.6, 0.65, 0.7, 0.75, 0.8, 0.85])
    assert len(ax.patches) == 12
    assert {"0.5 of its bound", "no residual on it", "whole bound"} == set(ax.get_legend_handles_labels()[1])
    assert ax.get_yticklabels()[0].get_text() == "shoulder pan"
