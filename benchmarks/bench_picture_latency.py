"""How long networks that look at pictures take on one core: visual ACT and the eye, float32 and int8.

    python benchmarks/bench_picture_latency.py [--calls 100] [--sizes 96x96 320x240]

Two cameras. ACT has the default sizes with the trunk that is named and, as `seed size`, those of that profile. Weights and
pictures are random: the time does not depend on them. Exported, quantised and opened as for the robot, one thread. Times are
of the processor, float32 and int8 in turn: on a shared machine wall time says more about the neighbours.
"""

from __future__ import annotations

import argparse
import logging
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import torch
import yaml

from soarm import params as params_file
from soarm.act.config import ACTConfig
from soarm.act.model import ACT
from soarm.export.bundle import ByKey
from soarm.export.graph import to_onnx
from soarm.export.quantise import quantise
from soarm.eye.network import Eye, EyeConfig
from soarm.kinematics import POSE_DIM
from soarm.runtime.bundle import EYE, EYE_OUTPUT, POSE_INPUT
from soarm.runtime.latency import N_WARM_UP
from soarm.runtime.session import open_session
from soarm.spec import ACTION, IMAGES, JOINT_FEATURE, STATE, Feature, PolicySpec
from soarm.tasks.pick_place import TASK

CAMERAS = ("front", "wrist")
NUMBERS = yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))
NETWORKS: dict[str, dict[str, Any]] = {  # ACT's -> in what they differ from the default
    "light": {},
    "light, a token per cell": {"perception": None},
    "resnet18, a token per cell": {"vision_backbone": "resnet18", "perception": None},
    "seed size": NUMBERS["seed_size"]["train_act"]["network"],
}


def graph(name: str, height_px: int, width_px: int) -> tuple[bytes, dict[str, Any]]:
    """Return the ONNX file of a network, and what it is asked."""
    pictures = {f"{IMAGES}.{camera}": Feature.image(height_px, width_px) for camera in CAMERAS}
    rng = np.random.default_rng(0)
    asked: dict[str, Any] = {key: rng.integers(0, 256, (1, *one.shape), np.uint8) for key, one in pictures.items()}
    shapes = {key: one.shape for key, one in pictures.items()}
    if name == EYE:
        config = params_file.build(EyeConfig, NUMBERS["base"]["train_eye"]["network"], "train_eye.network")
        eye = Eye(config, TASK, {camera: pictures[f"{IMAGES}.{camera}"] for camera in CAMERAS})
        asked[POSE_INPUT] = np.zeros((1, POSE_DIM), np.float32)
        return to_onnx(ByKey(eye, CAMERAS), {**shapes, POSE_INPUT: (POSE_DIM,)}, [EYE_OUTPUT], {}, 20, by_name=True), asked
    network = params_file.build(ACTConfig, NUMBERS["base"]["train_act"]["network"] | NETWORKS[name], "train_act.network")
    features = {STATE: JOINT_FEATURE, **pictures, ACTION: JOINT_FEATURE}
    spec = PolicySpec(features, 30, network.chunk_size, network.n_action_steps)
    act = ACT(network, spec)
    asked[STATE] = np.zeros((1, 6), np.float32)
    inputs = {key: spec.features[key].shape for key in act.inputs}
    return to_onnx(act, inputs, [ACTION], {}, 20, by_name=True), asked


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=100)
    sizes = ["96x96", "128x96", "160x120", "320x240"]
    parser.add_argument("--sizes", nargs="+", default=sizes, metavar="WIDTHxHEIGHT")
    parser.add_argument("--networks", nargs="+", default=[EYE, *NETWORKS])
    options = parser.parse_args()
    logging.basicConfig(level=logging.ERROR)
    torch.set_num_threads(1)
    torch.manual_seed(0)
    print("| network, two cameras | size | float32: median (99 % under) | int8 | files |\n|---|---|---|---|---|")
    for name in options.networks:
        for size in options.sizes:
            width_px, height_px = map(int, size.split("x"))
            content, asked = graph(name, height_px, width_px)
            files = content, quantise(content, [asked] * 4)
            sessions = [open_session(one, name) for one in files]
            taken_ms = np.array([[call_ms(one, asked) for one in sessions] for _ in range(N_WARM_UP + options.calls)])[
                N_WARM_UP:
            ]
            times = [f"{np.median(one):.1f} ms ({np.percentile(one, 99):.1f})" for one in taken_ms.T]
            megabytes = " and ".join(f"{len(one) / 1e6:.1f}" for one in files)
            print(f"| {name} | {size} | {' | '.join(times)} | {megabytes} MB |", flush=True)


def call_ms(session: ort.InferenceSession, asked: dict[str, Any]) -> float:
    """Return the time that the processor takes for one call [ms]."""
    start_s = time.process_time()
    session.run(None, asked)
    return 1e3 * (time.process_time() - start_s)


if __name__ == "__main__":
    main()
