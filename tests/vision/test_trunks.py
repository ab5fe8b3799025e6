"""Trunks: shapes, names of published weights, and what is refused."""

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from soarm.errors import CheckpointError
from soarm.vision.imagenet import FrozenBatchNorm, _conv, _normed, _padded
from soarm.vision.trunks import TRUNKS, build_trunk, load_part, map_shape


@pytest.fixture(scope="module")
def trunks():
    """One trunk of each kind: drawing eleven million weights takes time."""
    return {name: build_trunk(name) for name in TRUNKS}


@pytest.mark.parametrize(
    ("name", "shape", "n_parameters"),
    [
        ("light", (128, 4, 6), 95_840),
        ("resnet18", (512, 2, 3), 11_166_912),  # torchvision's 11,689,512 less the classifier and the norms
        ("efficientnet_lite0", (320, 2, 3), 2_919_392),
    ],
)
def test_a_trunk_has_the_map_and_the_size_it_says(trunks, name, shape, n_parameters):
    trunk = trunks[name]

    assert map_shape(trunk, 64, 96) == shape
    assert trunk.n_channels == shape[0]
    assert sum(parameter.numel() for parameter in trunk.parameters()) == n_parameters


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_weights_are_read_under_their_own_names_or_a_backbones(tmp_path, suffix):
    torch.manual_seed(0)
    source, trunk, path = build_trunk("light"), build_trunk("light"), tmp_path / f"weights{suffix}"
    weights = {f"model.backbone.{name}": tensor for name, tensor in source.state_dict().items()} | {"fc.bias": torch.zeros(3)}
    if suffix == ".pth":
        torch.save(weights, path)
    else:
        save_file(weights, path)

    load_part(trunk, path)

    assert all(torch.equal(mine, theirs) for mine, theirs in zip(trunk.parameters(), source.parameters(), strict=True))


def test_the_names_of_resnet18_are_torchvisions(trunks):
    names = set(trunks["resnet18"].state_dict())

    assert {"conv1.weight", "bn1.running_var", "layer2.0.downsample.0.weight", "layer2.0.downsample.1.bias"} <= names
    assert "layer4.1.bn2.running_mean" in names
    assert not [name for name in names if "layer1.0.downsample" in name or "num_batches" in name]


def test_a_frozen_norm_in_the_convolution_is_the_norm_after_it():
    torch.manual_seed(0)
    conv, norm = _conv(4, 5, 3, 2, padding=1), nn.BatchNorm2d(5).eval()
    frozen, x = FrozenBatchNorm(5), torch.randn(2, 4, 9, 8)
    for name, tensor in frozen.state_dict().items():
        tensor.uniform_(0.5, 2.0)
        norm.state_dict()[name].copy_(tensor)

    torch.testing.assert_close(_normed(conv, frozen, x), norm(conv(x)), rtol=1e-5, atol=1e-5)


def test_padding_is_tensorflows():
    """Of 8 pixels with kernel 3 and stride 2 TensorFlow pads one at the end; of 9 one at both ends."""
    conv = nn.Conv2d(1, 1, 3, 2)

    assert _padded(torch.ones(1, 1, 8, 9), conv)[0, 0].sum(dim=1).tolist() == [9.0] * 8 + [0.0]
    assert _padded(torch.ones(1, 1, 8, 9), conv)[0, 0, 0].tolist() == [0.0] + [1.0] * 9 + [0.0]


def test_the_weights_of_another_trunk_are_refused(trunks, tmp_path):
    save_file(build_trunk("light").state_dict(), tmp_path / "light.safetensors")

    told = r"(?s)does not hold the weights of ResNet18:\n  conv1.weight: missing in the file.*and 95 more.*vision_backbone"
    with pytest.raises(CheckpointError, match=told):
        load_part(trunks["resnet18"], tmp_path / "light.safetensors")


@pytest.mark.parametrize("name", ["absent.safetensors", "torn.safetensors", "torn.pth"])
def test_a_file_that_holds_no_weights_is_refused_by_name(tmp_path, name):
    if name.startswith("torn"):
        (tmp_path / name).write_bytes(b"nonsense")

    with pytest.raises(CheckpointError, match=rf"{name} cannot be read as weights of a trunk .*or null to start from random"):
        load_part(build_trunk("light"), tmp_path / name)


def test_every_trunk_learns(trunks):
    for name, trunk in trunks.items():
        trunk(torch.randn(1, 3, 33, 40)).square().sum().backward()

        assert all(parameter.grad.abs().max() > 0 for parameter in trunk.parameters()), name
