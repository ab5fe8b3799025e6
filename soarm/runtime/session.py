"""Opening an ONNX file in ONNX Runtime: one thread, no spinning, no weights from outside the file.

Knows ONNX Runtime and its errors; knows neither bundles nor policies.
"""

from __future__ import annotations

import onnxruntime as ort
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

from soarm.errors import BundleError

# Every way ONNX Runtime refuses a model; they share no base but Exception.
_REFUSALS = (
    ort_errors.Fail,
    ort_errors.InvalidArgument,
    ort_errors.InvalidGraph,
    ort_errors.InvalidProtobuf,
    ort_errors.NotImplemented,
    ort_errors.RuntimeException,
)
# A folder that cannot exist: a graph that wants weights from another file then fails to load, wherever it is started from.
_NO_FOLDER = "/soarm-refuses-external-data"


def open_session(content: bytes, name: str) -> ort.InferenceSession:
    """Open an ONNX model held in memory.

    Args:
        content: The bytes of the file, those whose checksum was compared.
        name: What to call it in messages.

    Raises:
        BundleError: ONNX Runtime cannot load it, or it keeps weights in another file.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = 3  # errors only; they are raised as well
    # The arena keeps freed memory for itself; these graphs are small enough to do without.
    options.enable_cpu_mem_arena = False
    for kind in ("intra_op", "inter_op"):
        options.add_session_config_entry(f"session.{kind}.allow_spinning", "0")
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", _NO_FOLDER)
    try:
        return ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except _REFUSALS as error:
        if _NO_FOLDER in str(error):
            raise BundleError(
                f"{name} keeps weights in another file; a bundle's networks hold their own weights, so that one checksum "
                "covers them. Export again with external_data=False (`dvc repro export`)."
            ) from None
        raise BundleError(
            f"ONNX Runtime {ort.__version__} cannot load {name}: {error}. Export again (`dvc repro export`), or install the "
            "onnxruntime version the project is tested with (constraints.txt)."
        ) from None
