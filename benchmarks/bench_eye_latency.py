"""How long networks that look at pictures take on one core: visual ACT and the eye, float32 and int8.

    python benchmarks/bench_eye_latency.py [--calls 100] [--sizes 96x96 320x240]

Two cameras. ACT has the default chunk of 25 and, as `seed size`, the 17.8 M parameters of LeRobot's small one with a chunk of
50. Weights are random: the time does not depend on them. Exported, opened and called as on the robot, one thread.
"""

from __future__ import annotations

import argparse
import dataclasses
import logging
from pathlib import Path
from typing import Any

import numpy as np
import torch

from soarm import params as params_file
from soarm.act.config import ACTConfig
from soarm.act.model import ACT
from soarm.act.params import TrainActParams
from soarm.estimation import POSE_DIM
from soarm.export.bundle import ByKey
from soarm.export.graph import to_onnx
from soarm.export.quantise import quantise
from soarm.eye.network import Eye, EyeConfig
from soarm.runtime.bundle import EYE, EYE_OUTPUT, POSE_INPUT
from soarm.runtime.latency import time_calls
from soarm.runtime.session import open_session
from soarm.spec import ACTION, IMAGES, JOINT_FEATURE, STATE, Feature, PolicySpec
from soarm.tasks.pick_place import TASK

CAMERAS = ("front", "wrist")
SEED = {"chunk_size": 50, "dim_model": 256, "n_heads": 8, "dim_feedforward": 3264, "n_encoder_layers": 4, "latent_dim": 32}


def network_config(**changes: Any) -> ACTConfig:
    """Return the ACT of params.yaml, changed."""
    section = params_file.load(Path("params.yaml"), "pick_place").section("train_act", TrainActParams)
    return dataclasses.replace(section.network, **changes)


def graph(name: str, height_px: int, width_px: int) -> tuple[bytes, int, dict[str, Any]]:
    """Return the ONNX file of a network, how many parameters it has, and what it is asked."""
    pictures = {f"{IMAGES}.{camera}": Feature.image(height_px, width_px) for camera in CAMERAS}
    rng = np.random.default_rng(0)
    asked: dict[str, Any] = {key: rng.integers(0, 256, (1, *one.shape), np.uint8) for key, one in pictures.items()}
    shapes = {key: one.shape for key, one in pictures.items()}
    if name == EYE:
        config = EyeConfig("light", n_keypoints=32, n_glimpses=8, map_channels=16, map_dim=128, hidden=256)
        eye = Eye(config, TASK, {camera: pictures[f"{IMAGES}.{camera}"] for camera in CAMERAS})
        asked[POSE_INPUT] = np.zeros((1, POSE_DIM), np.float32)
        content = to_onnx(ByKey(eye, CAMERAS), {**shapes, POSE_INPUT: (POSE_DIM,)}, [EYE_OUTPUT], {}, 20, by_name=True)
        return content, sum(one.numel() for one in eye.parameters()), asked
    trunk, _, size = name.partition(", ")
    config_of_act = network_config(vision_backbone=trunk, **(SEED if size else {}))
    spec = PolicySpec({STATE: JOINT_FEATURE, **pictures, ACTION: JOINT_FEATURE}, 30, config_of_act.chunk_size, 10)
    act = ACT(config_of_act, spec)
    asked[STATE] = np.zeros((1, 6), np.float32)
    inputs = {key: spec.features[key].shape for key in act.inputs}
    return to_onnx(act, inputs, [ACTION], {}, 20, by_name=True), sum(one.numel() for one in act.parameters()), asked


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=100)
    parser.add_argument("--sizes", nargs="+", default=["96x96", "128x96", "320x240"], metavar="WIDTHxHEIGHT")
    parser.add_argument("--networks", nargs="+", default=[EYE, "light", "resnet18", "resnet18, seed size"])
    options = parser.parse_args()
    logging.basicConfig(level=logging.ERROR)
    torch.set_num_threads(1)
    torch.manual_seed(0)
    print("| network, two cameras | size | parameters | float32: median (99 % under) | int8 |\n|---|---|---|---|---|")
    for name in options.networks:
        for size in options.sizes:
            width_px, height_px = map(int, size.split("x"))
            content, n_parameters, asked = graph(name, height_px, width_px)
            samples = [asked] * 4
            columns = []
            for one in (content, quantise(content, samples)):
                session = open_session(one, name)
                taken = time_calls(lambda session=session, asked=asked: session.run(None, asked), options.calls)  # type: ignore[misc]
                columns.append(f"{taken.median_ms:.1f} ms ({taken.p99_ms:.1f})")
            print(f"| {name} | {size} | {n_parameters / 1e6:.2f} M | {' | '.join(columns)} |", flush=True)


if __name__ == "__main__":
    main()
