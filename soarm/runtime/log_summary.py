"""What the log of a run says: what happened and when, how late ticks were, and how each joint followed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from soarm import arm
from soarm.runtime.log import Run


@dataclass(frozen=True)
class Spread:
    """Percentiles of a time [ms]."""

    p50_ms: float
    p99_ms: float
    max_ms: float


@dataclass(frozen=True)
class JointSummary:
    """How a joint followed.

    Attributes:
        lag_mean: Mean distance between what was sent and where it was [deg, percent].
        lag_max: The greatest [deg, percent].
        clamped_share: Share of the ticks in which the safety chain cut it.
        silent_ticks: Ticks for which its servo said nothing new.
        volts: Least and greatest supply [V].
        most_celsius: Greatest temperature [C].
        most_ma: Greatest current [mA].
    """

    lag_mean: float
    lag_max: float
    clamped_share: float
    silent_ticks: int
    volts: tuple[float, float]
    most_celsius: int
    most_ma: float


@dataclass(frozen=True)
class LogSummary:
    """What happened in a run.

    Attributes:
        header: What the log says of the run, by key.
        events: What happened between ticks, each with `t_s` and `text`.
        goal: What counts as success, in words.
        success_s: When the task was done, since the run began [s]; None where it was not.
        move_steps: Steps of moves that are no policy's.
        last_move_s: Time of the last of them [s].
        ticks: Ticks of the run.
        seconds: Time of the last tick [s].
        sent: Ticks that were sent.
        late: How late ticks began; None without ticks, as all that follows.
        busy: How long they took.
        joints: Name of a joint -> how it followed.
    """

    header: dict[str, Any]
    events: list[dict[str, Any]]
    goal: str
    success_s: float | None
    move_steps: int
    last_move_s: float | None
    ticks: int
    seconds: float
    sent: int
    late: Spread | None
    busy: Spread | None
    joints: dict[str, JointSummary]

    def lines(self) -> list[str]:
        """Return the summary in words."""
        lines = [f"soarm {self.header.get('soarm')}, {self.header.get('started')}, {self.header.get('which')}"]
        for event in self.events:
            more = ", ".join(f"{name} {value}" for name, value in event.items() if name not in ("t_s", "text"))
            lines.append(f"{event['t_s']:9.3f} s  {event['text']}{f': {more}' if more else ''}")
        if self.success_s is not None:
            lines.append(f"success: {self.goal}, {self.success_s:.1f} s after the start")
        if self.last_move_s is not None:
            lines.append(f"{self.move_steps} steps of moves, the last at {self.last_move_s:.1f} s")
        if self.late is None or self.busy is None:
            return [*lines, "no tick was logged"]
        lines.append(f"{self.ticks} ticks in {self.seconds:.1f} s, {self.sent} of them sent")
        for name, times in (("late", self.late), ("busy", self.busy)):
            lines.append(f"{name:<5} p50 {times.p50_ms:.2f} ms, p99 {times.p99_ms:.2f} ms, max {times.max_ms:.2f} ms")
        for name, joint in self.joints.items():
            lines.append(
                f"{name:<14} lag mean {joint.lag_mean:5.2f} max {joint.lag_max:6.2f}   "
                f"clamped {100 * joint.clamped_share:5.1f} %   silent {joint.silent_ticks}   "
                f"{joint.volts[0]:.1f} to {joint.volts[1]:.1f} V   {joint.most_celsius} C   "
                f"{joint.most_ma:.0f} mA at most"
            )
        return lines


def summarise(read: Run) -> LogSummary:
    """Return what a log says."""
    records = read.records
    goal = read.task.goal.words
    done = next((event["t_s"] for event in read.events if event["text"] == f"loop: {goal}"), None)
    began = next((event["t_s"] for event in read.events if event["text"] == "loop: the run begins"), 0.0)
    some = bool(len(records))
    return LogSummary(
        header=dict(read.header),
        events=[dict(event) for event in read.events],
        goal=goal,
        success_s=None if done is None else done - began,
        move_steps=len(read.moves),
        last_move_s=float(read.moves["t_s"][-1]) if len(read.moves) else None,
        ticks=len(records),
        seconds=float(records["t_s"][-1]) if some else 0.0,
        sent=int(records["sent"].sum()),
        late=_spread(records["lateness_s"]) if some else None,
        busy=_spread(records["busy_s"]) if some else None,
        joints={name: _joint(records, i) for i, name in enumerate(arm.JOINT_NAMES)} if some else {},
    )


def _spread(times_s: NDArray[np.float64]) -> Spread:
    p50, p99 = np.percentile(1e3 * times_s, [50, 99])
    return Spread(float(p50), float(p99), float(1e3 * times_s.max()))


def _joint(records: NDArray[Any], i: int) -> JointSummary:
    error = np.abs(records["q_sent"][:, i] - records["q_present"][:, i])
    volts = records["voltage_v"][:, i]
    return JointSummary(
        lag_mean=float(error.mean()),
        lag_max=float(error.max()),
        clamped_share=float((records["reasons"][:, i] != 0).mean()),
        silent_ticks=int((records["misses"][:, i] > 0).sum()),
        volts=(float(volts.min()), float(volts.max())),
        most_celsius=int(records["temperature_c"][:, i].max()),
        most_ma=float(records["current_ma"][:, i].max()),
    )
