from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType
from typing import Any, cast

import pytest
import torch
from torch import Tensor

from soarm import arm
from soarm.residual.batches import PreparedBatch
from soarm.residual.objective import Ramp, actor_loss, critic_loss, q_filter, td_target
from soarm.residual.policies import ResidualTD3Policy
from soarm.tasks.pick_place import TASK

LAYOUT = TASK.residual_observation


class Fake:
    """Networks with known answers: the actor says `residual`, two critics say what `value` makes of a residual."""

    def __init__(self, residual: float, value: Any) -> None:
        self.parameter = torch.tensor(residual, requires_grad=True)
        self.value = value

    def actor(self, observations: Tensor) -> Tensor:
        return self.parameter.expand(len(observations), 6)

    actor_target = actor

    def critic(self, observations: Tensor, residual: Tensor, heads: Sequence[int] | None = None) -> tuple[Tensor, ...]:
        value = self.value(residual.mean(dim=1, keepdim=True))
        return tuple((value + 0.1, value - 0.1, value - 0.4)[head] for head in (heads or (0, 1)))

    critic_target = critic


def fake(residual: float, value: Any) -> tuple[ResidualTD3Policy, Fake]:
    networks = Fake(residual, value)
    return cast("ResidualTD3Policy", networks), networks


def transitions(n: int = 4, corrections: Tensor | None = None, **columns: float) -> PreparedBatch:
    """Return `n` transitions of the policy and one per demonstrated correction, all of them with the same numbers."""
    n += 0 if corrections is None else len(corrections)
    seen: Any = torch.zeros(n, LAYOUT.dim)
    numbers = {"rewards": 0.0, "dones": 0.0, "discounts": 0.5, **columns}
    return PreparedBatch(
        seen,
        seen,
        seen,
        seen,
        seen,
        **{name: torch.full((n, 1), one) for name, one in numbers.items()},
        corrections=corrections,
    )


def ask(policy: ResidualTD3Policy, rewards: float = 0.0, dones: float = 0.0, heads: Sequence[int] | None = None) -> float:
    batch = transitions(rewards=rewards, dones=dones)
    found = td_target(policy, batch, heads=heads, noise=(0.0, 0.0), value_range=(0.0, 1.0))
    assert found.shape == (4, 1)
    return float(found[0, 0])


def target(value: Any, **kwargs: float) -> float:
    policy, _ = fake(0.5, value)
    return ask(policy, **kwargs)


def test_target_is_reward_plus_discounted_least_value_of_the_target_actor() -> None:
    # residual 0.5, heads 0.6 and 0.4, discount of the n steps 0.5
    assert target(lambda residual: residual, rewards=0.25) == pytest.approx(0.25 + 0.5 * 0.4)


def test_target_asks_only_the_heads_it_is_told_to() -> None:
    policy, _ = fake(0.5, lambda residual: residual)
    found = [ask(policy, heads=heads) for heads in ((0, 1), (0, 2), (0,))]

    assert found == pytest.approx([0.5 * 0.4, 0.5 * 0.1, 0.5 * 0.6])


def test_nothing_follows_a_success() -> None:
    assert target(lambda residual: residual, rewards=0.9, dones=1.0) == pytest.approx(0.9)


def test_target_is_a_return_that_can_be() -> None:
    assert target(lambda residual: residual + 9.0) == 1.0
    assert target(lambda residual: residual - 9.0) == 0.0


def test_actor_follows_the_value_and_is_held_by_the_penalty() -> None:
    gradients = {}
    for penalty in (0.0, 1.0, 10.0):
        policy, networks = fake(0.5, lambda residual: residual)
        actor_loss(policy, transitions(), heads=(0,), penalty=penalty, imitation=0.0, q_floor=0.1).backward()
        gradients[penalty] = float(cast("Tensor", networks.parameter.grad))

    # d/dr (-(r + 0.1) / 0.6 + beta r^2), the first head being 0.1 above the residual
    assert gradients == pytest.approx({0.0: -1 / 0.6, 1.0: 1.0 - 1 / 0.6, 10.0: 10.0 - 1 / 0.6})


@pytest.mark.parametrize(("heads", "value"), [((0,), 0.6), ((1,), 0.4), ((0, 2), 0.35)])
def test_actor_climbs_the_mean_of_the_heads_it_is_told_to(heads: tuple[int, ...], value: float) -> None:
    policy, networks = fake(0.5, lambda residual: residual)
    actor_loss(policy, transitions(), heads=heads, penalty=0.0, imitation=0.0, q_floor=0.1).backward()

    assert float(cast("Tensor", networks.parameter.grad)) == pytest.approx(-1 / value)


def test_small_values_are_not_blown_up() -> None:
    policy, networks = fake(0.5, lambda residual: 1e-4 * residual)
    actor_loss(policy, transitions(), heads=(0,), penalty=0.0, imitation=0.0, q_floor=0.2).backward()

    assert float(cast("Tensor", networks.parameter.grad)) == pytest.approx(-1e-4 / 0.2)  # 0.1 is what the head adds


def test_targets_are_smoothed_by_clipped_noise_on_the_target_actor() -> None:
    torch.manual_seed(0)
    policy, _ = fake(0.5, lambda residual: residual)

    def spread(std: float, clip: float) -> Tensor:
        batch = transitions(400, discounts=1.0)
        return td_target(policy, batch, heads=None, noise=(std, clip), value_range=(0.0, 1.0)) - 0.4  # the lesser head

    assert float(spread(0.1, 9.0).std()) == pytest.approx(0.1 / 6**0.5, rel=0.15)  # the mean of six joints
    assert float(spread(9.0, 0.05).abs().max()) <= 0.05 + 1e-6
    assert float(spread(9.0, 0.05).std()) == pytest.approx(0.05 / 6**0.5, rel=0.15)


@pytest.mark.parametrize(
    ("correction", "slope", "pulls"),
    [(0.8, 1.0, True), (0.8, -1.0, False), (1.2, 1.0, True), (1.6, 1.0, False)],
    ids=["worth it", "the critics like the base better", "just out of the bound: clipped", "out of reach"],
)
def test_demonstrations_pull_only_where_they_help_and_can_be_reached(correction: float, slope: float, pulls: bool) -> None:
    policy, networks = fake(0.0, lambda residual: slope * residual)
    batch = transitions(corrections=torch.full((4, 6), correction))
    batch.imitation_mask = q_filter(policy, batch)
    losses = [actor_loss(policy, batch, heads=(0,), penalty=0.0, imitation=imitation, q_floor=0.1) for imitation in (0.0, 1.0)]

    assert float((losses[1] - losses[0]).detach()) == pytest.approx(min(correction, 1.0) ** 2 if pulls else 0.0)
    assert networks.parameter.grad is None


@pytest.mark.parametrize("imitation", [0.0, 1.0])
def test_the_value_of_demonstrated_steps_is_raised_only_where_it_is_asked_for(imitation: float) -> None:
    rows = {}
    for q_term_on in ("own", "all"):
        policy, networks = fake(0.5, lambda residual: residual)
        asked: list[int] = []
        critic = networks.critic
        networks.critic = lambda seen, *args, critic=critic, asked=asked: (asked.append(len(seen)), critic(seen, *args))[1]  # type: ignore[method-assign]
        batch = transitions(corrections=torch.zeros(3, 6))
        actor_loss(policy, batch, heads=(0,), penalty=0.0, imitation=imitation, q_floor=0.1, q_term_on=q_term_on)  # type: ignore[arg-type]
        rows[q_term_on] = asked

    assert rows == {"own": [4], "all": [7]}


def test_errors_of_heads_are_squared_each_or_as_their_mean() -> None:
    target, values = torch.zeros(2, 1), (torch.tensor([[3.0], [0.0]]), torch.tensor([[-1.0], [0.0]]))

    assert float(critic_loss(values, target)) == (9 + 1) / 2
    assert float(critic_loss(values, target, "mean")) == 2 * 2.0**2 / 2
    assert float(critic_loss(values[:1], target, "mean")) == float(critic_loss(values[:1], target)) == 9 / 2


def test_ramp_falls_and_then_stays() -> None:
    ramp = Ramp(1.0, 0.2, 0.4)

    assert [ramp.at(progress) for progress in (-1.0, 0.0, 0.2, 0.4, 1.0)] == pytest.approx([1.0, 1.0, 0.6, 0.2, 0.2])


def test_critics_judge_what_is_executed(task: ModuleType) -> None:
    policy = task.make_model().policy
    seen = torch.zeros(1, LAYOUT.dim)
    seen[:, LAYOUT.base_action] = torch.tensor([1e3, 0.0, 0.0, 0.0, 0.0, 50.0])  # the first joint is beyond its limit
    along, against = torch.zeros(1, 6), torch.zeros(1, 6)
    along[0, 0], against[0, 0] = 1.0, -1.0
    inside = torch.zeros(1, 6)
    inside[0, 5] = 1.0
    with torch.no_grad():
        values = [policy.critic(seen, residual)[0].item() for residual in (along, against, inside)]

    assert values[0] == values[1]
    assert values[0] != values[2]


def test_critics_see_the_executed_correction_in_units_of_the_bound(task: ModuleType) -> None:
    critic = task.make_model().policy.critic
    seen = torch.zeros(2, LAYOUT.dim)
    seen[1, LAYOUT.base_action][0] = 1e3
    upper = float(arm.UPPER[0])
    residual = torch.tensor([[0.5, -0.4, 0.3, -0.2, 0.1, 0.6]]).repeat(2, 1)
    corrections = critic.inputs(seen, residual)[:, -6:]

    torch.testing.assert_close(corrections[0], residual[0])
    assert float(corrections[1, 0]) == pytest.approx((upper - 1e3) / task.SCALE[0])  # what is left of it behind the limit
    torch.testing.assert_close(corrections[1, 1:], residual[1, 1:])
