from __future__ import annotations

import numpy as np
import pytest

from soarm.errors import ObservationError
from soarm.runtime.fitting import Fitting, area_mean
from soarm.spec import Feature

RNG = np.random.default_rng(0)


def picture(height_px, width_px):
    return RNG.integers(0, 256, (height_px, width_px, 3), np.uint8)


@pytest.mark.parametrize(("size", "wanted"), [((6, 8), (3, 4)), ((5, 7), (2, 3)), ((4, 4), (4, 4)), ((9, 5), (1, 1))])
def test_each_pixel_is_the_mean_over_its_area(size, wanted):
    """Held against every pixel repeated until both grids fit."""
    taken = picture(*size)
    fine = taken.repeat(wanted[0], axis=0).repeat(wanted[1], axis=1).astype(np.float64)
    expected = fine.reshape(wanted[0], size[0], wanted[1], size[1], 3).mean(axis=(1, 3))

    found = area_mean(taken, *wanted)

    assert found.dtype == np.uint8
    assert np.abs(found - expected).max() <= 0.5 + 1e-9


def test_the_middle_is_kept_in_the_proportions_that_are_wanted_and_colours_are_put_in_order():
    taken = np.zeros((4, 8, 3), np.uint8)
    taken[:, 2:6] = [10, 20, 30]  # blue, green, red
    fit = Fitting("front", Feature.image(2, 2), bgr=True)

    np.testing.assert_array_equal(fit(taken), np.broadcast_to([30, 20, 10], (2, 2, 3)))
    assert fit.words() == ("the camera front gives pictures of 8 x 4 px, of which the middle 4 x 4 is kept, averaged to 2 x 2")


def test_a_picture_of_the_wanted_size_is_left_as_it_is():
    fit, taken = Fitting("front", Feature.image(3, 4)), picture(3, 4)
    assert fit.words() == "the camera front has shown nothing yet"

    np.testing.assert_array_equal(fit(taken), taken)
    assert fit.words() == "the camera front gives pictures of 4 x 3 px"


@pytest.mark.parametrize(
    ("taken", "message"),
    [
        (
            picture(95, 200),
            r"camera wrist gives pictures of 200 x 95 px; the policy wants 96 x 96 px, and nothing is enlarged",
        ),
        (np.zeros((96, 96), np.uint8), r"gives uint8 of shape \(96, 96\); a picture is uint8 of shape \(H, W, 3\)"),
        (np.zeros((96, 96, 3)), r"gives float64 of shape \(96, 96, 3\)"),
    ],
)
def test_what_cannot_be_fitted_is_refused_by_the_name_of_its_camera(taken, message):
    with pytest.raises(ObservationError, match=message):
        Fitting("wrist", Feature.image(96, 96))(taken)


def test_a_camera_that_changes_its_size_is_refused():
    fit = Fitting("front", Feature.image(2, 2))
    fit(picture(4, 4))

    with pytest.raises(ObservationError, match="gives pictures of 8 x 4 px now, and gave 4 x 4 before"):
        fit(picture(4, 8))
