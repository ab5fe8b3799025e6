from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from soarm.errors import ParityError
from soarm.export.quantise import quantise
from soarm.runtime.session import open_session

KEY = "observation.images.front"
RNG = np.random.default_rng(0)


def network(kind):
    """Return a network that looks at a picture of 8 x 8 px with one convolution, whose weight is a product, or with none."""
    nodes = [
        helper.make_node("Mul", ["half", "scale"], ["weight"]),
        helper.make_node("Cast", [KEY], ["numbers"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["numbers"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["planes", "weight"], ["seen"], strides=[2, 2])
        if kind == "Conv"
        else helper.make_node("Relu", ["planes"], ["seen"]),
        helper.make_node("ReduceMean", ["seen"], ["action"], axes=[2, 3], keepdims=0),
    ]
    weight = RNG.normal(size=(4, 3, 3, 3)).astype(np.float32) * 0.01
    scale = np.array([0.1, 1.0, 5.0, 20.0], np.float32)[:, None, None, None]  # as of a frozen batch norm
    constants = [numpy_helper.from_array(one, name) for name, one in (("half", weight), ("scale", scale))]
    picture = helper.make_tensor_value_info(KEY, TensorProto.UINT8, ["batch", 8, 8, 3])
    action = helper.make_tensor_value_info("action", TensorProto.FLOAT, ["batch", 4 if kind == "Conv" else 3])
    graph = helper.make_graph(nodes, "small", [picture], [action], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    helper.set_model_props(model, {"soarm.network": "act"})
    return model.SerializeToString()


def pictures(n):
    return RNG.integers(0, 256, (n, 8, 8, 3), np.uint8)


def test_convolutions_compute_in_integers_and_say_nearly_the_same_with_the_same_bytes_each_time(caplog):
    content, samples, asked = network("Conv"), [{KEY: pictures(4)} for _ in range(8)], {KEY: pictures(5)}
    small = quantise(content, samples)
    expected, found = (open_session(one, "network").run(None, asked)[0] for one in (content, small))

    assert "QuantizeLinear" in {node.op_type for node in onnx.load_from_string(small).graph.node}
    assert {one.key: one.value for one in onnx.load_from_string(small).metadata_props} == {"soarm.network": "act"}
    assert 0 < np.abs(found - expected).max() < 0.05 * np.abs(expected).max()
    assert quantise(content, samples) == small
    assert not caplog.records


def test_weights_that_the_graph_computes_are_integers_in_the_file_with_a_scale_per_channel():
    made = onnx.load_from_string(quantise(network("Conv"), [{KEY: pictures(4)}]))
    constants = {one.name: numpy_helper.to_array(one) for one in made.graph.initializer}

    assert [one.shape for one in constants.values() if one.dtype == np.int8 and one.ndim == 4] == [(4, 3, 3, 3)]
    assert [one.shape for name, one in constants.items() if name.startswith("weight") and name.endswith("_scale")] == [(4,)]
    assert not {"half", "scale"} & set(constants)


def test_a_network_without_convolutions_is_refused():
    with pytest.raises(ParityError, match="no convolution to quantise"):
        quantise(network("Relu"), [{KEY: pictures(1)}])
