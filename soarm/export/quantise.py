"""An ONNX network whose convolutions compute in 8-bit integers: static quantisation by ONNX Runtime, QDQ.

Convolutions alone are quantised: they are what costs time where a network looks at pictures. Their weights get a scale per
channel, their inputs one that is calibrated on observations. What is constant is computed first: the weights of a convolution
with a frozen batch norm behind it are a product in the exported graph, and would count as inputs. Weights use 7 of the 8
bits, so that the 16-bit sums of no processor overflow (those of AVX2 without VNNI would).
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime import quantization
from onnxruntime.quantization.shape_inference import quant_pre_process

from soarm.errors import ParityError

_KIND = "Conv"


def quantise(content: bytes, samples: Iterable[Mapping[str, NDArray[Any]]]) -> bytes:
    """Return a network with its convolutions in 8-bit integers; inputs, outputs and metadata stay.

    Args:
        content: The ONNX file, float32.
        samples: What the network is asked in use, input -> one batch (B, ...); a hundred pictures are plenty.

    Raises:
        ParityError: The network has no convolution, so there is nothing to gain.
    """
    model = onnx.load_from_string(content)
    if not any(node.op_type == _KIND for node in model.graph.node):
        raise ParityError(
            "this network has no convolution to quantise: it sees no pictures. Set export.int8 to false, or train a base with "
            "a trunk"
        )
    with tempfile.TemporaryDirectory() as folder:
        exported, folded, path = (Path(folder) / f"{name}.onnx" for name in ("exported", "folded", "int8"))
        exported.write_bytes(content)
        quant_pre_process(exported, folded, skip_symbolic_shape=True)
        quantization.quantize_static(
            folded,
            path,
            _Samples(samples),
            quant_format=quantization.QuantFormat.QDQ,
            op_types_to_quantize=[_KIND],
            per_channel=True,
            reduce_range=True,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
        )
        made = onnx.load(path)
    for field in ("metadata_props", "opset_import"):  # those of the exported network: the passes add their own
        made.ClearField(field)
        getattr(made, field).extend(getattr(model, field))
    onnx.checker.check_model(made)
    result: bytes = made.SerializeToString(deterministic=True)
    return result


class _Samples(quantization.CalibrationDataReader):  # type: ignore[misc]
    """The samples as ONNX Runtime asks for them."""

    def __init__(self, samples: Iterable[Mapping[str, NDArray[Any]]]) -> None:
        self._samples = iter(samples)

    def get_next(self) -> dict[str, NDArray[Any]] | None:
        sample = next(self._samples, None)
        return None if sample is None else {key: np.ascontiguousarray(value) for key, value in sample.items()}
