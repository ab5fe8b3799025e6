"""Who takes over from the policy: a leader arm, keyboard or gamepad, from one step to the next, and back."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Protocol

from soarm.policy import Array, Observation
from soarm.teleop.keyboard import KEYS, HeldKeys
from soarm.teleop.teleoperator import Teleoperator

logger = logging.getLogger(__name__)
TAKE_OVER = " "
"""The key that takes over, and hands back."""


class Intervention(Protocol):
    """Whoever may drive in the policy's place."""

    def start(self, seed: int) -> None:
        """Begin an episode; the policy drives."""

    def targets(self, observation: Observation) -> Array | None:
        """Return joint targets for this control step, shape (6,) [deg x 5, percent]; None where the policy drives."""


class Nobody:
    """Nobody takes over."""

    def start(self, seed: int) -> None:
        """See `Intervention`."""

    def targets(self, observation: Observation) -> Array | None:
        """See `Intervention`."""
        return None


class ByHand:
    """A teleoperator that drives while somebody says so.

    It begins where the arm stands (`Teleoperator.start`), so nothing jumps; a leader arm is led to slowly.

    Args:
        teleoperator: Connected.
        wanted: Whether a hand is to drive, in this step.
        handed_back: Called when an episode begins, which the policy drives.
    """

    def __init__(
        self, teleoperator: Teleoperator, wanted: Callable[[], bool], handed_back: Callable[[], None] = lambda: None
    ) -> None:
        self._teleoperator, self._wanted, self._handed_back = teleoperator, wanted, handed_back
        self._drives = False

    def start(self, seed: int) -> None:
        """See `Intervention`."""
        self._drives = False
        self._handed_back()

    def targets(self, observation: Observation) -> Array | None:
        """See `Intervention`."""
        before, self._drives = self._drives, self._wanted()
        if not self._drives:
            return None
        if not before:
            logger.info("a hand drives; space hands back")
            self._teleoperator.start(observation)
        return self._teleoperator.action(observation)


class TypedKeys:
    """Keys of one terminal, for whoever judges and for whoever takes over.

    Args:
        read: Returns what was typed since the last call.
        held: Gets the keys that move the arm; None where the keyboard does not lead.

    Attributes:
        by_hand: Whether a hand is to drive: the space bar changes it, and a key that moves the arm begins it.
    """

    def __init__(self, read: Callable[[], str], held: HeldKeys | None = None) -> None:
        self._read, self._held = read, held
        self.by_hand = False

    def __call__(self) -> str:
        """Return what was typed since the last call."""
        typed = self._read()
        if typed.count(TAKE_OVER) % 2:
            self.by_hand = not self.by_hand
        if self._held is not None:
            self._held.hear(typed)
            self.by_hand = self.by_hand or any(key in KEYS for key in typed)
        return typed
