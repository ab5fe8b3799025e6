"""Training of an eye, from rollouts to the network.

    result = train(sim, policy, params, seed=0, scratch=folder, log=run.log, track=run.track)

Killed at any instant and started again with the same arguments, it goes on from its last checkpoint in `scratch` and ends with
the same bits. Knows no stage and no tracking server.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from soarm.act.parallel import Log
from soarm.act.training import reproducible, restore, save_state
from soarm.estimation import Questions
from soarm.eye import frames
from soarm.eye.errors import EyeErrors
from soarm.eye.moments import MomentParams, Moments, collect, scatter, without
from soarm.eye.network import Eye, EyeConfig
from soarm.eye.trainer import EyeTrainer, Labelled, LearnParams
from soarm.policy import BatchPolicy
from soarm.quantities import Count, Threads
from soarm.seeds import scene_seeds
from soarm.sim.batch_env import BatchSim
from soarm.sim.params import SimParams

_LOOKS = 2**32
"""Seeds of the frames' looks begin here, apart from those of scenes."""
Track = Callable[[Iterable[Any], int, str], Iterable[Any]]


@dataclasses.dataclass(frozen=True)
class TrainEyeParams:
    """Section `train_eye` of params.yaml.

    Attributes:
        n_frames: Frames to learn from, a picture per camera each.
        n_held_out: Frames to measure on, from rollouts in other scenes, a third as many.
        moments: Where arm and objects are in them.
        n_rows: Rollouts at once.
        n_workers: Processes that draw, threads that step physics, and threads that learn; another number gives other bits.
        network: Sizes of the network.
        learn: How it learns.
    """

    n_frames: Count
    n_held_out: Count
    moments: MomentParams
    n_rows: Count
    n_workers: Threads
    network: EyeConfig
    learn: LearnParams


@dataclasses.dataclass(frozen=True)
class TrainedEye:
    """The result of a training.

    Attributes:
        model: The network, in evaluation mode.
        errors: What it gets wrong in the held-out frames.
        metrics: For the stage's metrics file.
        examples: The held-out frames.
        moments: Where everything is in them.
    """

    model: Eye
    errors: EyeErrors
    metrics: Mapping[str, Any]
    examples: Labelled
    moments: Moments


def train(
    sim: SimParams,
    policy: BatchPolicy,
    params: TrainEyeParams,
    *,
    seed: int,
    scratch: Path,
    log: Log,
    track: Track = lambda steps, total, description: steps,
) -> TrainedEye:
    """Train an eye.

    Args:
        sim: The environment: task, cameras and looks.
        policy: Whose rollouts arm poses come from, for `n_rows` arms: the demonstrators.
        params: How.
        seed: Seed of everything random.
        scratch: Folder for frames and the checkpoint to resume from; must belong to these arguments alone.
        log: Called every `log_every` steps and after the last.
        track: Wraps what takes long to show progress; takes it, its length and a description.

    Raises:
        CheckpointError: What lies in `scratch` cannot be resumed from.
        TrainingError: The loss is no longer finite.
    """
    seeds = scene_seeds("eye", seed)
    others = seeds[len(seeds) // 2 :]
    n_scenes = params.moments.n_episodes
    training, _ = _labelled(sim, policy, params, params.n_frames, seeds, n_scenes, scratch / "training", track)
    rest = others, max(1, n_scenes // 3)
    held_out, moments = _labelled(sim, policy, params, params.n_held_out, *rest, scratch / "held_out", track)
    learn, checkpoint = params.learn, scratch / "resume.pt"
    with reproducible(torch.device("cpu"), seed), _threads(params.n_workers):
        trainer = EyeTrainer(training, held_out, Questions(sim.sim_task.task), params.network, learn, seed)
        restore(trainer, checkpoint)
        for step in track(range(trainer.step, learn.steps), learn.steps - trainer.step, "training the eye"):
            trainer.advance()
            last = step + 1 == learn.steps
            if (step + 1) % learn.log_every == 0 or last:
                log(step + 1, trainer.report())
            if (step + 1) % learn.checkpoint_every == 0 or last:
                save_state(trainer, checkpoint)
    objects, expected_m = trainer.answers()
    seeds_shown = _looks(others, len(held_out))
    visible = _visible_px(sim, held_out, moments, seeds_shown, scratch, params.n_workers, track)
    truth = held_out.state, held_out.objects
    errors = EyeErrors.of(trainer.questions, *truth, objects, expected_m, moments, visible)
    frames_per_s = trainer.step * learn.batch_size / trainer.wall_s if trainer.wall_s else float("nan")
    parameters = sum(parameter.numel() for parameter in trainer.model.parameters())
    metrics = {"frames": len(training), "parameters": parameters, "frames_per_s": round(frames_per_s, 1), **errors.to_dict()}
    return TrainedEye(trainer.model.eval(), errors, metrics, held_out, moments)


def _labelled(
    sim: SimParams,
    policy: BatchPolicy,
    params: TrainEyeParams,
    n: int,
    seeds: range,
    n_scenes: int,
    folder: Path,
    track: Track,
) -> tuple[Labelled, Moments]:
    """Return `n` frames of rollouts in the first `n_scenes` scenes of `seeds`, and where everything is in them."""
    rng = np.random.default_rng(seeds.start)
    env = BatchSim(sim.told(), params.n_rows, params.n_workers)
    found = collect(env, policy, params.moments, track(seeds[:n_scenes], n_scenes, "rollouts for the eye"), rng)
    moments = scatter(found, n, sim, params.moments, rng)
    pictures = frames.draw(sim, moments, _looks(seeds, n), folder, params.n_workers, track)
    return Labelled(pictures, *moments.observed(sim.sim_task)), moments


@contextlib.contextmanager
def _threads(n: int) -> Iterator[None]:
    """Let torch compute with `n` threads; afterwards with as many as before."""
    before = torch.get_num_threads()
    torch.set_num_threads(n)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _looks(seeds: range, n: int) -> range:
    return range(_LOOKS + seeds.start, _LOOKS + seeds.start + n)


def _visible_px(
    sim: SimParams, held_out: Labelled, moments: Moments, looks: range, scratch: Path, n_workers: int, track: Track
) -> NDArray[np.int64]:
    """Return how many pixels show each thing, shape (N, things): those that change when it is taken away."""
    counts = []
    for thing in sim.sim_task.task.things:
        rest = without(moments, sim.sim_task, thing)
        pictures = frames.draw(sim, rest, looks, scratch / f"without_{thing.name}", n_workers, track)
        changed = [(pictures[name] != held_out.frames[name]).any(axis=-1).sum(axis=(1, 2)) for name in sim.cameras]
        counts.append(np.sum(changed, axis=0))
    return np.stack(counts, axis=1)
