"""What tests of lost frames share."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from soarm.hardware.driver import Arm


@pytest.fixture
def settle() -> Callable[[Arm], None]:
    """Return how to wait until what nobody acknowledges has arrived."""

    def settle(arm: Arm) -> None:
        arm.bus.ping(1)

    return settle


@pytest.fixture
def deafen() -> Callable[..., list[bytes]]:
    """Return how to make a servo miss so many writes to a register; it returns a list that grows with each."""

    def deafen(servo: Any, address: int, times: int) -> list[bytes]:
        write, missed = servo.write, []

        def hear(at: int, data: bytes) -> None:
            if at == address and len(missed) < times:
                missed.append(data)
            else:
                write(at, data)

        servo.write = hear
        return missed

    return deafen
