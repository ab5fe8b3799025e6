"""A twin and a driver on it, in lockstep: nothing here depends on how fast the machine is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from soarm import params as params_file
from soarm.hardware.config import ArmConfig
from soarm.hardware.driver import Arm
from soarm.sim.params import SimParams
from soarm.twin.twin import Twin, TwinConfig

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def sim() -> SimParams:
    return params_file.load(ROOT / "params.yaml").section("sim", SimParams)


@pytest.fixture(autouse=True)
def backups_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))


@pytest.fixture
def make_twin(sim: SimParams) -> Iterator[Callable[..., Twin]]:
    with ExitStack() as stack:
        yield lambda **options: stack.enter_context(Twin.start(sim, TwinConfig(**options)))


@pytest.fixture
def twin(make_twin: Callable[..., Twin]) -> Twin:
    return make_twin()


@pytest.fixture
def connect() -> Iterator[Callable[..., Arm]]:
    """Return a function that connects to a twin; a servo that is asked in vain costs 60 ms."""
    with ExitStack() as stack:

        def to(twin: Twin, **settings: Any) -> Arm:
            config = ArmConfig(**{"timeout_s": 0.06, **settings})
            return stack.enter_context(Arm.connect(twin.ports[0], twin.config.calibration, config, sleep=lambda _: None))

        yield to


@pytest.fixture
def active(twin: Twin, connect: Callable[..., Arm]) -> Arm:
    arm = connect(twin)
    arm.hold()
    arm.activate()
    return arm
