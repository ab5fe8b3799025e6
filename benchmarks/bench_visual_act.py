"""How fast ACT trains on pictures; one thread.

    PYTHONPATH=. OMP_NUM_THREADS=1 python benchmarks/bench_visual_act.py [--lerobot]

`--lerobot`, where LeRobot can be imported (docs/dataset.md says how to make that environment), trains its ACT of the same
sizes in the same process, step by step in turn, so that whatever else the machine does slows both alike. Times are CPU time:
on a shared machine wall time says more about the neighbours. Pictures are noise, in memory.
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics
from typing import Any

import torch
from bench_act import in_turn, training_step

from soarm.act.config import ACTConfig
from soarm.act.loss import losses
from soarm.act.model import ACT, Blueprint
from soarm.act.windows import Batch
from soarm.spec import ACTION, JOINT_FEATURE, STATE, Feature, PolicySpec

CAMERAS = {"observation.images.front": Feature.image(96, 96), "observation.images.wrist": Feature.image(96, 96)}
SIZES: dict[str, Any] = {"chunk_size": 50, "n_action_steps": 50, "use_vae": True, "kl_weight": 10.0, "dropout": 0.1}
SEED_SIZE: dict[str, Any] = {
    "dim_model": 256,
    "n_heads": 8,
    "dim_feedforward": 3264,
    "n_encoder_layers": 4,
    "n_vae_encoder_layers": 4,
}
"""17.8 M parameters beside the trunk; profile `seed_size`."""
DEFAULT: dict[str, Any] = {
    "dim_model": 512,
    "n_heads": 8,
    "dim_feedforward": 3200,
    "n_encoder_layers": 4,
    "n_vae_encoder_layers": 4,
}
"""LeRobot's default sizes."""
BATCH_SIZE, N_STEPS = 8, 8


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lerobot", action="store_true", help="train LeRobot's ACT in turn")
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    for label, sizes in (("seed size", SEED_SIZE), ("LeRobot's default", DEFAULT)):
        _training(label, ACTConfig(**SIZES, **sizes, **REST, vision_backbone="resnet18"), options.lerobot)


REST: dict[str, Any] = {"temporal_ensemble_coeff": None, "n_decoder_layers": 1, "latent_dim": 32}


def _training(label: str, config: ACTConfig, with_lerobot: bool) -> None:
    model, batch = build(config).train(), batch_of(config.chunk_size)
    steps = {"soarm": training_step(model, lambda: losses(model, batch).total, fused=True)}
    if with_lerobot:
        policy, items = _lerobot_policy(config), _items(batch)
        steps["LeRobot"] = training_step(policy, lambda: policy.forward(items)[0], fused=False)
    seconds = in_turn(steps, N_STEPS)
    print(f"training step, {label}: {model.n_parameters / 1e6:.2f} M parameters, 2 x 96 px, batch {BATCH_SIZE}, chunk 50")
    for name, values in seconds.items():
        median, best = BATCH_SIZE / statistics.median(values), BATCH_SIZE / min(values)
        print(f"  {name:8} {median:6.1f} samples/s (median) {best:6.1f} (best)")
    if with_lerobot:
        print(f"  ratio of medians {statistics.median(seconds['LeRobot']) / statistics.median(seconds['soarm']):.2f}")


def build(config: ACTConfig) -> ACT:
    """Return a network that looks at two pictures."""
    features = {STATE: JOINT_FEATURE, **CAMERAS, ACTION: JOINT_FEATURE}
    return Blueprint(
        config, PolicySpec(features, 30, chunk_size=config.chunk_size, n_action_steps=config.n_action_steps)
    ).build()


def batch_of(chunk_size: int, size: int = BATCH_SIZE, device: str = "cpu") -> Batch:
    """Return a batch of noise."""
    with torch.device(device):
        pictures = {key: torch.randint(0, 256, (size, *one.shape), dtype=torch.uint8) for key, one in CAMERAS.items()}
        is_pad = torch.zeros(size, chunk_size, dtype=torch.bool)
        return Batch({STATE: torch.randn(size, 6), **pictures}, torch.randn(size, chunk_size, 6), is_pad)


def _items(batch: Batch) -> dict[str, torch.Tensor]:
    """Return a batch as LeRobot's processors hand it over: pictures as floats, channels first, normalised."""
    pictures = {key: batch.observation[key].permute(0, 3, 1, 2).float().contiguous() / 255 - 0.5 for key in CAMERAS}
    return {STATE: batch.observation[STATE], **pictures, ACTION: batch.action, "action_is_pad": batch.is_pad}


def _lerobot_policy(config: ACTConfig) -> Any:
    from lerobot.configs.types import FeatureType, PolicyFeature
    from lerobot.policies.act.configuration_act import ACTConfig as LeRobotConfig
    from lerobot.policies.act.modeling_act import ACTPolicy

    ours = ("temporal_ensemble_coeff", "freeze_backbone")
    sizes = {name: value for name, value in dataclasses.asdict(config).items() if name not in ours}
    features = {STATE: PolicyFeature(FeatureType.STATE, (6,))}
    features |= {key: PolicyFeature(FeatureType.VISUAL, (3, 96, 96)) for key in CAMERAS}
    action = {ACTION: PolicyFeature(FeatureType.ACTION, (6,))}
    return ACTPolicy(LeRobotConfig(input_features=features, output_features=action, device="cpu", **sizes)).train()


if __name__ == "__main__":
    main()
