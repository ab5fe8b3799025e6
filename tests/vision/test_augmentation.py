"""Augmentation: each kind changes pixels, and stays in its range."""

import dataclasses

import pytest
import torch

from soarm.vision.augmentation import AugmentationParams, augment

NONE = AugmentationParams(shift_px=0, brightness=0.0, contrast=0.0, colour=0.0)


@pytest.fixture
def pictures():
    return torch.randint(0, 256, (6, 10, 12, 3), generator=torch.Generator().manual_seed(0)).to(torch.uint8)


def changed(pictures, seed=0, **changes):
    torch.manual_seed(seed)
    return augment(pictures, dataclasses.replace(NONE, **changes))


@pytest.mark.parametrize("change", [{"shift_px": 2}, {"brightness": 0.3}, {"contrast": 0.3}, {"colour": 0.3}])
def test_each_kind_changes_every_pictures_pixels_in_a_way_of_its_own(pictures, change):
    same = pictures[:1].expand(6, -1, -1, -1)

    found = changed(same, **change)

    assert found.dtype == torch.float32
    assert found.shape == same.shape
    assert found.min() >= 0
    assert found.max() <= 255
    assert ((found - same).abs().amax(dim=(1, 2, 3)) > 1).sum() >= 5  # a shift may be of no pixel
    assert len(torch.unique(found.flatten(1), dim=0)) >= 5
    assert torch.equal(found, changed(same, **change))
    assert not torch.equal(found, changed(same, seed=1, **change))


def test_without_a_range_nothing_is_changed(pictures):
    assert torch.equal(changed(pictures), pictures.float())


def test_a_shift_moves_whole_pixels_and_repeats_the_edge(pictures):
    found = changed(pictures, shift_px=2)

    for picture, moved in zip(pictures.float(), found, strict=True):
        edged = torch.nn.functional.pad(picture.permute(2, 0, 1)[None], (2, 2, 2, 2), "replicate")[0].permute(1, 2, 0)
        assert any(torch.equal(edged[i : i + 10, j : j + 12], moved) for i in range(5) for j in range(5))


def test_colours_change_apart_and_brightness_together():
    grey = torch.full((4, 3, 3, 3), 100, dtype=torch.uint8)

    coloured, brighter = changed(grey, colour=0.2), changed(grey, brightness=0.2)

    assert (coloured.amax(dim=3) - coloured.amin(dim=3)).min() > 0
    assert torch.equal(brighter.amax(dim=3), brighter.amin(dim=3))
    assert coloured.min() >= 80
    assert coloured.max() <= 120
