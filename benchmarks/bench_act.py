"""How fast ACT trains, how fast its loader is, and how long one prediction takes; one thread.

    PYTHONPATH=. OMP_NUM_THREADS=1 python benchmarks/bench_act.py

Where LeRobot can be imported (docs/dataset.md says how to make that environment), its ACT of the same sizes is measured in the
same process, step by step in turn, so that whatever else the machine does slows both alike. Elsewhere LeRobot's figure from
another machine stands in its place. Steps are CPU time: on a shared machine wall time says more about the neighbours.
"""

from __future__ import annotations

import dataclasses
import statistics
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from soarm.act.config import ACTConfig
from soarm.act.loss import losses
from soarm.act.model import ACT, Blueprint
from soarm.act.windows import Batch, Shuffle, Windows
from soarm.spec import ACTION, ENVIRONMENT_STATE, JOINT_FEATURE, STATE, PolicySpec
from soarm.tasks.pick_place import TASK

FEATURES = {STATE: JOINT_FEATURE, ENVIRONMENT_STATE: TASK.objects, ACTION: JOINT_FEATURE}
REFERENCE = ACTConfig(
    chunk_size=50,
    n_action_steps=50,
    temporal_ensemble_coeff=None,
    dim_model=256,
    n_heads=8,
    dim_feedforward=1024,
    n_encoder_layers=2,
    n_decoder_layers=1,
    use_vae=True,
    n_vae_encoder_layers=2,
    latent_dim=32,
    kl_weight=10.0,
    dropout=0.1,
)
"""The sizes LeRobot was measured at: 4.26 M parameters, 64-69 samples/s on one thread of an AVX2 server core."""
BATCH_SIZE = 64
N_STEPS = 15


def main() -> None:
    """Print the table."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    batch = _batch(REFERENCE.chunk_size)
    model = _build(REFERENCE).train()
    steps = {"soarm": training_step(model, lambda: losses(model, batch).total, fused=True)}
    lerobot = _lerobot_policy()
    if lerobot is not None:
        items = {
            **batch.observation,
            ACTION: batch.action,
            "action_is_pad": batch.is_pad,
        }
        steps["LeRobot"] = training_step(lerobot, lambda: lerobot.forward(items)[0], fused=False)
    seconds = in_turn(steps, N_STEPS)
    print(f"training step: {model.n_parameters / 1e6:.2f} M parameters, batch {BATCH_SIZE}, chunk {REFERENCE.chunk_size}")
    for name, values in seconds.items():
        median, best = statistics.median(values), min(values)
        print(f"  {name:8} {BATCH_SIZE / median:8.1f} samples/s (median)  {BATCH_SIZE / best:8.1f} (best)")
    if lerobot is None:
        print("  LeRobot is not installed here; measured elsewhere: 64-69 samples/s")
    else:
        print(f"  ratio of medians {statistics.median(seconds['LeRobot']) / statistics.median(seconds['soarm']):.2f}")
    print(f"loader, chunk {REFERENCE.chunk_size}, from memory: {_loader_rate(REFERENCE.chunk_size):,.0f} samples/s")
    print(f"one prediction, batch 1: {_latency_ms(model):.2f} ms (median)")


def _build(config: ACTConfig) -> ACT:
    spec = PolicySpec(FEATURES, 30, chunk_size=config.chunk_size, n_action_steps=config.n_action_steps)
    return Blueprint(config, spec).build()


def _batch(chunk_size: int) -> Batch:
    is_pad = torch.zeros(BATCH_SIZE, chunk_size, dtype=torch.bool)
    observation = {STATE: torch.randn(BATCH_SIZE, 6), ENVIRONMENT_STATE: torch.randn(BATCH_SIZE, 7)}
    return Batch(observation, torch.randn(BATCH_SIZE, chunk_size, 6), is_pad)


def training_step(model: torch.nn.Module, loss: Callable[[], Any], fused: bool) -> Callable[[], None]:
    """Return one optimiser step with gradient clipping, as both projects take it."""
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-5, weight_decay=1e-4, fused=fused)

    def step() -> None:
        optimiser.zero_grad()
        loss().backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 10.0)
        optimiser.step()

    return step


def in_turn(steps: dict[str, Callable[[], None]], n_steps: int) -> dict[str, list[float]]:
    """Take steps in turn; return the seconds of CPU time that each of `n_steps` took."""
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for i in range(n_steps + 2):
        for name, step in steps.items():
            start_s = time.process_time()
            step()
            if i >= 2:  # the first ones allocate
                seconds[name].append(time.process_time() - start_s)
    return seconds


def _loader_rate(chunk_size: int) -> float:
    """Return samples per second of shuffled windows of 100 episodes of 150 rows."""
    rng = np.random.default_rng(0)
    columns = {key: rng.normal(size=(15_000, *feature.shape)).astype(np.float32) for key, feature in FEATURES.items()}
    data: Any = SimpleNamespace(columns=columns, episode_starts=np.arange(0, 15_001, 150))
    windows = Windows(data, np.arange(100), chunk_size, torch.device("cpu"))
    shuffle = Shuffle(len(windows), BATCH_SIZE, seed=0)
    start_s, n = time.process_time(), 0
    while time.process_time() - start_s < 1.0:
        windows.gather(shuffle.next())
        n += BATCH_SIZE
    return n / (time.process_time() - start_s)


def _latency_ms(model: ACT) -> float:
    model.eval()
    observation = {STATE: np.zeros((1, 6), np.float32), ENVIRONMENT_STATE: np.zeros((1, 7), np.float32)}
    seconds = []
    for _ in range(200):
        start_s = time.perf_counter()
        model.predict_chunks(observation)
        seconds.append(time.perf_counter() - start_s)
    return 1e3 * statistics.median(seconds)


def _lerobot_policy() -> Any:
    """Return LeRobot's ACT of the same sizes, or None where LeRobot is not installed."""
    try:
        from lerobot.configs.types import FeatureType, PolicyFeature
        from lerobot.policies.act.configuration_act import ACTConfig as LeRobotConfig
        from lerobot.policies.act.modeling_act import ACTPolicy
    except ImportError:
        return None
    sizes = {name: value for name, value in dataclasses.asdict(REFERENCE).items() if name != "temporal_ensemble_coeff"}
    config = LeRobotConfig(
        input_features={
            STATE: PolicyFeature(FeatureType.STATE, (6,)),
            ENVIRONMENT_STATE: PolicyFeature(FeatureType.ENV, (7,)),
        },
        output_features={ACTION: PolicyFeature(FeatureType.ACTION, (6,))},
        device="cpu",
        **sizes,
    )
    return ACTPolicy(config).train()


if __name__ == "__main__":
    main()
