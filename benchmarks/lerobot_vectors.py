"""Record what the real LeRobot's ACT computes, for tests that compare with it and need no LeRobot.

    PYTHONPATH=. python benchmarks/lerobot_vectors.py tests/lerobot/fixtures/act-0.4.4.zip

Run in an environment with LeRobot (docs/lerobot.md). The archive holds, for each policy, the files that LeRobot writes
but for the weights: those follow from names and shapes by `made_weight`. Beside them are observations, and the chunks of
actions that LeRobot predicts, raw and normalised.
"""

from __future__ import annotations

import json
import sys
import tempfile
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

STATE, OBJECTS, ACTION = "observation.state", "observation.environment_state", "action"
FRONT, WRIST = "observation.images.front", "observation.images.wrist"
CASES = {"objects": (STATE, OBJECTS), "front": (STATE, FRONT), "all": (STATE, OBJECTS, WRIST, FRONT)}
SHAPES = {STATE: (6,), OBJECTS: (7,), ACTION: (6,), FRONT: (3, 32, 32), WRIST: (3, 32, 32)}
KINDS = {STATE: "STATE", OBJECTS: "ENV", ACTION: "ACTION", FRONT: "VISUAL", WRIST: "VISUAL"}
SIZES = {"chunk_size": 5, "n_action_steps": 3, "dim_model": 32, "n_heads": 4, "dim_feedforward": 48, "n_encoder_layers": 2}
N_OBSERVATIONS = 6
HARDLY_DEG = 1e-4
"""How much the first joint moves: so little that what LeRobot adds to a deviation counts."""


def made_weight(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Return the weight of a name: always the same, of a size that keeps what a layer gives near that of what it takes."""
    drawn = np.random.default_rng(zlib.crc32(name.encode())).random(shape, np.float32)
    if len(shape) > 1:
        return (2 * drawn - 1) * np.float32(3 / np.prod(shape[1:])) ** np.float32(0.5)
    is_scale = name.endswith(("running_var", "norm1.weight", "norm2.weight", "norm3.weight", "norm.weight")) or ".bn" in name
    return drawn * np.float32(0.2) + np.float32(0.9 if is_scale and not name.endswith(("bias", "mean")) else -0.1)


def observations() -> dict[str, np.ndarray]:
    """Return observations in raw units; pictures as uint8, (N, H, W, 3)."""
    rng = np.random.default_rng(0)
    pictures = {key: rng.integers(0, 256, (N_OBSERVATIONS, 32, 32, 3), np.uint8) for key in (FRONT, WRIST)}
    state = rng.normal(0, [HARDLY_DEG, 40, 40, 40, 40, 40], (N_OBSERVATIONS, 6)).astype(np.float32)
    return {STATE: state, OBJECTS: rng.normal(0, 0.2, (N_OBSERVATIONS, 7)).astype(np.float32), **pictures}


def main() -> None:
    """Make the archive."""
    with tempfile.TemporaryDirectory() as scratch, zipfile.ZipFile(sys.argv[1], "w", zipfile.ZIP_DEFLATED) as archive:
        for case, inputs in CASES.items():
            folder = Path(scratch, case)
            record(folder, inputs)
            (folder / "model.safetensors").unlink()
            for file in sorted(folder.iterdir()):
                archive.writestr(zipfile.ZipInfo(f"{case}/{file.name}"), file.read_bytes(), zipfile.ZIP_DEFLATED)


def record(folder: Path, inputs: tuple[str, ...]) -> None:
    """Write a policy as LeRobot does, and what it predicts."""
    import torch
    from lerobot.configs.types import FeatureType, PolicyFeature
    from lerobot.policies.act.configuration_act import ACTConfig
    from lerobot.policies.act.modeling_act import ACTPolicy
    from lerobot.policies.factory import make_pre_post_processors

    features = {key: PolicyFeature(FeatureType(KINDS[key]), SHAPES[key]) for key in (*inputs, ACTION)}
    seen, done = {key: features[key] for key in inputs}, {ACTION: features[ACTION]}
    sizes: dict[str, Any] = {**SIZES, "n_vae_encoder_layers": 1, "latent_dim": 4, "pretrained_backbone_weights": None}
    policy = ACTPolicy(ACTConfig(input_features=seen, output_features=done, device="cpu", **sizes)).eval()
    shapes = {name: tuple(tensor.shape) for name, tensor in policy.state_dict().items() if "pos_enc" not in name}
    made = {name: torch.from_numpy(made_weight(name, shape)) for name, shape in shapes.items()}
    policy.load_state_dict(made, strict=False)
    before, after = make_pre_post_processors(policy.config, dataset_stats=statistics(inputs))
    for part in (policy, before, after):
        part.save_pretrained(folder)
    observed = {key: values for key, values in observations().items() if key in inputs}
    tensors = {key: torch.from_numpy(values) for key, values in observed.items()}
    batch = {key: x.permute(0, 3, 1, 2).float() / 255 if x.dtype == torch.uint8 else x for key, x in tensors.items()}
    normalised = policy.predict_action_chunk(before(batch))
    shapes_file = folder / "shapes.json"
    shapes_file.write_text(json.dumps(shapes))
    arrays: dict[str, Any] = {**observed, "normalised": normalised.numpy(), "chunk": after(normalised).numpy()}
    np.savez_compressed(folder / "vectors.npz", **arrays)


def statistics(inputs: tuple[str, ...]) -> dict[str, dict[str, np.ndarray]]:
    """Return made-up statistics."""
    rng, found = np.random.default_rng(1), {}
    for key in (*inputs, ACTION):
        shape = (3, 1, 1) if KINDS[key] == "VISUAL" else SHAPES[key]
        size = 30 if key in (STATE, ACTION) else 0.2
        mean, std = rng.normal(0, size, shape), size * rng.uniform(0.5, 1.5, shape)
        if key == STATE:
            mean[0], std[0] = 0.0, HARDLY_DEG
        found[key] = {"mean": mean.astype(np.float32), "std": std.astype(np.float32)}
    return found


if __name__ == "__main__":
    main()
