"""A tick of the loop as a record of the log, and a record as what the safety chain was given."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from soarm.hardware.observation import Observed
from soarm.hardware.states import State
from soarm.runtime.log import RECORD
from soarm.runtime.objects import Objects
from soarm.runtime.safety import Checked, Joints, Last
from soarm.runtime.watchdogs import Action

STATES = tuple(State)


def make(
    t_s: float,
    control: bool,
    arrived: bool,
    state: State,
    action: Action,
    times_s: tuple[float, float, float, float],
    objects: Objects,
    seen: Observed,
    wanted: Joints,
    last: Last,
    checked: Checked,
    ticks: NDArray[np.int64] | None,
) -> NDArray[np.void]:
    """Return the record of a tick; `times_s` are lateness, busy time, age of the sight, and the chain's period."""
    record = np.zeros((), RECORD)
    record["t_s"], record["control"], record["state"], record["verdict"] = t_s, control, STATES.index(state), action
    record["lateness_s"], record["busy_s"], record["sight_age_s"], record["dt_s"] = times_s
    record["objects"] = objects
    record["ticks_present"], record["q_present"], record["age_s"], record["misses"] = (
        seen.ticks,
        seen.q,
        seen.age_s,
        seen.misses,
    )
    record["action"], record["last_q"], record["last_velocity"] = wanted, last.q, last.velocity
    record["q_sent"], record["reasons"] = checked.q, [int(reason) for reason in checked.reasons]
    record["arrived"] = arrived
    record["refused"], record["sent"] = checked.refused is not None, ticks is not None
    if ticks is not None:
        record["ticks_sent"] = ticks
    telemetry = seen.telemetry
    record["load"] = [one.load for one in telemetry]
    record["voltage_v"] = [one.voltage_v for one in telemetry]
    record["temperature_c"] = [one.temperature_c for one in telemetry]
    record["status"] = [int(one.status) for one in telemetry]
    record["current_ma"] = [one.current_ma for one in telemetry]
    return record
