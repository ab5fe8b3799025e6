"""Checks of the motion in demonstrations: what a policy would learn wrongly although the files are sound.

`soarm.dataset.checks` compares a dataset with its format. This module looks at the motion in it, joint by joint and episode by
episode, and says what a policy would learn from it. None of it is certain (an arm may stand still on purpose), so a finding
is a warning and refuses nothing.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from soarm import arm
from soarm.dataset.reader import Dataset
from soarm.spec import ACTION, STATE

MOTION = 1.0
"""A joint that stays within so much did not move [deg, percent]: ten steps of the encoder, above the tremor of a hand."""
SAME = 1e-3
"""Two positions closer than this are one number [deg, percent]; an encoder's step is 0.088 deg."""
SAME_SHARE = 0.95
"""Share of an episode's rows in which action equals state, from which on it is no accident."""
TOP_SPEED_PER_S = 600.0
"""Faster than any joint [deg/s, percent/s]: twice the no-load speed of an STS3215 at 12 V (0.222 s for 60 deg)."""
LEAP = 90.0
"""An action may run ahead of a servo, but not by so much in one step [deg, percent]; an encoder's seam is 360."""
FROZEN_S = 0.5
"""A state that repeats itself to the bit for so long, while the action moves, was not read anew [s]."""
FROZEN_ACTION = 10.0
"""How far the action moves meanwhile [deg, percent]; a joint that pushes against something lags by less."""
CLIPPED_TIMES, CLIPPED_ROWS, CLIPPED_SPEED_PER_S = 3, 3, 30.0
"""A joint is clipped if it comes to one extreme so many times at so much speed [deg/s], and stays there for so many rows."""
STOP = 0.5
"""An extreme this near to the joint's mechanical stop is the stop [deg]."""
SHORTEST_S = 1.0
"""An episode of less than this is a slip of the finger [s]."""
GRIPPER_CLOSES = 10.0
"""A gripper that closes by less than this takes nothing [percent]."""

Rows = NDArray[np.float32]


class JointMotion(NamedTuple):
    """The motion of one episode: state and action, shapes (T, D) [deg, percent], the D joints' names, frames per second."""

    state: Rows
    action: Rows
    names: tuple[str, ...]
    fps: int


class Flaw(NamedTuple):
    """What is wrong, and with which joint of which feature; without one it is the episode itself."""

    text: str
    feature: str = ""
    joint: str = ""


def findings(dataset: Dataset) -> list[str]:
    """Return what looks wrong in the demonstrations, a line each with joints, episodes and remedy; empty if nothing does.

    Args:
        dataset: One whose `observation.state` and `action` have the same joints; in another one there is nothing to compare.
    """
    features = dataset.features
    if STATE not in features or ACTION not in features or features[STATE].names != features[ACTION].names:
        return []
    names = features[STATE].names
    found: dict[tuple[str, str], list[tuple[str, int]]] = {}  # text, feature -> joint, episode
    contents: dict[bytes, int] = {}
    for i in range(dataset.n_episodes):
        values = dataset.episode(i).values
        motion = JointMotion(values[STATE], values[ACTION], names, dataset.fps)
        flaws = [flaw for check in _CHECKS for flaw in check(motion)]
        first = contents.setdefault(motion.state.tobytes() + motion.action.tobytes(), i)
        if first != i:
            flaws.append(Flaw(f"the same as episode {first}, to the bit; delete one of them"))
        for text, feature, joint in flaws:
            found.setdefault((text, feature), []).append((joint, i))
    lines = [_line(text, feature, hits, dataset.n_episodes) for (text, feature), hits in found.items()]
    return lines + list(_clipped(dataset)) + list(_never_moved(dataset))


def _no_motion(motion: JointMotion) -> Iterator[Flaw]:
    if np.ptp(motion.state, axis=0).max() <= MOTION:
        yield Flaw(f"no joint moves by more than {MOTION:g}; delete it")


def _too_short(motion: JointMotion) -> Iterator[Flaw]:
    if len(motion.state) < SHORTEST_S * motion.fps:
        yield Flaw(f"shorter than {SHORTEST_S:g} s; delete it")


def _action_is_state(motion: JointMotion) -> Iterator[Flaw]:
    """A policy whose target is where the arm is at the same instant learns to stand still."""
    same = (np.abs(motion.action - motion.state) < SAME).all(axis=1)
    if same.mean() >= SAME_SHARE and np.ptp(motion.state, axis=0).max() > MOTION:
        yield Flaw(
            "the action equals the state of the same step: a policy learns to stand still from it. Record as action "
            "what the arm was sent, not where it was"
        )


def _frozen(motion: JointMotion) -> Iterator[Flaw]:
    """A state that stands to the bit while the action moves on was not measured."""
    n_rows = max(2, round(FROZEN_S * motion.fps))
    for joint in np.flatnonzero(np.ptp(motion.state, axis=0) > MOTION):  # one that never moves is told of the whole dataset
        stretches = [(a, b) for a, b in _runs(motion.state[:, joint]) if b - a >= n_rows]
        if any(np.ptp(motion.action[a:b, joint]) > FROZEN_ACTION for a, b in stretches):
            yield Flaw(
                f"one number for {FROZEN_S:g} s or more while the action moves on: the servo was not heard. Look at "
                "its cable, and delete the episode",
                STATE,
                motion.names[joint],
            )


def _jumps(motion: JointMotion) -> Iterator[Flaw]:
    for key, values, most in ((STATE, motion.state, TOP_SPEED_PER_S / motion.fps), (ACTION, motion.action, LEAP)):
        steps = np.abs(np.diff(values, axis=0)).max(axis=0, initial=0.0)
        for joint in np.flatnonzero(steps > most):
            yield Flaw(
                f"a jump of more than {most:g} in one step, which no servo does: the encoder's seam lies in the joint's range "
                "(calibrate it again), rows are missing, or two recordings were joined",
                key,
                motion.names[joint],
            )


def _never_closes(motion: JointMotion) -> Iterator[Flaw]:
    for joint in _grippers(motion.names):
        target = motion.action[:, joint]
        if (np.maximum.accumulate(target) - target).max() < GRIPPER_CLOSES:
            yield Flaw(f"never closes by {GRIPPER_CLOSES:g} percent, so nothing is grasped", ACTION, motion.names[joint])


_CHECKS: Sequence[Callable[[JointMotion], Iterator[Flaw]]] = (
    _no_motion,
    _too_short,
    _action_is_state,
    _frozen,
    _jumps,
    _never_closes,
)


def _clipped(dataset: Dataset) -> Iterator[str]:
    """Yield joints that come to their extreme at speed, and stop dead there, again and again."""
    names = dataset.features[STATE].names
    starts = dataset.episode_starts[:-1]
    for key in (STATE, ACTION):
        speeds = np.abs(np.diff(dataset.columns[key], axis=0, prepend=np.nan)) * dataset.fps
        speeds[starts] = 0.0
        arriving = np.maximum(speeds, np.roll(speeds, 1, axis=0))  # the step that is cut off is a shorter one
        arriving[starts] = 0.0
        for joint in sorted(set(range(len(names))) - set(_grippers(names))):  # a gripper closes on nothing every day
            column = dataset.columns[key][:, joint]
            for end in (column.min(), column.max()):
                runs = [a for a, b in _runs(column) if column[a] == end and b - a >= CLIPPED_ROWS]
                times = int((arriving[runs, joint] > CLIPPED_SPEED_PER_S).sum())
                if times >= CLIPPED_TIMES and not _is_stop(names[joint], float(end)):
                    yield (
                        f"{key} of {names[joint]}: stops dead at {end:g}, {times} times: a limit cuts it off there, or the "
                        "joint was not swept to its stop when it was calibrated. Calibrate it again"
                    )


def _never_moved(dataset: Dataset) -> Iterator[str]:
    state, action = (np.ptp(dataset.columns[key], axis=0) for key in (STATE, ACTION))
    for name, seen, asked in zip(dataset.features[STATE].names, state, action, strict=True):
        if seen > MOTION or state.max() <= MOTION:  # where nothing moves at all, every episode says so
            continue
        why = (
            "although its action does: it was not read, or its horn is loose"
            if asked > FROZEN_ACTION
            else "nor does its action"
        )
        yield f"{STATE} of {name}: never moves in any episode, {why}. A policy learns nothing about it"


def _is_stop(name: str, value: float) -> bool:
    if name not in arm.FEATURE_NAMES:
        return False
    joint = arm.FEATURE_NAMES.index(name)
    return bool(min(abs(value - arm.LOWER[joint]), abs(value - arm.UPPER[joint])) < STOP)


def _grippers(names: Sequence[str]) -> list[int]:
    return [i for i, name in enumerate(names) if "gripper" in name]


def _runs(values: Rows) -> list[tuple[int, int]]:
    """Return the stretches [start, stop) of one number, as long as they are, single rows too."""
    edges = [0, *(np.flatnonzero(np.diff(values)) + 1).tolist(), len(values)]
    return list(itertools.pairwise(edges))


def _line(text: str, feature: str, hits: list[tuple[str, int]], n_episodes: int) -> str:
    """Return one line: in which episodes, which joints of which feature, what is wrong."""
    episodes, joints = sorted({i for _, i in hits}), ", ".join(dict.fromkeys(joint for joint, _ in hits))
    shown = ", ".join(map(str, episodes[:8])) + (f" and {len(episodes) - 8} more" if len(episodes) > 8 else "")
    where = "every episode" if len(episodes) == n_episodes > 1 else f"episode{'s' if len(episodes) > 1 else ''} {shown}"
    return f"{where}{f', {feature} of {joints}' if feature else ''}: {text}"
