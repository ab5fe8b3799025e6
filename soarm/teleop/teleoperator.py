"""The protocol of what drives the arm by hand, seen from the session that records it."""

from __future__ import annotations

from typing import Protocol

from soarm.policy import Array, Observation, Policy


class Teleoperator(Protocol):
    """A leader arm, a keyboard, a gamepad; anything that knows where the arm should be next."""

    def connect(self) -> None:
        """Open the device.

        Raises:
            TeleopError: It is not there.
        """

    def start(self, observation: Observation) -> None:
        """Begin an episode with the arm as it is: the first action must be where the arm stands, or near it."""

    def action(self, observation: Observation) -> Array:
        """Return the joint targets for the next control step, shape (6,) [deg x 5, percent].

        Raises:
            TeleopError: The device went away.
        """

    def close(self) -> None:
        """Close the device; may be called twice."""


class PolicyTeleoperator:
    """A policy in the place of a hand: a whole session without one.

    Args:
        policy: What acts; `soarm.sim.pick_place.expert.Expert` in the simulator.
        first_seed: Seed of the first episode; each one after it takes the next.
    """

    def __init__(self, policy: Policy, first_seed: int) -> None:
        self._policy, self._seed = policy, first_seed

    def connect(self) -> None:
        """Nothing to open."""

    def start(self, observation: Observation) -> None:
        """Reset the policy to the next seed."""
        self._policy.reset(self._seed)
        self._seed += 1

    def action(self, observation: Observation) -> Array:
        """Return what the policy does."""
        return self._policy.act(observation)

    def close(self) -> None:
        """Nothing to close."""
