"""What a learner does with a batch: prepare it with the networks that stand still, then move those that learn.

`prepare` asks the target networks and everything else that no update changes; it may run in another thread, beside the updates
(`soarm.residual.overlap`). Knows the losses (`soarm.residual.objective`) and how they are descended. Where batches come from,
and when which network is updated, is the algorithm's (`soarm.residual.td3bc`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from typing import Any

import torch
from stable_baselines3.common.type_aliases import ReplayBufferSamples
from torch import Tensor, nn

from soarm.residual import objective
from soarm.residual.learner import LearnerParams
from soarm.residual.policies import ResidualTD3Policy
from soarm.residual.sight import Seen

ACTOR_IN_HEADS = 3
"""Heads of the critics that can be updated in the time of one update of the actor."""


@dataclasses.dataclass(frozen=True)
class Lesson:
    """A batch with all that no update changes; B rows, of which the last M are demonstrated.

    Attributes:
        judged: What the critics judge: observations and what was executed, as `ResidualCritic.inputs` returns them.
        target: What they should say, shape (B, 1).
        for_actor: Observations the actor learns from, as it sees them, demonstrated ones last.
        for_critics: The same, as the critics see them.
        corrections: Demonstrated corrections of their last rows, not clipped, shape (M, 6); None without demonstrations.
        worth: Which of them are worth imitating, shape (M, 1); None without, and where the actor does not learn from this.
    """

    judged: Tensor
    target: Tensor
    for_actor: Seen
    for_critics: Seen
    corrections: Tensor | None
    worth: Tensor | None

    @property
    def own(self) -> tuple[Seen, Seen]:
        """Rows of `for_actor` and `for_critics` that the policy met itself."""
        n = len(self.for_actor) - (0 if self.corrections is None else len(self.corrections))
        return self.for_actor[:n], self.for_critics[:n]


class Updates:
    """The update rule of `ResidualTD3BC`; holds no state of its own.

    Args:
        policy: The networks with their optimisers.
        learner: How they learn.
        helper: One thread, idle, that takes some of the critics' heads; None does without, to the same bits.
    """

    def __init__(self, policy: ResidualTD3Policy, learner: LearnerParams, helper: Executor | None = None) -> None:
        self._policy, self._learner, self._helper = policy, learner, helper

    @torch.no_grad()
    def prepare(
        self,
        n: int,
        online: ReplayBufferSamples,
        demonstrated: ReplayBufferSamples | None,
        first: int = 0,
    ) -> list[Lesson]:
        """Return `n` lessons of equal size, made of n-step transitions.

        What every row needs by itself is computed for all lessons at once; networks are asked lesson by lesson, since larger
        products do not fit the cache. Draws the target policy's noise, and the pair of heads where there are more, from
        torch's global stream.

        Args:
            n: How many.
            online: What the policy did itself.
            demonstrated: What a demonstrator did; None without demonstrations.
            first: Updates that will have been made before the first of these: the actor learns from every
                `policy_delay`-th only.
        """
        if n == 0:
            return []
        actor, critic, alike = self._policy.actor, self._policy.critic, self._policy.sees_alike
        batch = _interleave(n, online, demonstrated)
        for_critics = critic.see(batch.observations)
        judged = critic.inputs(for_critics, batch.actions, clip=self._learner.judged == "executed")
        for_actor = for_critics if alike else actor.see(batch.observations)
        next_for_critics = self._policy.critic_target.see(batch.next_observations)
        next_for_actor = next_for_critics if alike else self._policy.actor_target.see(batch.next_observations)
        n_rows = len(judged) // n
        lessons = []
        for i in range(n):
            rows = slice(i * n_rows, (i + 1) * n_rows)
            corrections = None if demonstrated is None else demonstrated.actions.chunk(n)[i]
            worth = None
            if corrections is not None and self.teaches_actor(first + i + 1):
                worth = objective.worth_imitating(self._policy, for_critics[rows][-len(corrections) :], corrections)
            lessons.append(
                Lesson(
                    judged[rows],
                    self._target(batch, next_for_actor, next_for_critics, rows),
                    for_actor[rows],
                    for_critics[rows],
                    corrections,
                    worth,
                )
            )
        return lessons

    def teaches_actor(self, number: int) -> bool:
        """Return whether the actor learns from an update, counted from 1."""
        return number % self._learner.policy_delay == 0

    def critics(self, lesson: Lesson, meanwhile: Callable[[], None] | None = None) -> Tensor:
        """Bring the critics closer to the target of temporal differences.

        Args:
            lesson: The batch.
            meanwhile: Called once, before any critic has moved. It may ask critics, and may move anything else.

        Returns:
            The loss, shape ().
        """
        return self._towards(lesson.target, lesson.judged, meanwhile)

    def actor(self, lesson: Lesson, *, number: int, penalty: float, imitation: float) -> None:
        """Climb the critics under the pulls to base and demonstrations; see `soarm.residual.objective.actor_loss`.

        Args:
            lesson: The batch.
            number: Updates of the actor before this one.
            penalty: beta.
            imitation: beta_d.
        """
        loss = objective.actor_loss(
            self._policy,
            lesson.for_actor,
            lesson.for_critics,
            lesson.corrections,
            penalty=penalty,
            imitation=imitation,
            q_floor=self._learner.q_floor,
            heads=self._climbed(number),
            q_term_on=self._learner.q_term_on,
            worth=lesson.worth,
        )
        parameters = _cleared(self._policy.actor)
        loss.backward(inputs=parameters)  # type: ignore[no-untyped-call]  # it asks nothing of the critics
        self._step(self._policy.actor)

    @torch.no_grad()
    def follow(self, network: nn.Module, target: nn.Module, n_updates: int) -> None:
        """Bring a target network after a network that was updated so many times."""
        weight = 1.0 - (1.0 - self._learner.tau) ** n_updates
        torch._foreach_lerp_(list(target.parameters()), list(network.parameters()), weight)

    def _target(self, batch: ReplayBufferSamples, for_actor: Seen, for_critics: Seen, rows: slice) -> Tensor:
        assert batch.discounts is not None
        return objective.td_target(
            self._policy,
            for_actor[rows],
            for_critics[rows],
            rewards=batch.rewards[rows],
            dones=batch.dones[rows],
            discounts=batch.discounts[rows],
            noise_std=self._learner.target_policy_noise,
            noise_clip=self._learner.target_noise_clip,
            value_range=(self._learner.value_min, self._learner.value_max),
            heads=self._pair(),
        )

    def _towards(self, target: Tensor, judged: Tensor, meanwhile: Callable[[], None] | None = None) -> Tensor:
        critic, error = self._policy.critic, self._learner.critic_error

        def teach(heads: Sequence[int]) -> tuple[Tensor, ...]:
            values = critic.judge(judged, heads)
            # BLAS rounds the gradient of a lone, contiguous column in another way than that of a column among others; next to
            # one without error it is such a column, and it matters to no bit how the heads are shared out.
            columns = values if len(values) > 1 else (values[0], target)
            loss = objective.critic_loss(columns, target, error)
            loss.backward(inputs=critic.parameters_of(heads))  # type: ignore[no-untyped-call]
            return tuple(value.detach() for value in values)

        _cleared(critic)
        n = self._helped(critic.n_critics, meanwhile is not None)
        first = None if self._helper is None or n == 0 else self._helper.submit(teach, range(n))
        if meanwhile is not None:
            meanwhile()
        last = teach(range(n, critic.n_critics)) if n < critic.n_critics else ()
        values = last if first is None else first.result() + last
        self._step(critic)
        return objective.critic_loss(values, target, error)

    def _helped(self, n_critics: int, busy: bool) -> int:
        """Return how many heads the helper takes, so that it is ready about when this thread is, which may be busy first."""
        if self._helper is None or self._learner.critic_error == "mean":  # whose gradients depend on each other
            return 0
        return min((n_critics + ACTOR_IN_HEADS) // 2, n_critics) if busy else n_critics // 2

    def _climbed(self, number: int) -> tuple[int, ...]:
        """Return the heads the actor climbs in its update of that number."""
        n_critics, climbs = self._policy.critic.n_critics, self._learner.actor_climbs
        return {"in_turn": (number % n_critics,), "first": (0,), "mean": tuple(range(n_critics))}[climbs]

    def _pair(self) -> tuple[int, ...] | None:
        """Return the two heads whose least is the target, drawn anew; None where there are but two."""
        n_critics = self._policy.critic.n_critics
        return None if n_critics == 2 else tuple(torch.randperm(n_critics)[:2].tolist())

    def _step(self, network: Any) -> None:
        gradients = [parameter.grad for parameter in _parameters(network) if parameter.grad is not None]
        _clip(gradients, self._learner.max_grad_norm)
        network.optimizer.step()


# What torch does around clearing and clipping (walking modules, profiler hooks, sorting by device) takes as long as a matrix
# product of these networks, twelve times per step of the environments.
def _parameters(network: Any) -> list[Tensor]:
    parameters: list[Tensor] = network.optimizer.param_groups[0]["params"]
    return parameters


def _cleared(network: Any) -> list[Tensor]:
    """Return the parameters of a network, without gradients."""
    parameters = _parameters(network)
    for parameter in parameters:
        parameter.grad = None
    return parameters


def _clip(gradients: list[Tensor], max_norm: float) -> None:
    """Scale gradients down to a norm: `torch.nn.utils.clip_grad_norm_` for tensors on one device, to the bit."""
    norm = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))
    torch._foreach_mul_(gradients, (max_norm / (norm + 1e-6)).clamp(max=1.0))


def _interleave(n: int, first: ReplayBufferSamples, second: ReplayBufferSamples | None) -> ReplayBufferSamples:
    """Return `n` batches in one, each a part of the first samples and then one of the second."""
    if second is None:
        return first
    pairs = zip(first, second, strict=True)
    return ReplayBufferSamples(*(_rows(n, a, b) for a, b in pairs if a is not None and b is not None))


def _rows(n: int, *parts: Tensor) -> Tensor:
    """Return the rows of all parts, by batch and then by part."""
    return torch.cat([part.reshape(n, -1, part.shape[1]) for part in parts], dim=1).flatten(0, 1)
