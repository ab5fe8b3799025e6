"""TD3+BC on a residual, as a Stable-Baselines3 algorithm that owns the frozen base it corrects.

Knows environments as `VecEnv`, the base as a network with a blueprint, and no simulator, dataset or stage.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3 import TD3
from stable_baselines3.common.buffers import ReplayBuffer
from stable_baselines3.common.noise import ActionNoise
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.type_aliases import GymEnv, MaybeCallback
from torch import Tensor

from soarm.errors import ParamsError
from soarm.policies import BASE_ACTION
from soarm.policy import Array, add_residual
from soarm.residual import calibration, objective
from soarm.residual.alarms import Smoothness, residual_alarms
from soarm.residual.exploration import ExplorationParams, Explorer
from soarm.residual.feature_keys import refuse_raw
from soarm.residual.frozen import base_of, in_front_of
from soarm.residual.gate import GatedResidual
from soarm.residual.learner import Blueprint, LearnerParams
from soarm.residual.overlap import LearnsWhileStepping
from soarm.residual.policies import ResidualTD3Policy
from soarm.residual.replay import EpisodeReplayBuffer
from soarm.residual.updates import Lesson, Updates
from soarm.residual.warmup import warm_up

ALARM_EVERY = 100
"""Updates between two looks at the residual's size; one look costs about a fifth of an update."""


class ResidualTD3BC(LearnsWhileStepping, TD3):
    """TD3+BC on a bounded residual over a frozen chunk policy (see `soarm.residual.objective` for the losses).

    Lineage: TD3 (Fujimoto et al. 2018, arXiv 1802.09477), TD3+BC (2106.06860), ResFiT (2509.19301). Departures from
    Stable-Baselines3's TD3: critics on the executed action; the first updates are the critics' alone; targets follow by the
    number of updates, not of the actor's, and stand still during a step; two learning rates; held noise; clamped
    targets; gradients clipped; updates while the environments step instead of after it (`soarm.residual.overlap`).

    Environments with the base's own features are wrapped at construction, in `set_env` and in `load`. The base's weights are
    saved inside the zip with its blueprint, so `load` needs no other file.

    Args:
        policy: "ResidualPolicy" or a class.
        env: Environments; raw or already wrapped.
        base_model: The frozen base: an `nn.Module` that is a `ChunkModel`.
        blueprint: How to build it again.
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

    policy_aliases: ClassVar[dict[str, type[BasePolicy]]] = {"ResidualPolicy": ResidualTD3Policy}
    policy: ResidualTD3Policy

    def __init__(
        self,
        policy: str | type[ResidualTD3Policy],
        env: GymEnv,
        base_model: Any = None,
        blueprint: Blueprint | None = None,
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
        self.base_model, self.blueprint = base_model, blueprint
        self.learner, self.exploration = learner, exploration
        self.demonstrations: ReplayBuffer | None = None
        self._n_actor_updates = 0
        self._worst_loss = 0.0  # of the critics, since it was last logged
        self._followed = (0, 0)  # updates of critics and actor that their targets know of
        self._explorer: Explorer | None = None
        self._smoothness: Smoothness | None = None
        if learner is None or exploration is None or blueprint is None or base_model is None or residual_scale is None:
            # `load` fills everything in afterwards
            assert not _init_setup_model, "base_model, blueprint, residual_scale, learner and exploration are required"
            super().__init__(policy, env, device=device, _init_setup_model=False)
            return
        self.overlap, self.updates_per_rollout = learner.overlap, learner.gradient_steps
        self.spec = dataclasses.replace(blueprint.spec, residual_scale=tuple(float(bound) for bound in residual_scale))
        super().__init__(
            policy,
            in_front_of(env, base_model, self.spec),
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
                "handle_timeout_termination": learner.beyond_time_limit,
            },
            policy_delay=learner.policy_delay,
            target_policy_noise=learner.target_policy_noise,
            target_noise_clip=learner.target_noise_clip,
            policy_kwargs={**(policy_kwargs or {}), "scale": self.spec.residual_scale},
            seed=seed,
            device=device,
            verbose=verbose,
            tensorboard_log=tensorboard_log,
            _init_setup_model=_init_setup_model,
        )

    def _setup_model(self) -> None:
        super()._setup_model()
        if self.base_model is not None:
            self.base_model.to(self.device).eval().requires_grad_(False)
        if self._explorer is None or self._explorer.n_rows != self.n_envs:
            assert self.exploration is not None
            self._explorer = Explorer(self.n_envs, self.exploration, np.random.default_rng(self.seed))
            self._smoothness = Smoothness(self.n_envs, self.spec.control_hz)

    def set_env(self, env: GymEnv, force_reset: bool = True) -> None:
        """Take other environments, raw or wrapped."""
        assert self.base_model is not None
        super().set_env(in_front_of(env, self.base_model, self.spec), force_reset)

    def set_demonstrations(self, buffer: ReplayBuffer) -> None:
        """Mix demonstrated transitions into the batches (`soarm.residual.demonstrations`)."""
        self.demonstrations = buffer

    @property
    def progress(self) -> float:
        """How far learning is, 0 at the end of the prefill and 1 at the last step."""
        steps = max(self._total_timesteps - self.learning_starts, 1)
        return min(max(self.num_timesteps - self.learning_starts, 0) / steps, 1.0)

    def _sample_action(
        self, learning_starts: int, action_noise: ActionNoise | None = None, n_envs: int = 1
    ) -> tuple[Array, Array]:
        """Return residuals to execute and to remember: they are the same."""
        assert self.exploration is not None
        assert self._explorer is not None
        if self.num_timesteps < learning_starts:
            residual = self._explorer.prefill()
        else:
            assert isinstance(self._last_obs, np.ndarray)
            greedy = GatedResidual(self.policy) if self.exploration.gated else self.policy.actor.mu
            residual = self._explorer.around(greedy.predict_residual(self._last_obs), self.progress)
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
        executed = add_residual(
            self._last_obs[:, BASE_ACTION], buffer_action, np.asarray(self.spec.residual_scale, np.float32)
        )
        self._smoothness.add(executed, dones)
        self._explorer.end_episodes(dones, self.num_timesteps - self.learning_starts)
        super()._store_transition(replay_buffer, buffer_action, new_obs, reward, dones, infos)

    def settle(self) -> None:
        """Bring the targets after the updates of the last step; before the first, standardise and warm the critics up."""
        assert self.learner is not None
        for network, rate in ((self.critic, self.learner.critic_lr), (self.actor, self.learner.actor_lr)):
            for group in network.optimizer.param_groups:
                group["lr"] = rate
        if self._n_updates == 0:
            self._take_statistics()
            self._warm_up()
        self._follow()

    def prepare(self, n: int, first: int) -> list[Lesson]:
        """Return so many batches of own and demonstrated transitions."""
        assert self.learner is not None
        assert isinstance(self.replay_buffer, EpisodeReplayBuffer)
        n_demonstrated = 0 if self.demonstrations is None else round(self.learner.demonstration_share * self.batch_size)
        n_own = self.batch_size - n_demonstrated
        online = self.replay_buffer.sample(n * n_own)
        shown = self.demonstrations.sample(n * n_demonstrated) if self.demonstrations is not None and n_demonstrated else None
        steps = self.replay_buffer.sample_steps(n * n_own) if self.learner.q_filter.enabled else None
        return self._updates.prepare(n, online, shown, steps, first)

    def practise(self, lessons: list[Lesson]) -> None:
        """Update critics and actor."""
        rest: Callable[[], None] | None = None
        for lesson in lessons:
            loss = self._update_critics(lesson, rest)
            rest = functools.partial(self._after_critics, lesson, loss)
        if rest is not None:
            rest()

    def _after_critics(self, lesson: Lesson, loss: Tensor) -> None:
        """Do what follows an update of the critics, before they move again."""
        if self._updates.teaches_actor(self._n_updates):
            self._update_actor(lesson)
        self._worst_loss = max(self._worst_loss, float(loss))
        if self._n_updates % ALARM_EVERY == 0:
            alarms = residual_alarms(self.policy, *lesson.own)
            for name, value in {"critic_loss": float(loss), **alarms}.items():
                self.logger.record_mean(f"train/{name}", value)

    @property
    def _updates(self) -> Updates:
        assert self.learner is not None
        return Updates(self.policy, self.learner, self.helper)

    def _take_statistics(self) -> None:
        """Standardise observations by what the prefill saw."""
        assert self.replay_buffer is not None
        n_seen = self.replay_buffer.buffer_size if self.replay_buffer.full else self.replay_buffer.pos
        seen = self.replay_buffer.observations[:n_seen].reshape(-1, self.replay_buffer.obs_shape[0])
        self.policy.set_statistics(seen.mean(axis=0, dtype=np.float64), seen.std(axis=0, dtype=np.float64))

    def _warm_up(self) -> None:
        assert self.learner is not None
        assert isinstance(self.replay_buffer, EpisodeReplayBuffer)
        buffer = self.replay_buffer
        if self.learner.warmup_mc_updates and np.isnan(buffer.returns).all():
            raise ParamsError(
                f"no episode ended in a prefill of {self.learning_starts} steps, so the critics have no returns to regress "
                "to: raise exploration.prefill_steps, or set learner.warmup_mc_updates to 0"
            )

        def regress() -> None:
            self._updates.critics_to_returns(buffer.sample_known(self.batch_size))
            self._n_updates += 1
            self._follow()

        def improve() -> None:
            (lesson,) = self.prepare(1, self._n_updates)
            self._update_critics(lesson)
            self._follow()

        warm_up(self.learner, regress, improve, functools.partial(calibration.promise, self.policy, buffer))

    def _follow(self) -> None:
        updates = self._updates
        updates.follow(self.critic, self.critic_target, self._n_updates - self._followed[0])
        updates.follow(self.actor, self.actor_target, self._n_actor_updates - self._followed[1])
        self._followed = (self._n_updates, self._n_actor_updates)

    def _update_critics(self, lesson: Lesson, meanwhile: Callable[[], None] | None = None) -> Tensor:
        loss = self._updates.critics(lesson, meanwhile)
        self._n_updates += 1
        return loss

    def _update_actor(self, lesson: Lesson) -> None:
        assert self.learner is not None
        held, how = None, self.learner.q_filter
        if lesson.steps is not None and self._n_actor_updates >= how.after_updates:
            held = objective.held_back(self.policy, lesson.steps, how.margin)
            self.logger.record_mean("train/penalised", float(held.mean()))
        self._updates.actor(
            lesson,
            number=self._n_actor_updates,
            penalty=self.learner.penalty.at(self.progress),
            imitation=self.learner.imitation.at(self.progress),
            held=held,
        )
        self._n_actor_updates += 1

    def dump_logs(self) -> None:
        """Write log data, with the alarms that need finished episodes."""
        assert self._smoothness is not None
        assert isinstance(self.replay_buffer, EpisodeReplayBuffer)
        alarms = self._smoothness.take()
        if self._n_updates:
            alarms = {**alarms, **calibration.alarms(self.policy, self.replay_buffer)}
        for name, value in alarms.items():
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
            self.next_lessons = None
        return super().learn(total_timesteps, callback, log_interval, tb_log_name, reset_num_timesteps, progress_bar)

    @classmethod
    def load(cls, path: Any, env: GymEnv | None = None, device: torch.device | str = "auto", **kwargs: Any) -> Self:  # type: ignore[override]
        """Load a saved residual with its base; `env` may be raw or wrapped, or None to predict only.

        This unpickles, as Stable-Baselines3 does, and so runs what the file holds: load only files that you made or trust.
        `soarm.residual.actor.load` reads the same actor and its specification from the files beside it, and runs nothing.

        Raises:
            CheckpointError: There is no such file, or it holds something else.
        """
        base, spec = base_of(path)
        if env is not None:  # before Stable-Baselines3 compares its spaces with the saved ones
            env = in_front_of(env, base, spec)
        return super().load(path, env=env, device=device, base_model=base, **kwargs)

    def predict(self, observation: Any, *args: Any, **kwargs: Any) -> Any:
        """Return residuals in [-1, 1] for the residual's own observations, shape (D,) or (n, D); as Stable-Baselines3's.

        Raises:
            ObservationError: The observation is the environment's, not the residual's.
        """
        refuse_raw(observation)
        return super().predict(observation, *args, **kwargs)

    def _excluded_save_params(self) -> list[str]:
        return [*super()._excluded_save_params(), "demonstrations"]

    def _get_torch_save_params(self) -> tuple[list[str], list[str]]:
        names, variables = super()._get_torch_save_params()
        return [*names, "base_model"], variables
