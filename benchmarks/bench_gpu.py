"""What a GPU, or several processes, bring: ACT's training and the residual's learner, on each device there is.

    PYTHONPATH=.:benchmarks python benchmarks/bench_gpu.py

Needs `data/record` and `data/train_act`. ACT is trained by `train_act` of params.yaml for fewer steps, in one process, in
several (accelerate, on CPU cores) and on CUDA: the validation error over steps says whether they learn the same. Steps of the
profile `seed_size` are of noise in memory. The residual's learner has the environments of `train_residual`, and more of them:
with four environment steps per update of `batch_size` as there, and with updates that are fewer and larger. Wall times.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from bench_act import training_step
from bench_residual import PREFILL_VEC_STEPS, Bench, timed
from bench_visual_act import REST, SEED_SIZE, SIZES, batch_of, build

from soarm import params as params_file
from soarm.act.config import ACTConfig
from soarm.act.loss import losses
from soarm.act.params import TrainActParams
from soarm.act.training import train
from soarm.base import load_base
from soarm.dataset.reader import Dataset
from soarm.residual.training import TrainResidualParams
from soarm.sim.params import SimParams

DEVICES: tuple[Literal["cpu", "cuda"], ...] = ("cpu", "cuda") if torch.cuda.is_available() else ("cpu",)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("data"), help="folder with record and train_act")
    parser.add_argument("--steps", type=int, default=1500, help="of ACT; 0 leaves it out")
    parser.add_argument("--processes", type=int, nargs="*", default=[2], help="on CPU cores, with a share of every batch each")
    parser.add_argument("--envs", type=int, nargs="*", default=[32, 256])
    parser.add_argument("--seconds", type=float, default=15.0, help="of learning, each")
    parser.add_argument("--threads", type=int, default=1, help="of physics, and of torch on the CPU where it is alone")
    args = parser.parse_args()
    print(
        f"{os.cpu_count()} cores; {torch.cuda.get_device_name() if len(DEVICES) > 1 else 'no GPU'}; torch {torch.__version__}"
    )
    torch.set_num_threads(1)
    loaded = params_file.load(Path("params.yaml"))
    if args.steps:
        _act(Dataset.open(args.data / "record"), loaded.section("train_act", TrainActParams), args.steps, args.processes)
        for device in DEVICES:
            _seed_size(device)
    act, sim = load_base(args.data / "train_act"), loaded.section("sim", SimParams)
    settings = loaded.section("train_residual", TrainResidualParams)
    for n_envs in args.envs:
        for device in DEVICES:
            for merged in sorted({1, n_envs // 32}):
                _residual(act, sim, settings, n_envs, device, merged, args)


def _act(dataset: Dataset, params: TrainActParams, steps: int, processes: list[int]) -> None:
    """Print how fast ACT of params.yaml trains, and its validation error on the way."""
    runs: list[tuple[Literal["cpu", "cuda"], int]] = [(device, 1) for device in DEVICES]
    for device, n in [*runs, *(("cpu", n) for n in processes)]:
        changed = dataclasses.replace(
            params, device=device, processes=n, steps=steps, log_every=steps // 5, checkpoint_every=steps
        )
        rows: list[tuple[float, int, float]] = []

        def log(step: int, found: Mapping[str, float], rows: list[tuple[float, int, float]] = rows) -> None:
            rows.append((time.perf_counter(), step, found["val_l1_deg"]))

        with tempfile.TemporaryDirectory() as scratch:
            train(dataset, changed, seed=0, scratch=Path(scratch), log=log)
        rate = (rows[-1][1] - rows[0][1]) / (rows[-1][0] - rows[0][0])
        curve = ", ".join(f"{step}: {error:.3f}" for _, step, error in rows)
        print(f"ACT, batch {params.batch_size}, {device} x {n}: {rate:6.1f} steps/s; val_l1_deg at step {curve}", flush=True)


def _seed_size(device: str) -> None:
    """Print how long a step of the profile `seed_size` takes."""
    config = ACTConfig(**SIZES, **SEED_SIZE, **REST, vision_backbone="resnet18")
    for size in (8,) if device == "cpu" else (8, 64):
        torch.manual_seed(0)
        model, batch = build(config).train().to(device), batch_of(config.chunk_size, size, device)
        step = training_step(model, lambda model=model, batch=batch: losses(model, batch).total, fused=True)  # type: ignore[misc]
        seconds = _seconds(step, device, 3 if device == "cpu" else 30)
        print(
            f"ACT of seed_size, batch {size}, {device}: {size / seconds:7.1f} samples/s, {1e3 * seconds:.1f} ms a step",
            flush=True,
        )


def _seconds(step: Callable[[], None], device: str, n: int) -> float:
    """Return the median of n steps after two that allocate."""
    taken = []
    for _ in range(n + 2):
        start_s = time.perf_counter()
        step()
        if device == "cuda":
            torch.cuda.synchronize()
        taken.append(time.perf_counter() - start_s)
    return statistics.median(taken[2:])


def _residual(
    act: Any, sim: SimParams, settings: TrainResidualParams, n_envs: int, device: str, merged: int, args: Any
) -> None:
    """Print how fast a residual learns with so many environments, updates merged into fewer and larger ones by a factor."""
    updates, batch_size = n_envs // 4 // merged, settings.learner.batch_size * merged
    changed = dataclasses.replace(
        settings, n_envs=n_envs, learner=dataclasses.replace(settings.learner, batch_size=batch_size)
    )
    learner = Bench(sim, changed, act, updates, args.threads).ours(overlap=settings.learner.overlap, device=device)
    learner.learn((PREFILL_VEC_STEPS + 4) * n_envs, log_interval=None)  # type: ignore[arg-type]
    wall_s, n = 0.0, 0
    while wall_s < args.seconds:
        wall_s += timed(learner, 8 * n_envs)[0]
        n += 8 * n_envs
    rate = n / wall_s
    print(
        f"residual, {n_envs} environments, {args.threads} threads of physics, {device}, {updates} updates of "
        f"{batch_size} a step of all: {rate:6.0f} environment steps/s",
        flush=True,
    )


if __name__ == "__main__":
    main()
