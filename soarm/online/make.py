"""Arms to learn on, opened: a real one (or a twin of another process) behind a port, or a twin of this process in lockstep."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Literal

from soarm.envs.interface import Interface
from soarm.errors import ParamsError
from soarm.hardware.calibration import Calibration
from soarm.hardware.config import DEFAULT, ArmConfig
from soarm.hardware.driver import Arm
from soarm.online.arm_env import ArmEnv, Cell
from soarm.online.intervention import Intervention, Nobody
from soarm.online.operator import Person, TwinOperator
from soarm.runtime import clearance
from soarm.runtime.held_arm import held_arm
from soarm.runtime.limits import Limits
from soarm.runtime.lockstep import Clock
from soarm.signals import StopRequests
from soarm.sim.params import SimParams
from soarm.teleop.keyboard import Terminal
from soarm.twin.twin import Twin
from soarm.twin.twin_config import AS_SIMULATED, TwinConfig, driver_config

TWIN = "twin"
"""The port of a twin in lockstep that the environment starts itself."""
Reward = Literal["confirmed", "key", "sensed"]


@dataclasses.dataclass(frozen=True)
class ArmOptions:
    """Where the arm is, and who says what of it.

    Attributes:
        port: Serial port of an arm, or of `soarm twin`; `twin` starts a twin in lockstep, which needs nothing else.
        calibration: Of the arm.
        objects: File of objects that somebody keeps fresh; None takes the things to lie where they were asked for, and follows
            the one in the gripper.
        settings: JSON with gains, part, park; None for the usual ones.
        limits: JSON with limits of the safety chain; None for the usual ones.
        reward: Who says that the task is done: the sensors and a key after them (`confirmed`), a `key` alone, or the sensors
            alone (`sensed`).
        bus_hz: Commands per second, a multiple of the control rate; None for one per control step [Hz].
        deadman: Whether a process of its own looks after the arm.
    """

    port: str
    calibration: Path | None = None
    objects: Path | None = None
    settings: Path | None = None
    limits: Path | None = None
    reward: Reward = "confirmed"
    bus_hz: int | None = None
    deadman: bool = True

    def __post_init__(self) -> None:
        if self.reward not in ("confirmed", "key", "sensed"):
            raise ParamsError(f"reward is {self.reward!r}; allowed are 'confirmed', 'key' and 'sensed'")
        if self.port != TWIN and self.calibration is None:
            raise ParamsError("an arm on a port needs calibration=, the file that `soarm calibrate` wrote")


def make(
    port: str,
    *,
    calibration: str | Path | None = None,
    objects: str | Path | None = None,
    settings: str | Path | None = None,
    limits: str | Path | None = None,
    reward: Reward = "confirmed",
    bus_hz: int | None = None,
    deadman: bool = True,
    keys: Callable[[], str] | None = None,
    **options: Any,
) -> ArmEnv:
    """Open an arm as an environment; `gymnasium.make("SoArm/Arm-v0", port=...)` calls it.

    Args:
        port: See `ArmOptions`, as the other arguments up to `deadman`.
        calibration: Of the arm.
        objects: File of objects.
        settings: Of the arm.
        limits: Of the safety chain.
        reward: Who says that the task is done.
        bus_hz: Commands per second [Hz].
        deadman: Whether a process of its own looks after the arm.
        keys: Returns what was typed since the last call; None reads the terminal.
        **options: Of `soarm.envs.interface.Interface`: task, params, time_limit_s, normalize_actions.

    Raises:
        ParamsError: An option is not legal.
        HardwareError: The arm must not or cannot be driven.
        TeleopError: There is no terminal to read keys from.
    """
    chosen = ArmOptions(
        port, _path(calibration), _path(objects), _path(settings), _path(limits), reward, bus_hz=bus_hz, deadman=deadman
    )
    interface = Interface(**options)
    with ExitStack() as stack:
        if chosen.port == TWIN:
            cell = stack.enter_context(twin_cell(interface.params))
        else:
            read = keys or stack.enter_context(Terminal()).read
            cell = stack.enter_context(arm_cell(chosen, interface.params, read))
        return ArmEnv(interface, cell, stack.pop_all())
    raise AssertionError("an ExitStack without an error swallows none")


def _path(given: str | Path | None) -> Path | None:
    return None if given is None else Path(given)


def _never() -> bool:
    return False


@contextmanager
def twin_cell(
    sim: SimParams,
    config: TwinConfig | None = None,
    intervention: Intervention | None = None,
    keys: Callable[[], str] = lambda: "",
    signals: StopRequests | None = None,
) -> Iterator[Cell]:
    """Start a twin, connect to it, and let it stand in for the person too.

    Args:
        sim: The simulator; its own episodes end when the twin's do.
        config: How the arm is emulated; None for the servos of the simulator, in lockstep.
        intervention: Who may take over.
        keys: Returns what was typed since the last call; the twin judges by itself, but whoever takes over types.
        signals: Those noted so far.
    """
    twin_config = config or TwinConfig(registers=AS_SIMULATED)
    lockstep = twin_config.clock == "lockstep"
    clock = Clock()
    now, sleep = (clock.now, clock.sleep) if lockstep else (time.monotonic, time.sleep)
    settings = driver_config(DEFAULT, twin_config.servo_model)
    with (
        Twin.start(sim, twin_config) as twin,
        Arm.connect(twin.ports[0], twin_config.calibration, settings, sleep=sleep) as arm,
    ):
        arm.hold()
        arm.activate()
        limits = Limits.usual(arm.calibration.lower, arm.calibration.upper)
        operator = TwinOperator(twin, now, keys)
        stop = _never if signals is None else (lambda: bool(signals))
        hand = intervention or Nobody()
        yield Cell(arm, operator, limits, now, sleep, intervention=hand, stop=stop, senses_success=False)


@contextmanager
def arm_cell(
    options: ArmOptions,
    sim: SimParams,
    keys: Callable[[], str],
    intervention: Intervention | None = None,
    signals: StopRequests | None = None,
    say: Callable[[str], None] | None = None,
) -> Iterator[Cell]:
    """Connect an arm that a person stands beside; afterwards it is parked and released.

    Args:
        options: Where it is.
        sim: The simulator of its task: where things may lie, where episodes start.
        keys: Returns what was typed since the last call.
        intervention: Who may take over.
        signals: Those noted so far.
        say: Shows a line to the person.
    """
    assert options.calibration is not None
    calibration = Calibration.load(options.calibration)
    config = DEFAULT if options.settings is None else ArmConfig.load(options.settings)
    low, high = calibration.lower, calibration.upper
    limits = Limits.usual(low, high) if options.limits is None else Limits.load(options.limits, low, high)
    clearance.require_speed(config.park_speed, limits)
    more: Mapping[str, Any] = {} if say is None else {"say": say}
    person = Person(sim, keys, options.objects, confirms=options.reward != "sensed", **more)
    cells: list[Cell] = []
    with held_arm(
        options.port,
        calibration,
        config,
        lambda: cells[0].around if cells else (),
        signals,
        limits=limits,
        deadman=options.deadman,
    ) as (arm, beat):
        cell = Cell(
            arm,
            person,
            limits,
            time.monotonic,
            time.sleep,
            beat,
            intervention or Nobody(),
            _never if signals is None else (lambda: bool(signals)),
            options.reward != "key",
            options.bus_hz,
        )
        cells.append(cell)
        yield cell
