"""Updates of a residual on the steps of an arm: the update of `ResidualTD3BC`, fed by whole episodes.

Knows episodes and networks; knows no arm and no process. What it learns depends on the episodes, their order, how many updates
were made between them, and the seed.
"""

from __future__ import annotations

import copy
import dataclasses
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from safetensors.torch import save as to_bytes
from stable_baselines3.common.buffers import NStepReplayBuffer
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.type_aliases import ReplayBufferSamples
from torch import Tensor

from soarm.base import Demonstrations
from soarm.errors import OnlineError
from soarm.online.params import OnlineParams
from soarm.online.steps import Episode
from soarm.residual.demonstrations import label
from soarm.residual.objective import Ramp
from soarm.residual.replay import EpisodeReplayBuffer
from soarm.residual.td3bc import ResidualTD3BC
from soarm.smallfile import replacing


class InTurn:
    """Buffers that are sampled as one, as much from each: a person's steps are few, and of this arm.

    Args:
        buffers: At least one.
    """

    def __init__(self, buffers: Sequence[NStepReplayBuffer]) -> None:
        self._buffers = tuple(buffers)

    def sample(self, batch_size: int) -> ReplayBufferSamples:
        """Return transitions, those of the buffers in turn."""
        n = len(self._buffers)
        sizes = [(batch_size + i) // n for i in range(n)]
        parts = [buffer.sample(size) for buffer, size in zip(self._buffers, sizes, strict=True) if size]
        order = torch.argsort(torch.cat([torch.arange(len(part.rewards)) / len(part.rewards) for part in parts]), stable=True)
        return ReplayBufferSamples(*(torch.cat(column)[order] for column in zip(*map(_filled, parts), strict=True)))


class OnlineLearner:
    """Learns on episodes as they come.

    Args:
        model: The residual that is learnt on, with its base; it is changed.
        params: How.
        demonstrations: What the base was trained on, half of each batch or as `params` says; None goes without.
        fresh: Whether it starts from a residual of zero, with new critics, in place of what `model` brings.
        seed: Of batches and target noise, and of new networks.

    Attributes:
        model: The residual.
        n_steps: Steps learnt from.
        n_human: Of these, those that a person drove.
    """

    def __init__(
        self, model: ResidualTD3BC, params: OnlineParams, demonstrations: Demonstrations | None, *, fresh: bool, seed: int
    ) -> None:
        self.model, self._params, self._fresh = model, params, fresh
        torch.manual_seed(seed)
        np.random.seed(seed)  # noqa: NPY002 - Stable-Baselines3's buffers draw from it
        assert model.learner is not None
        model.learner = dataclasses.replace(
            model.learner,
            critic_lr=params.critic_lr,
            actor_lr=params.actor_lr,
            n_steps=params.n_steps,
            batch_size=params.batch_size,
            warmup_updates=params.warmup_updates,
            penalty=Ramp(params.penalty, params.penalty, 1.0),
            imitation=Ramp(params.imitation, params.imitation, 1.0),
            demonstration_share=params.demonstration_share,
            overlap=False,
        )
        model.n_envs, model.batch_size, model._n_updates, model._n_actor_updates = 1, params.batch_size, 0, 0
        if fresh:
            model.seed = seed
            model._setup_model()
        else:
            model.set_reference(copy.deepcopy(model.policy.actor.mu.net))
        # Adam divides by the size of past gradients. Those of the end of a training are small, and those of another arm are
        # not: with the simulator's averages the first 25 updates moved the actor as far as a thousand, and success halved.
        for network in (model.policy.actor, model.policy.critic):
            network.optimizer.state.clear()
        model.set_logger(Logger(None, []))
        model.replay_buffer = EpisodeReplayBuffer(
            params.buffer_size,
            model.observation_space,
            model.action_space,
            device=model.device,
            n_steps=params.n_steps,
            gamma=model.gamma,
            handle_timeout_termination=True,
        )
        self.n_steps = self.n_human = 0
        self._by_hand = self._empty()
        self._recorded = None if demonstrations is None else self._labelled(demonstrations)
        self._offer_demonstrations()

    def _empty(self) -> NStepReplayBuffer:
        model, params = self.model, self._params
        observed, action = model.observation_space, model.action_space
        assert isinstance(action, spaces.Box)
        how: dict[str, Any] = {"n_steps": params.n_steps, "gamma": model.gamma}
        return NStepReplayBuffer(params.buffer_size, observed, action, device=model.device, **how)

    def _labelled(self, demonstrations: Demonstrations) -> NStepReplayBuffer:
        columns, starts, pictures = demonstrations.columns, demonstrations.episode_starts, demonstrations.pictures
        model = self.model
        what = model.device, model.gamma, self._params.n_steps
        return label(columns, starts, model.base_model, model.spec, *what, pictures)

    def _offer_demonstrations(self) -> None:
        """Have batches hold the demonstrations that there are: recorded ones, and steps that a person drove here."""
        parts = [buffer for buffer in (self._recorded, self._by_hand) if buffer is not None and buffer.size()]
        if self._params.demonstration_share and parts:
            self.model.set_demonstrations(InTurn(parts))

    @property
    def n_updates(self) -> int:
        """Updates made."""
        return self.model._n_updates

    @property
    def is_prefilling(self) -> bool:
        """Whether nothing is learnt yet."""
        return self.n_steps < self._params.exploration.prefill_steps

    @property
    def n_owed(self) -> int:
        """Updates that the steps so far ask for, and that were not made yet."""
        if self.is_prefilling:
            return 0
        wanted = (self.n_steps - self._params.exploration.prefill_steps) * self._params.updates_per_step
        return max(0, self._params.warmup_updates + round(wanted) - self.n_updates)

    def add(self, episode: Episode) -> None:
        """Remember an episode; a person's steps in it count as demonstrated as well."""
        buffer, n = self.model.replay_buffer, len(episode)
        assert isinstance(buffer, EpisodeReplayBuffer)
        for t in range(n):
            _remember(buffer, episode, t, ends=t == n - 1)
        for t in np.flatnonzero(episode.human).tolist():
            _remember(self._by_hand, episode, t, ends=t == n - 1 or not episode.human[t + 1])
        self.n_steps, self.n_human = self.n_steps + n, self.n_human + int(episode.human.sum())
        self._offer_demonstrations()

    def update(self) -> None:
        """Make one update; the first one of a fresh residual takes the statistics of what was observed until then."""
        model, buffer = self.model, self.model.replay_buffer
        assert buffer is not None
        if self._fresh and not self.n_updates:
            seen = buffer.observations[: buffer.size(), 0]
            model.policy.set_statistics(seen.mean(axis=0, dtype=np.float64), seen.std(axis=0, dtype=np.float64))
        for _ in model.train(model.sample(1), model._n_updates):
            pass

    def actor_bytes(self) -> bytes:
        """Return the weights of the actor, as a file of safetensors."""
        return to_bytes({name: value.contiguous() for name, value in self.model.policy.actor.mu.state_dict().items()})

    def save(self, path: Path) -> None:
        """Write networks, optimisers and the number of updates, whole or not at all.

        Raises:
            OnlineError: The file cannot be written.
        """
        policy = self.model.policy
        content = io.BytesIO()
        optimisers = {"actor": policy.actor.optimizer.state_dict(), "critic": policy.critic.optimizer.state_dict()}
        torch.save(
            {
                "policy": policy.state_dict(),
                "optimisers": optimisers,
                "updates": [self.n_updates, self.model._n_actor_updates],
            },
            content,
        )
        try:
            with replacing(path) as file:
                file.write(content.getvalue())
        except OSError as error:
            raise OnlineError(f"{path} cannot be written ({error.strerror}); make room, then start again") from None

    def load(self, path: Path) -> None:
        """Go on from what `save` wrote.

        Raises:
            OnlineError: The file cannot be read, or holds other networks.
        """
        policy = self.model.policy
        try:
            state = torch.load(path, map_location=self.model.device, weights_only=True)
            policy.load_state_dict(state["policy"])
            policy.actor.optimizer.load_state_dict(state["optimisers"]["actor"])
            policy.critic.optimizer.load_state_dict(state["optimisers"]["critic"])
            self.model._n_updates, self.model._n_actor_updates = map(int, state["updates"])
        except Exception as error:  # torch's readers raise errors of many kinds, whatever is wrong with a file
            raise OnlineError(
                f"{path} cannot be gone on from ({error!s:.200}). Remove it: the steps beside it are learnt from again"
            ) from error


def _filled(samples: ReplayBufferSamples) -> list[Tensor]:
    return [part for part in samples if part is not None]


def _remember(buffer: NStepReplayBuffer, episode: Episode, t: int, *, ends: bool) -> None:
    """Add a step; `ends` where nothing follows it, as if at a time limit unless the task was done there."""
    done = episode.success and t == len(episode) - 1
    buffer.add(
        episode.observations[t][None],
        episode.observations[t + 1][None],
        episode.residuals[t][None],
        np.array([float(done)], np.float32),
        np.array([ends or done]),
        [{"TimeLimit.truncated": ends and not done}],
    )
