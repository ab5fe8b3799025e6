import logging

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from torch import nn

from soarm.export.graph import to_onnx


class Sum(nn.Module):
    """Two inputs, a buffer, a dropout: what an exporter can get wrong, at a size that exports in a second."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(3, 2)
        self.dropout = nn.Dropout(0.5)
        self.register_buffer("offset", torch.tensor([10.0, 20.0]))

    def forward(self, left, right):
        return self.dropout(self.linear(left)) + right + self.offset


@pytest.fixture(scope="module")
def network():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Sum()


def export(network):
    inputs = {"a.left": (3,), "a.right": (2,)}
    return to_onnx(network, inputs, ["sum"], {"soarm.second": "2", "soarm.first": "eins"}, opset=20)


@pytest.fixture(scope="module")
def content(network):
    return export(network)


@pytest.mark.parametrize("n", [1, 2, 5])
def test_the_graph_computes_the_network_in_evaluation_mode_for_any_batch(network, content, n):
    left, right = torch.randn(n, 3), torch.randn(n, 2)

    (found,) = ort.InferenceSession(content).run(None, {"a.left": left.numpy(), "a.right": right.numpy()})

    expected = network.linear(left) + right + network.offset
    np.testing.assert_allclose(found, expected.detach().numpy(), atol=1e-6)


def test_the_same_network_gives_the_same_bytes_and_torch_logs_as_before(network, content):
    logger = logging.getLogger("torch.onnx._internal.exporter._registration")
    level = logger.level

    assert export(network) == content
    assert logger.level == level


def test_nothing_of_this_machine_is_in_the_file(content):
    model = onnx.load_from_string(content)

    assert b".py" not in content
    assert not any(
        item.metadata_props or item.doc_string for item in [model.graph, *model.graph.node, *model.graph.value_info]
    )
    assert not model.functions


def test_metadata_is_written_as_given(content):
    assert ort.InferenceSession(content).get_modelmeta().custom_metadata_map == {"soarm.first": "eins", "soarm.second": "2"}
