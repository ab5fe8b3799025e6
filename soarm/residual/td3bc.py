"""TD3+BC on a residual, as a Stable-Baselines3 algorithm that owns the frozen base it corrects.

Knows environments as `VecEnv`, the base as a `soarm.base.BasePolicy`, and no simulator, dataset or stage.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, Protocol, Self

import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3 import TD3
from stable_baselines3.common.buffers import ReplayBuffer
from stable_baselines3.common.noise import ActionNoise
from stable_baselines3.common.policies import BasePolicy as SB3Policy
from stable_baselines3.common.type_aliases import GymEnv, MaybeCallback, ReplayBufferSamples
from torch import Tensor, nn

from soarm.base import BasePolicy
from soarm.errors import CheckpointError
from soarm.policy import Array, add_residual
from soarm.residual import objective, sight
from soarm.residual.batches import PreparedBatch, prepare
from soarm.residual.diagnostics import Smoothness, critic_calibration, residual_diagnostics
from soarm.residual.exploration import ExplorationParams, Explorer
from soarm.residual.feature_keys import refuse_raw
from soarm.residual.frozen import base_of, spec_of_both, wrap_with_base
from soarm.residual.gradients import descend, fit_critics, polyak_update
from soarm.residual.learner import LearnerParams
from soarm.residual.overlap import LearnsWhileStepping
from soarm.residual.policies import ResidualTD3Policy
from soarm.residual.replay import EpisodeReplayBuffer

DIAGNOSE_EVERY = 100
"""Updates between two diagnostics of the residual's size; one costs about a fifth of an update."""


class Sampled(Protocol):
    """Transitions to mix into batches: a replay buffer, or several of them."""

    def sample(self, batch_size: int) -> ReplayBufferSamples: ...  # noqa: D102


class ResidualTD3BC(LearnsWhileStepping, TD3):
    """TD3+BC on a bounded residual over a frozen chunk policy (see `soarm.residual.objective` for the losses).

    Lineage: TD3 (Fujimoto et al. 2018, arXiv 1802.09477), TD3+BC (2106.06860), ResFiT (2509.19301). `train` is one update
    from top to bottom. Departures from Stable-Baselines3's TD3: critics on the executed action; the first updates are the
    critics' alone; target networks follow by the number of updates, not of the actor's, and stand still during a step; two
    learning rates; held noise; clamped targets; gradients clipped; updates while the environments step instead of after it
    (`soarm.residual.overlap`).

    Environments with the base's own features are wrapped at construction, in `set_env` and in `load`. The base's weights are
    saved inside the zip with its blueprint, so `load` needs no other file.

    Args:
        policy: "ResidualPolicy" or a class.
        env: Environments; raw or already wrapped.
        base_model: The frozen base.
        residual_scale: Bound per joint, shape (6,) [deg x 5, percent].
        learner: How to learn.
        exploration: How to explore.
        policy_kwargs: Of `ResidualTD3Policy`; the scale is added.
        seed: Of networks, replay and noise.
        device: Of torch.
        verbose: Of Stable-Baselines3.
        tensorboard_log: Of Stable-Baselines3.
        _init_setup_model: Of Stable-Baselines3; `load` sets it.
    """

    policy_aliases: ClassVar[dict[str, type[SB3Policy]]] = {"ResidualPolicy": ResidualTD3Policy}
    policy: ResidualTD3Policy

    def __init__(
        self,
        policy: str | type[ResidualTD3Policy],
        env: GymEnv,
        base_model: BasePolicy | None = None,
        residual_scale: Sequence[float] | None = None,
        learner: LearnerParams | None = None,
        exploration: ExplorationParams | None = None,
        policy_kwargs: dict[str, Any] | None = None,
        seed: int | None = None,
        device: torch.device | str = "auto",
        verbose: int = 0,
        tensorboard_log: str | None = None,
        _init_setup_model: bool = True,
    ) -> None:
        self.learner, self.exploration = learner, exploration
        self.demonstrations: Sampled | None = None
        self.reference: nn.Module | None = None
        self._n_actor_updates = 0
        self._worst_loss = 0.0  # of the critics, since it was last logged
        self._explorer: Explorer | None = None
        self._smoothness: Smoothness | None = None
        if learner is None or exploration is None or base_model is None or residual_scale is None:
            # `load` fills everything in afterwards
            assert not _init_setup_model, "base_model, residual_scale, learner and exploration are required"
            super().__init__(policy, env, device=device, _init_setup_model=False)
            return
        self.base_model, self.blueprint = base_model, base_model.blueprint
        self.overlap, self.updates_per_rollout = learner.overlap, learner.gradient_steps
        self.spec = spec_of_both(base_model.spec, residual_scale)
        super().__init__(
            policy,
            wrap_with_base(env, base_model, self.spec),
            learning_rate=learner.critic_lr,
            buffer_size=learner.buffer_size,
            learning_starts=exploration.prefill_steps,
            batch_size=learner.batch_size,
            tau=learner.tau,
            gamma=learner.gamma,
            train_freq=learner.train_freq,
            gradient_steps=0,  # the learner's are made while the environments step
            replay_buffer_class=EpisodeReplayBuffer,
            replay_buffer_kwargs={
                "n_steps": learner.n_steps,
                "gamma": learner.gamma,
                "handle_timeout_termination": learner.bootstrap_on_timeout,
            },
            policy_delay=learner.policy_delay,
            target_policy_noise=learner.target_policy_noise,
            target_noise_clip=learner.target_noise_clip,
            policy_kwargs={**(policy_kwargs or {}), "scale": self.spec.residual_scale, "task": self.spec.task},
            seed=seed,
            device=device,
            verbose=verbose,
            tensorboard_log=tensorboard_log,
            _init_setup_model=_init_setup_model,
        )

    def _setup_model(self) -> None:
        self.policy_kwargs = {sight.POLICY_KWARGS.get(name, name): value for name, value in self.policy_kwargs.items()}
        super()._setup_model()
        assert isinstance(self.base_model, nn.Module), "a base is a network of torch"
        self.base_model.to(self.device).eval().requires_grad_(False)
        if self._explorer is None or self._explorer.n_rows != self.n_envs:
            assert self.exploration is not None
            self._explorer = Explorer(self.n_envs, self.exploration, np.random.default_rng(self.seed))
            self._smoothness = Smoothness(self.n_envs, self.spec.control_hz)

    def set_env(self, env: GymEnv, force_reset: bool = True) -> None:
        """Replace the environments, raw or wrapped."""
        assert self.base_model is not None
        super().set_env(wrap_with_base(env, self.base_model, self.spec), force_reset)

    def set_demonstrations(self, buffer: Sampled) -> None:
        """Mix demonstrated transitions into the batches (`soarm.residual.demonstrations`)."""
        self.demonstrations = buffer

    def set_reference(self, net: nn.Module) -> None:
        """Have the penalty pull to another residual than the base's; given are its layers behind the encoder."""
        self.reference = net.eval().requires_grad_(False)

    @property
    def _settings(self) -> LearnerParams:
        assert self.learner is not None
        return self.learner

    @property
    def progress(self) -> float:
        """Share of the learning steps that were made, 0 at the end of the prefill and 1 at the last step."""
        steps = max(self._total_timesteps - self.learning_starts, 1)
        return min(max(self.num_timesteps - self.learning_starts, 0) / steps, 1.0)

    def _sample_action(
        self, learning_starts: int, action_noise: ActionNoise | None = None, n_envs: int = 1
    ) -> tuple[Array, Array]:
        """Return the residuals to execute and those for the replay buffer, which are the same."""
        assert self._explorer is not None
        if self.num_timesteps < learning_starts:
            residual = self._explorer.prefill()
        else:
            assert isinstance(self._last_obs, np.ndarray)
            residual = self._explorer.around(self.policy.actor.mu.predict_residual(self._last_obs), self.progress)
        return residual, residual

    def _store_transition(
        self,
        replay_buffer: ReplayBuffer,
        buffer_action: Array,
        new_obs: NDArray[Any] | dict[str, NDArray[Any]],
        reward: NDArray[Any],
        dones: NDArray[Any],
        infos: list[dict[str, Any]],
    ) -> None:
        assert self._explorer is not None
        assert self._smoothness is not None
        assert isinstance(self._last_obs, np.ndarray)
        base, scale = self._last_obs[:, self.policy.critic.sight.base_action], np.asarray(self.spec.residual_scale, np.float32)
        executed = add_residual(base, buffer_action, scale)
        for row, info in enumerate(infos):
            if "executed" in info:  # an arm's safety chain may cut, and a person may take over
                executed[row] = info["executed"]
                buffer_action[row] = (executed[row] - base[row]) / scale
        self._smoothness.add(executed, dones)
        self._explorer.end_episodes(dones)
        super()._store_transition(replay_buffer, buffer_action, new_obs, reward, dones, infos)

    def warm_up(self) -> None:
        """Take the observation statistics of the prefill, and update the critics alone.

        An actor that maximises untrained critics would unlearn the base.
        """
        buffer = self.replay_buffer
        assert buffer is not None
        seen = buffer.observations[: buffer.buffer_size if buffer.full else buffer.pos].reshape(-1, buffer.obs_shape[0])
        self.policy.set_statistics(seen.mean(axis=0, dtype=np.float64), seen.std(axis=0, dtype=np.float64))
        for _ in range(self._settings.warmup_updates):
            for _ in self.train(self.sample(1), self._n_updates):
                pass

    def sample(self, n: int) -> list[PreparedBatch]:
        """Return `n` batches of own and demonstrated transitions."""
        assert self.replay_buffer is not None
        if n == 0:
            return []
        n_demonstrated = 0 if self.demonstrations is None else round(self._settings.demonstration_share * self.batch_size)
        own = self.replay_buffer.sample(n * (self.batch_size - n_demonstrated))
        shown = self.demonstrations.sample(n * n_demonstrated) if self.demonstrations is not None and n_demonstrated else None
        return prepare(self.policy, n, own, shown, clip=self._settings.critic_action == "executed")

    def train(self, batches: Sequence[PreparedBatch], first: int) -> Iterator[None]:  # type: ignore[override]
        """Make one update per batch: TD3+BC from top to bottom; symbols are those of `soarm.residual.objective`.

        At each `yield` the environments may step (`soarm.residual.overlap`); exhausted at once, the updates are the same.

        Args:
            batches: What to learn from, as `sample` returns it.
            first: Updates made before the first of these.
        """
        policy, learner = self.policy, self._settings
        numbers = range(first + 1, first + 1 + len(batches))
        actor_is_due = [n > learner.warmup_updates and n % learner.policy_delay == 0 for n in numbers]

        # Targets: y = R_n + gamma^k (1 - d) min_{i in H} Q_i'(o', a(r' + noise)), and the Q-filter f of demonstrations.
        for batch, due in zip(batches, actor_is_due, strict=True):
            if batch.target is None:  # else a checkpoint brought it
                batch.target = objective.td_target(
                    policy,
                    batch,
                    heads=self._random_pair(),
                    noise=(learner.target_policy_noise, learner.target_noise_clip),
                    value_range=(learner.value_min, learner.value_max),
                )
                batch.imitation_mask = objective.q_filter(policy, batch) if due else None
        yield

        # Critics: sum_i mean (Q_i(o, a) - y)^2, one gradient step per batch.
        critic_loss = functools.partial(objective.critic_loss, reduction=learner.critic_loss_reduction)
        helper = self.idle_thread if learner.critic_loss_reduction == "each" else None  # else no head's gradient is its own
        losses = fit_critics(
            policy.critic, batches, critic_loss, learner.critic_lr, learner.max_grad_norm, helper, actor_is_due
        )
        for batch, due, loss in zip(batches, actor_is_due, losses, strict=True):
            self._n_updates += 1
            if due:  # Actor: - mean Q_i(o, a(r)) / |Q| + beta mean |r|^2 + beta_d mean f |r - r*|^2
                actor_loss = objective.actor_loss(
                    policy,
                    batch,
                    heads=self._actor_heads(),
                    penalty=learner.penalty.at(self.progress),
                    imitation=learner.imitation.at(self.progress),
                    q_floor=learner.q_floor,
                    q_term_on=learner.q_term_on,
                    towards=self._towards(batch),
                )
                descend(policy.actor, learner.actor_lr, learner.max_grad_norm, actor_loss)
                self._n_actor_updates += 1
            if self._n_updates > learner.warmup_updates:
                self._record(batch, loss)
        yield

        # Target networks: theta' <- (1 - tau) theta' + tau theta, once per update of theta.
        polyak_update(policy.critic, policy.critic_target, learner.tau, len(batches))
        polyak_update(policy.actor, policy.actor_target, learner.tau, sum(actor_is_due))

    @torch.no_grad()
    def _towards(self, batch: PreparedBatch) -> Tensor | None:
        """Return the residuals that the penalty pulls to; None for those of the base, which are zero."""
        return None if self.reference is None else self.reference(batch.for_actor[: batch.n_own].features)

    def _actor_heads(self) -> tuple[int, ...]:
        """Return the heads in the Q term of the actor's next update."""
        n_critics, reduction = self.critic.n_critics, self._settings.actor_q_reduction
        return {"in_turn": (self._n_actor_updates % n_critics,), "first": (0,), "mean": tuple(range(n_critics))}[reduction]

    def _random_pair(self) -> tuple[int, ...] | None:
        """Return the two heads whose minimum is the target, drawn anew; None where there are but two."""
        n_critics = self.critic.n_critics
        return None if n_critics == 2 else tuple(torch.randperm(n_critics)[:2].tolist())

    def _record(self, batch: PreparedBatch, loss: Tensor) -> None:
        """Record the critics' loss, and every `DIAGNOSE_EVERY` updates the residual's size."""
        self._worst_loss = max(self._worst_loss, float(loss))
        if self._n_updates % DIAGNOSE_EVERY == 0:
            own = batch.for_actor[: batch.n_own], batch.for_critics[: batch.n_own]
            for name, value in {"critic_loss": float(loss), **residual_diagnostics(self.policy, *own)}.items():
                self.logger.record_mean(f"train/{name}", value)

    def dump_logs(self) -> None:
        """Write log data, with the diagnostics that need finished episodes."""
        assert self._smoothness is not None
        assert isinstance(self.replay_buffer, EpisodeReplayBuffer)
        diagnostics = self._smoothness.take()
        if self._n_updates:
            diagnostics = {**diagnostics, **critic_calibration(self.policy, self.replay_buffer)}
        for name, value in diagnostics.items():
            self.logger.record(f"train/{name}", value)
        if self._worst_loss:
            self.logger.record("train/critic_loss_max", self._worst_loss)
            self._worst_loss = 0.0
        self.logger.record("train/n_updates", self._n_updates)
        super().dump_logs()

    def learn(
        self,
        total_timesteps: int,
        callback: MaybeCallback = None,
        log_interval: int = 4,
        tb_log_name: str = "ResidualTD3BC",
        reset_num_timesteps: bool = True,
        progress_bar: bool = False,
    ) -> Self:
        """Learn for `total_timesteps` environment steps, the prefill among them."""
        if reset_num_timesteps or self._last_obs is None:  # Stable-Baselines3 is about to reset the environments
            assert isinstance(self.replay_buffer, EpisodeReplayBuffer)
            self.replay_buffer.forget_running()
            self.next_update = None
        return super().learn(total_timesteps, callback, log_interval, tb_log_name, reset_num_timesteps, progress_bar)

    @classmethod
    def load(cls, path: Any, env: GymEnv | None = None, device: torch.device | str = "auto", **kwargs: Any) -> Self:  # type: ignore[override]
        """Load a saved residual with its base; `env` may be raw or wrapped, or None to predict only.

        This unpickles, as Stable-Baselines3 does, and so runs what the file holds: load only files that you made or trust.
        `soarm.residual.actor.load` reads the same actor and its specification from the files beside it, and runs nothing.

        Raises:
            CheckpointError: There is no such file, it holds something else, or classes that this version does not have.
        """
        try:
            base, spec = base_of(path)
            if env is not None:  # before Stable-Baselines3 compares its spaces with the saved ones
                env = wrap_with_base(env, base, spec)
            return super().load(path, env=env, device=device, base_model=base, **kwargs)
        except ImportError as error:
            raise CheckpointError(
                f"{path} was saved by another version of soarm ({error}). Its actor can be read from the files beside it "
                "(`soarm.residual.actor.load`); to learn on, train again: dvc repro train_residual"
            ) from error

    def predict(self, observation: Any, *args: Any, **kwargs: Any) -> Any:
        """Return residuals in [-1, 1] for the residual's own observations, shape (D,) or (n, D); as Stable-Baselines3's.

        Raises:
            ObservationError: The observation is the environment's, not the residual's.
        """
        refuse_raw(observation)
        return super().predict(observation, *args, **kwargs)

    def _excluded_save_params(self) -> list[str]:
        return [*super()._excluded_save_params(), "demonstrations", "reference"]

    def _get_torch_save_params(self) -> tuple[list[str], list[str]]:
        names, variables = super()._get_torch_save_params()
        return [*names, "base_model"], variables
