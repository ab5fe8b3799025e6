"""Gradient steps of the residual's learner: critics' heads over two threads, clipped steps, and Polyak averages.

Knows networks with an optimiser and batches. The algorithm (`soarm.residual.td3bc`) chooses losses and their order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from typing import Any

import torch
from torch import Tensor, nn

from soarm.residual.batches import PreparedBatch
from soarm.residual.policies import ResidualCritic

ACTOR_IN_HEADS = 3
"""Heads of the critics whose gradients take as long as one update of the actor."""
Loss = Callable[[tuple[Tensor, ...], Tensor], Tensor]
"""Loss of some heads, from their values and the target, each (B, 1)."""


def fit_critics(
    critic: ResidualCritic,
    batches: Sequence[PreparedBatch],
    loss: Loss,
    rate: float,
    max_norm: float,
    helper: Callable[[], Executor | None] | None,
    actor_is_due: Sequence[bool],
) -> Iterator[Tensor]:
    """Make one gradient step of all heads per batch, and yield its loss, shape ().

    The second thread begins the gradients of the next batch before a loss is yielded, so the caller may move the actor between
    two losses, but not the critics.

    Args:
        critic: The critics.
        batches: With their targets.
        loss: What to descend.
        rate: Learning rate.
        max_norm: Gradients are clipped to this norm.
        helper: Returns a thread that computes some of the heads, to the same bits; None while it is busy, or for none at all.
        actor_is_due: Whether the actor is updated after the loss of each batch.
    """

    def begin(batch: PreparedBatch, *, busy: bool) -> _Gradients:
        return _Gradients(critic, batch, loss, None if helper is None else helper(), busy=busy)

    gradients: _Gradients | None = None
    for batch, following, due in zip(batches, (*batches[1:], None), actor_is_due, strict=False):
        values, target = (gradients or begin(batch, busy=False)).finish()
        descend(critic, rate, max_norm)
        gradients = None if following is None else begin(following, busy=due)
        yield loss(values, target)


class _Gradients:
    """The critics' gradients of one batch, begun in the second thread and finished in this one.

    Heads meet in the norm of all gradients only, so which thread computes a head changes no bit.
    """

    def __init__(
        self, critic: ResidualCritic, batch: PreparedBatch, loss: Loss, helper: Executor | None, *, busy: bool
    ) -> None:
        assert batch.target is not None
        self._critic, self._inputs, self._target, self._loss = critic, batch.critic_inputs, batch.target, loss
        n = critic.n_critics
        self._n_helped = 0 if helper is None else min((n + ACTOR_IN_HEADS) // 2, n) if busy else n // 2
        _cleared(critic)
        self._begun = None if helper is None else helper.submit(self._backward, range(self._n_helped))

    def finish(self) -> tuple[tuple[Tensor, ...], Tensor]:
        """Compute the remaining gradients, wait for the others, and return the heads' values and the target."""
        values = self._backward(range(self._n_helped, self._critic.n_critics))
        return values if self._begun is None else self._begun.result() + values, self._target

    def _backward(self, heads: Sequence[int]) -> tuple[Tensor, ...]:
        if not heads:
            return ()
        values = self._critic.q_values(self._inputs, heads)
        # BLAS rounds the gradient of a lone, contiguous column in another way than that of a column among others; next to
        # one without error it is such a column, and it matters to no bit how the heads are shared out.
        columns = values if len(values) > 1 else (values[0], self._target)
        loss = self._loss(columns, self._target)
        loss.backward(inputs=self._critic.parameters_of(heads))  # type: ignore[no-untyped-call]
        return tuple(value.detach() for value in values)


def descend(network: Any, rate: float, max_norm: float, loss: Tensor | None = None) -> None:
    """Make one step of a network's optimiser, gradients clipped to a norm.

    Args:
        network: With an `optimizer`.
        rate: Learning rate.
        max_norm: Greatest norm of all gradients together.
        loss: Whose gradients to take; None takes those that are there.
    """
    if loss is not None:
        loss.backward(inputs=_cleared(network))  # type: ignore[no-untyped-call]  # it asks nothing of other networks
    _clip([parameter.grad for parameter in _parameters(network) if parameter.grad is not None], max_norm)
    network.optimizer.param_groups[0]["lr"] = rate
    network.optimizer.step()


@torch.no_grad()
def polyak_update(network: nn.Module, target: nn.Module, tau: float, n_updates: int) -> None:
    """Move a target network as `n_updates` steps of theta' <- (1 - tau) theta' + tau theta would, theta being the last one."""
    weight = 1.0 - (1.0 - tau) ** n_updates
    torch._foreach_lerp_(list(target.parameters()), list(network.parameters()), weight)


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
