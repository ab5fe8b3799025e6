"""Training of a residual from parameters to the network that is kept.

    result = train(make_env, base, dataset, params, bound=bound, seed=0, scratch=folder, log=run.log)

Knows no simulator (environments are made by the caller), no tracking server and no stage. Killed at any instant and started
again with the same arguments, it goes on from its last checkpoint in `scratch`.
"""

from __future__ import annotations

import copy
import dataclasses
import logging
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from stable_baselines3.common.buffers import NStepReplayBuffer
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import KVWriter, Logger

from soarm.base import BasePolicy, Demonstrations
from soarm.quantities import RISING, SOME, Count, Positive, Threads, Whole, within
from soarm.residual import checkpoint, validation
from soarm.residual.actor import ResidualActor
from soarm.residual.demonstrations import label
from soarm.residual.encoder import ObservationParams
from soarm.residual.exploration import ExplorationParams
from soarm.residual.gradients import polyak_update
from soarm.residual.learner import LearnerParams
from soarm.residual.td3bc import ResidualTD3BC
from soarm.residual.validation import BASE_STEP, Candidate, ValidationParams
from soarm.residual.vec_env import BatchVecEnv
from soarm.rollout import BatchEnv
from soarm.seeds import scene_seeds
from soarm.spec import PolicySpec

logger = logging.getLogger(__name__)
Log = Callable[[int, Mapping[str, float]], None]
Track = Callable[[Iterable[int], int, str], Iterable[int]]


@dataclasses.dataclass(frozen=True)
class TrainResidualParams:
    """The stage `train_residual`.

    Attributes:
        env_steps: Control steps of all environments together, the prefill among them.
        n_envs: Environments that run side by side: as many as the physics of one core steps while the other makes the updates
            of their step.
        n_threads: Threads that step their physics.
        time_limit_s: Training episodes are truncated after this long, if the task's own limit is not shorter [s]. What has
            gone wrong by then rarely comes right, and a value goes on beyond it, so waiting would only cost steps.
        hidden: Widths of the hidden layers of actor and critics. What an update costs grows with their square.
        layer_norm: Whether a LayerNorm follows each hidden layer. In the critics it keeps values of unseen actions bounded
            (RLPD, arXiv 2302.02948); the actor has it as well, as ResFiT's.
        n_critics: Heads of the critic. With more than two the target takes the least of a pair drawn anew at every update
            (Chen et al. 2021, arXiv 2101.05982). Two are the least there can be.
        actor_observation: What of the observation the actor is given.
        critic_observation: What the critics are given.
        severity_growth: Training episodes between which disturbances grow from none to what `sim.disturbances` says; what is
            hard everywhere at once is learnt slowly (docs/notebook.md, "A desk"). None: they are whole from the first episode.
        average_steps: What is validated and kept is an average of the actor's weights, in which those of this many environment
            steps ago count a third (1/e) of today's: values that every episode changes move an actor back and forth. 0: the
            actor as it is.
        exploration: How it explores.
        learner: How it learns.
        validation: How the residual to keep is found.
        log_every: Environment steps between two log entries.
        checkpoint_every: Environment steps between two checkpoints to resume from.
    """

    env_steps: Count
    n_envs: Count
    n_threads: Threads
    time_limit_s: Positive
    hidden: Annotated[tuple[Count, ...], SOME]
    layer_norm: bool
    n_critics: Annotated[int, within(least=2, most=100, why="targets take the least of two heads")]
    actor_observation: ObservationParams
    critic_observation: ObservationParams
    severity_growth: Annotated[tuple[Whole, Whole], RISING] | None
    average_steps: Whole
    exploration: ExplorationParams
    learner: LearnerParams
    validation: ValidationParams
    log_every: Count
    checkpoint_every: Count

    def __post_init__(self) -> None:
        if self.learner.buffer_size < self.n_envs:
            raise ValueError(
                f"learner.buffer_size is {self.learner.buffer_size}; it must hold a step of each of {self.n_envs} environments"
            )
        if not self.exploration.prefill_steps < self.env_steps:
            raise ValueError(
                f"env_steps is {self.env_steps}, but the prefill alone takes {self.exploration.prefill_steps}: raise it"
            )


@dataclasses.dataclass(frozen=True)
class TrainedResidual:
    """The result of a training.

    Attributes:
        model: The algorithm, with the kept actor in it.
        spec: Specification of base and residual.
        metrics: For the stage's metrics file.
        candidates: Results of the validations, by step; the first is the base, the last the residual as training left it.
    """

    model: ResidualTD3BC
    spec: PolicySpec
    metrics: dict[str, Any]
    candidates: tuple[Candidate, ...]

    @property
    def actor(self) -> ResidualActor:
        """The kept residual."""
        return self.model.policy.actor.mu


def train(
    make_env: Callable[[int], BatchEnv],
    base: BasePolicy,
    demonstrations: Demonstrations,
    params: TrainResidualParams,
    *,
    bound: Sequence[float],
    seed: int,
    scratch: Path,
    log: Log,
    track: Track = lambda steps, total, description: steps,
) -> TrainedResidual:
    """Train a residual and keep the best of its checkpoints and the base.

    Args:
        make_env: Makes environments with as many rows as asked for.
        base: The frozen base.
        demonstrations: What the base was trained on; read only if batches mix them in.
        params: How.
        bound: How far the residual reaches, shape (6,) [deg x 5, percent]; see `soarm.residual.reach`.
        seed: Seed of everything random, the training scenes included.
        scratch: Folder for the checkpoint to resume from; must belong to these arguments alone.
        log: Called every `log_every` environment steps.
        track: Wraps the steps to show progress; takes them, their number and a description.

    Raises:
        CheckpointError: What lies in `scratch` cannot be resumed from.
    """
    env = make_env(params.n_envs)
    venv = BatchVecEnv(env, base.spec, scene_seeds("residual", seed), round(params.time_limit_s * env.control_hz))
    path = scratch / "resume.pkl"
    candidates: list[Candidate] = []
    average = _Average(params)
    if path.exists():
        model, (candidates, average.actor) = checkpoint.restore(path, venv, "cpu")
        logger.info("resuming at environment step %d", model.num_timesteps)
    else:
        model = _new_model(venv, base, params, bound, seed)
    if params.learner.demonstration_share:
        model.set_demonstrations(_labelled(demonstrations, model, params.learner))
    model.set_logger(Logger(None, [_LogWriter(log)]))
    validator = _Validator(make_env(params.validation.n_rows), params, candidates, average)
    first, start_s = model.num_timesteps, time.monotonic()
    remaining = params.env_steps - first
    n_steps = -(-remaining // params.n_envs)
    schedule = _Schedule(params, validator, path, iter(track(range(n_steps), n_steps, "training the residual")), first)
    model.learn(remaining, schedule, log_interval=None, reset_num_timesteps=first == 0)  # type: ignore[arg-type]
    wall_s = time.monotonic() - start_s
    validator.evaluate(model)
    model.dump_logs()
    kept = validation.choose(validator.candidates, params.validation.max_p)
    for network in (model.policy.actor.mu, model.policy.actor_target.mu):
        network.load_state_dict(kept.weights)
    metrics = {
        "env_steps": model.num_timesteps,
        "env_steps_per_s": (model.num_timesteps - first) / wall_s,
        "updates": model._n_updates,
        "residual_scale": list(model.spec.residual_scale or ()),
        **validator.summary(kept),
    }
    return TrainedResidual(model, model.spec, metrics, tuple(validator.candidates))


def _labelled(demonstrations: Demonstrations, model: ResidualTD3BC, learner: LearnerParams) -> NStepReplayBuffer:
    """Return demonstrations as transitions of the residual, which mix into batches."""
    columns, starts = demonstrations.columns, demonstrations.episode_starts
    how = model.device, learner.gamma, learner.n_steps
    return label(columns, starts, model.base_model, model.spec, *how, demonstrations.pictures)


def _new_model(
    venv: BatchVecEnv, base: BasePolicy, params: TrainResidualParams, bound: Sequence[float], seed: int
) -> ResidualTD3BC:
    return ResidualTD3BC(
        "ResidualPolicy",
        venv,
        base_model=base,
        residual_scale=bound,
        learner=params.learner,
        exploration=params.exploration,
        policy_kwargs={
            "net_arch": list(params.hidden),
            "layer_norm": params.layer_norm,
            "n_critics": params.n_critics,
            "actor_observation": params.actor_observation,
            "critic_observation": params.critic_observation,
        },
        seed=seed,
        device="cpu",  # networks this small lose more on the way to a GPU than they gain there
    )


class _Average:
    """The exponential average of an actor since it began to learn."""

    def __init__(self, params: TrainResidualParams) -> None:
        self._share = 1.0 - math.exp(-params.n_envs / params.average_steps) if params.average_steps else None
        self._warmup_updates = params.learner.warmup_updates
        self.actor: ResidualActor | None = None

    def follow(self, model: ResidualTD3BC) -> None:
        """Take the actor after a step of all environments."""
        if self._share is None or model._n_updates <= self._warmup_updates:
            return
        if self.actor is None:
            self.actor = copy.deepcopy(model.policy.actor.mu)
        polyak_update(model.policy.actor.mu, self.actor, self._share, 1)


class _Validator:
    """Evaluates residuals and the base on the validation scenes, and keeps what was found."""

    def __init__(self, env: BatchEnv, params: TrainResidualParams, candidates: list[Candidate], average: _Average) -> None:
        self._env = env
        self._seeds = params.validation.seeds
        self.candidates, self.average = candidates, average

    def evaluate(self, model: ResidualTD3BC) -> None:
        """Evaluate the residual, once per environment step; before learning starts it is the base."""
        learning = model.num_timesteps > model.learning_starts
        step = model.num_timesteps if learning else BASE_STEP
        if any(candidate.step == step for candidate in self.candidates):
            return
        actor = self.average.actor or model.policy.actor.mu
        training = actor.training
        found = validation.evaluate(step, actor.eval(), self._env, model.base_model, model.spec, self._seeds)
        actor.train(training)
        self.candidates.append(found)
        model.logger.record("train/validation_success", found.success_rate)
        model.logger.record("train/validation_steps_mean", found.steps_mean)
        logger.info("validation at step %d: success %.3f", step, found.success_rate)

    def summary(self, kept: Candidate) -> dict[str, Any]:
        """Return the metrics of the choice."""
        base, last = self.candidates[0], self.candidates[-1]
        return {
            "n_validation_scenes": len(self._seeds),
            "validation_success_base": base.success_rate,
            "validation_success": kept.success_rate,
            "validation_success_last": last.success_rate,
            "validation_steps_mean_base": base.steps_mean,
            "validation_steps_mean": kept.steps_mean,
            "kept_step": kept.step,
            "kept": "base" if kept.step == BASE_STEP else "last" if kept is last else "checkpoint",
        }


class _Schedule(BaseCallback):
    """Callback for validation, log, checkpoint and progress.

    All of it happens at the start of a rollout, the one moment when steps taken, transitions stored and updates made agree.
    """

    def __init__(
        self, params: TrainResidualParams, validator: _Validator, path: Path, steps: Iterator[int], resumed_at: int
    ) -> None:
        super().__init__()
        self._params, self._validator, self._path, self._steps = params, validator, path, steps
        self._resumed_at = resumed_at

    def _on_rollout_start(self) -> None:
        model = self.model
        assert isinstance(model, ResidualTD3BC)
        step = model.num_timesteps
        if step and step == self._resumed_at:  # all of it was done before the checkpoint was made
            return
        if step == 0 or self._crossed(self._params.validation.every):
            self._validator.evaluate(model)
        if step and self._crossed(self._params.log_every):
            model.dump_logs()
        if step and self._crossed(self._params.checkpoint_every):
            checkpoint.save(model, (self._validator.candidates, self._validator.average.actor), self._path)

    def _on_step(self) -> bool:
        assert isinstance(self.model, ResidualTD3BC)
        self._validator.average.follow(self.model)
        next(self._steps, None)
        return True

    def _on_training_end(self) -> None:
        for _ in self._steps:  # lets the progress say that it is done
            pass

    def _crossed(self, every: int) -> bool:
        """Whether the last step of all environments passed a multiple of `every`."""
        step = self.model.num_timesteps
        return step // every > (step - self._params.n_envs) // every


class _LogWriter(KVWriter):
    """Hands what Stable-Baselines3 logs to a callable, without its clocks."""

    def __init__(self, log: Log) -> None:
        self._log = log

    def write(self, key_values: dict[str, Any], key_excluded: dict[str, tuple[str, ...]], step: int = 0) -> None:
        values = {key.split("/")[-1]: float(value) for key, value in key_values.items() if not key.startswith("time/")}
        self._log(step, values)

    def close(self) -> None:
        pass
