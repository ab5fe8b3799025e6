"""A bundle written by hand, without torch and without `soarm.export`: two linear networks with the real shapes."""

import hashlib
import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from soarm.estimation import Questions
from soarm.spec import ACTION, ENVIRONMENT_STATE, IMAGES, JOINT_FEATURE, STATE, PolicySpec
from soarm.tasks.pick_place import TASK

LAYOUT = TASK.residual_observation

CHUNK_SIZE = 5
SPEC = PolicySpec(
    features={STATE: JOINT_FEATURE, ENVIRONMENT_STATE: TASK.objects, ACTION: JOINT_FEATURE},
    control_hz=30,
    chunk_size=CHUNK_SIZE,
    n_action_steps=3,
    residual_scale=(4.0, 4.0, 4.0, 4.0, 8.0, 10.0),
    dataset_hash="0123456789abcdef",
)


def network(nodes, inputs, output, weights, metadata):
    """Return a float32 ONNX model with a free batch dimension."""

    def value(name, shape):
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", *shape])

    graph = helper.make_graph(
        nodes,
        "by_hand",
        [value(name, shape) for name, shape in inputs.items()],
        [value(*output)],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    helper.set_model_props(model, metadata)
    return model


def metadata(name, spec):
    """Return the metadata of a network, spelled out here so that a change of the format fails a test."""
    return {"soarm.spec": json.dumps(spec.to_dict(), indent=2, sort_keys=True) + "\n", "soarm.network": name}


def act_network(spec=SPEC, chunk_size=CHUNK_SIZE):
    """Return a linear ACT."""
    rng = np.random.default_rng(0)
    weights = {
        "weight": rng.normal(size=(13, chunk_size * 6)).astype(np.float32) * 0.1,
        "shape": np.array([-1, chunk_size, 6], np.int64),
    }
    nodes = [
        helper.make_node("Concat", [STATE, ENVIRONMENT_STATE], ["seen"], axis=1),
        helper.make_node("MatMul", ["seen", "weight"], ["flat"]),
        helper.make_node("Reshape", ["flat", "shape"], [ACTION]),
    ]
    inputs = {STATE: (6,), ENVIRONMENT_STATE: (7,)}
    return network(nodes, inputs, (ACTION, (chunk_size, 6)), weights, metadata("act", spec))


def residual_network(spec=SPEC):
    """Return a linear residual actor with a tanh."""
    weights = {"weight": np.random.default_rng(1).normal(size=(LAYOUT.dim, 6)).astype(np.float32) * 0.01}
    nodes = [
        helper.make_node("MatMul", ["residual_observation", "weight"], ["raw"]),
        helper.make_node("Tanh", ["raw"], ["residual"]),
    ]
    inputs = {"residual_observation": (LAYOUT.dim,)}
    return network(nodes, inputs, ("residual", (6,)), weights, metadata("residual", spec))


def write(folder: Path, files: dict[str, bytes]) -> Path:
    """Write files and their checksums."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    checksums = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    (folder / "checksums.json").write_text(json.dumps(checksums, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def bundle_files() -> dict[str, bytes]:
    """The files of a good bundle with a residual, without the checksums."""
    spec = json.dumps(SPEC.to_dict(), indent=2, sort_keys=True) + "\n"
    return {
        "act.onnx": act_network().SerializeToString(),
        "residual.onnx": residual_network().SerializeToString(),
        "spec.json": spec.encode(),
        "parity.json": b"{}\n",
    }


@pytest.fixture
def bundle_folder(tmp_path: Path, bundle_files: dict[str, bytes]) -> Path:
    """A good bundle with a residual."""
    return write(tmp_path / "bundle", bundle_files)


@pytest.fixture
def write_bundle():
    """How to write another bundle: `write_bundle(folder, files)`."""
    return write


@pytest.fixture
def networks():
    """How to build other networks: spec -> ONNX model."""
    return {"act": act_network, "residual": residual_network}


@pytest.fixture
def spec() -> PolicySpec:
    """The specification of the bundle."""
    return SPEC


@pytest.fixture
def externalise():
    """How to move a model's weights into another file of `folder`; returns the bytes of what is left."""

    def move(model: onnx.ModelProto, folder: Path) -> bytes:
        onnx.save_model(model, folder / "act.onnx", save_as_external_data=True, location="act.onnx.data", size_threshold=1024)
        return (folder / "act.onnx").read_bytes()

    return move


EYE_SIZE = (4, 6)
SEEN = [0.1, -0.2, 0.0125, 1.0, 0.0, 0.15, -0.1]


def eye_network(spec=SPEC, objects=SEEN, error_m=0.004):
    """Return an eye that sees the same objects in every picture, from far away."""
    questions = Questions(TASK)
    answers = np.zeros(questions.dim, np.float32)
    answers[: questions.n_objects] = objects
    for answer in questions.answers:
        answers[answer.offset], answers[answer.error] = 1.0, np.log(error_m)
    picture = f"{IMAGES}.front"
    nodes = [
        helper.make_node("Cast", [picture], ["numbers"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["numbers"], ["mean"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("Unsqueeze", ["mean", "last"], ["column"]),
        helper.make_node("MatMul", ["pose", "nothing"], ["still"]),
        helper.make_node("Mul", ["column", "zero"], ["dark"]),
        helper.make_node("Add", ["still", "dark"], ["both"]),
        helper.make_node("Add", ["both", "constant"], ["answers"]),
    ]
    weights = {
        "nothing": np.zeros((18, questions.dim), np.float32),
        "zero": np.zeros(1, np.float32),
        "last": np.array([1], np.int64),
        "constant": answers[None],
    }
    model = network(nodes, {"pose": (18,)}, ("answers", (questions.dim,)), weights, metadata("eye", spec))
    model.graph.input.append(helper.make_tensor_value_info(picture, TensorProto.UINT8, ["batch", *EYE_SIZE, 3]))
    model.opset_import[0].version = 17
    return model


CAMERAS = {
    "front": {
        "width_px": EYE_SIZE[1],
        "height_px": EYE_SIZE[0],
        "supersample": 1,
        "body": "world",
        "position_m": [0.0, -0.6, 0.46],
        "direction": [0.0, 0.6, -0.8],
        "fovy_deg": 30.0,
    }
}


@pytest.fixture
def eye_files(bundle_files):
    """The files of a bundle with an eye, without the checksums: what the eye sees, how far off it thinks it is -> files."""

    def files(objects=SEEN, error_m=0.004, cameras=CAMERAS):
        mounting = json.dumps({"cameras": cameras, "look": {}}).encode()
        return bundle_files | {"eye.onnx": eye_network(SPEC, objects, error_m).SerializeToString(), "cameras.json": mounting}

    return files
