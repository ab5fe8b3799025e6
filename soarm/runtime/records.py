"""A tick of the loop, or a step of a move, as a record of the log."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from soarm.hardware.observation import Observed
from soarm.hardware.states import State
from soarm.policy import Array
from soarm.runtime.log import MOVE, record_type
from soarm.runtime.plausible import Objects
from soarm.runtime.safety import Checked, Joints, Last
from soarm.runtime.sensors import Stamped
from soarm.runtime.watchdogs import Action
from soarm.spec import ENVIRONMENT_STATE, IMAGES
from soarm.tasks.task import Task

STATES = tuple(State)


class Seen(NamedTuple):
    """What the sensors told, pictures by their age and a checksum: a log holds no picture.

    Attributes:
        objects: In the order of `Task.objects`; NaN where nobody tells them.
        ages_s: Of the pictures, cameras in the order of their names, shape (n,) [s].
        checksums: CRC-32 of each, shape (n,).
    """

    objects: Objects
    ages_s: list[float]
    checksums: list[int]


def cameras(keys: Mapping[str, object]) -> list[str]:
    """Return the names of the cameras among feature keys, in the order in which a record holds them."""
    return sorted(key.removeprefix(f"{IMAGES}.") for key in keys if key.startswith(f"{IMAGES}."))


def seen(task: Task, latest: Mapping[str, Stamped], now_s: float) -> Seen:
    """Return what the sensors told last.

    Args:
        task: Whose objects are told.
        latest: Feature key -> latest value.
        now_s: The time [s].
    """
    told = latest.get(ENVIRONMENT_STATE)
    pictures = [latest[f"{IMAGES}.{name}"] for name in cameras(latest)]
    return Seen(
        np.full(task.objects.shape, np.nan, np.float32) if told is None else told.value,
        [now_s - one.t_s for one in pictures],
        [zlib.crc32(one.value.tobytes()) for one in pictures],
    )


class Policy(NamedTuple):
    """What the policy said.

    Attributes:
        base: What the base says now, shape (6,); None where it says nothing.
        correction: Of the residual, shape (6,).
        wanted: What came of both, shape (6,).
    """

    base: Array | None
    correction: Array
    wanted: Joints


def make(
    t_s: float,
    flags: tuple[bool, bool, State, Action],
    times_s: tuple[float, float, float, float],
    observed: Observed,
    seen: Seen,
    policy: Policy,
    last: Last,
    checked: Checked,
    ticks: NDArray[np.int64] | None,
) -> NDArray[np.void]:
    """Return the record of a tick.

    Args:
        t_s: Since the start of the run [s].
        flags: Whether it is a control tick, whether the arm had arrived, its state, and what the watchdogs asked for.
        times_s: Lateness, busy time, age of the oldest sensor's value, and the chain's period [s].
        observed: What the arm said.
        seen: What the sensors told.
        policy: What the policy said.
        last: What the safety chain took for the last target.
        checked: What it let through.
        ticks: What was sent, shape (6,); None for nothing.
    """
    record = np.zeros((), record_type(len(seen.objects), len(seen.ages_s)))
    record["t_s"] = t_s
    record["control"], record["arrived"], record["state"], record["verdict"] = *flags[:2], STATES.index(flags[2]), flags[3]
    record["lateness_s"], record["busy_s"], record["sight_age_s"], record["dt_s"] = times_s
    _enter_observed(record, observed)
    record["objects"], record["picture_age_s"], record["picture_crc"] = seen
    record["correction"], record["action"] = policy.correction, policy.wanted
    record["base"] = np.nan if policy.base is None else policy.base
    record["last_q"], record["last_velocity"] = last
    record["q_sent"], record["reasons"] = checked.q, [int(reason) for reason in checked.reasons]
    record["refused"], record["sent"] = checked.refused is not None, ticks is not None
    if ticks is not None:
        record["ticks_sent"] = ticks
    return record


def make_move(state: State, observed: Observed, told: NDArray[np.int64]) -> NDArray[np.void]:
    """Return the record of a step of a move, without its time.

    Args:
        state: Of the arm.
        observed: What it said.
        told: The goals it has, shape (6,) [ticks].
    """
    record = np.zeros((), MOVE)
    record["state"], record["ticks_told"] = STATES.index(state), told
    _enter_observed(record, observed)
    return record


def _enter_observed(record: NDArray[np.void], observed: Observed) -> None:
    record["ticks_present"], record["q_present"], record["velocity"] = observed.ticks, observed.q, observed.velocity
    record["age_s"], record["misses"] = observed.age_s, observed.misses
    telemetry = observed.telemetry
    for name in ("load", "voltage_v", "temperature_c", "current_ma", "moving"):
        record[name] = [getattr(one, name) for one in telemetry]
    record["status"] = [int(one.status) for one in telemetry]
