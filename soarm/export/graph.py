"""Export of a torch network to one ONNX file: dynamic batch, the same bytes every time, nothing of this machine in it."""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterable, Iterator, Mapping

import onnx
import torch
from torch import nn

from soarm.spec import IMAGES

_CHATTY = ("torch.onnx._internal.exporter._registration", "onnxscript", "onnx_ir")


def to_onnx(
    network: nn.Module,
    inputs: Mapping[str, tuple[int, ...]],
    outputs: Iterable[str],
    metadata: Mapping[str, str],
    opset: int,
    *,
    by_name: bool = False,
) -> bytes:
    """Export a network.

    Args:
        network: Takes one tensor (B, *shape) per input, in the order of `inputs`, or one mapping of them: pictures
            (`observation.images.<camera>`) of uint8, all others of float32.
        inputs: Name in the graph -> shape without the batch.
        outputs: Names in the graph, in the order the network returns them.
        metadata: Written into the file as it is.
        opset: ONNX operator set.
        by_name: Whether `network` takes a mapping, input name -> tensor.

    Returns:
        The bytes of the file, all weights inside.
    """
    # A batch of 2: the exporter would take a batch of 1 for a constant.
    kinds = {name: torch.uint8 if name.startswith(f"{IMAGES}.") else torch.float32 for name in inputs}
    example = {name: torch.zeros(2, *shape, dtype=kinds[name]) for name, shape in inputs.items()}
    batch = torch.export.Dim("batch")
    dynamic = {name: {0: batch} for name in inputs}
    with _quiet_exporter(), torch.no_grad():
        program = torch.onnx.export(
            network.eval(),
            (example, {}) if by_name else tuple(example.values()),  # a mapping at the end would be keyword arguments
            dynamo=True,
            dynamic_shapes=(dynamic,) if by_name else tuple(dynamic.values()),
            input_names=list(inputs),
            output_names=list(outputs),
            opset_version=opset,
            external_data=False,
            verbose=False,
        )
    assert program is not None, "the dynamo exporter returns its program"
    model = program.model_proto
    _strip(model)
    for key in sorted(metadata):
        model.metadata_props.add(key=key, value=metadata[key])
    onnx.checker.check_model(model)
    content: bytes = model.SerializeToString(deterministic=True)
    return content


def _strip(model: onnx.ModelProto) -> None:
    """Remove what describes the export, not the network: source lines and paths of this machine on every node, signatures."""
    graph = model.graph
    for item in (model, graph, *graph.node, *graph.initializer, *graph.value_info, *graph.input, *graph.output):
        del item.metadata_props[:]
        item.doc_string = ""


@contextlib.contextmanager
def _quiet_exporter() -> Iterator[None]:
    """Hold back the exporter's remarks on its own internals and on torchvision, which this project does not use."""
    loggers = [logging.getLogger(name) for name in _CHATTY]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "# The axis name", UserWarning)
            warnings.filterwarnings("ignore", ".*LeafSpec.*", FutureWarning)
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
