"""A recorded episode as a teleoperator: the same targets again, on the simulator, a twin or an arm.

What comes back is a new recording, and what differs from the old one is the gap between the two arms.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from soarm.errors import TeleopError
from soarm.kinematics import MINIMUM_JERK_PEAK, minimum_jerk
from soarm.policy import Array, Observation, clip_to_limits
from soarm.runtime import log
from soarm.spec import ACTION, JOINT_FEATURE, STATE, Feature
from soarm.teleop.convert import pieces
from soarm.teleop.session import Command

RAMP_DEG_S = 40.0
"""Mean speed of the fastest joint on the way to the first target [deg/s, percent/s]."""


class Replayer:
    """Plays targets, after a slow way to the first one; the last one stays.

    Args:
        actions: Shape (T, 6) [deg x 5, percent].
        control_hz: Steps per second [Hz].
    """

    def __init__(self, actions: Array, control_hz: int) -> None:
        self._actions = clip_to_limits(actions)
        self._control_hz = control_hz
        self._way = self._actions
        self._step = 0

    def connect(self) -> None:
        """Nothing to connect."""

    def start(self, observation: Observation) -> None:
        """Begin with the way from where the arm stands to the first target."""
        at, first = clip_to_limits(observation[STATE]), self._actions[0]
        n = int(np.ceil(MINIMUM_JERK_PEAK * float(np.abs(first - at).max()) / RAMP_DEG_S * self._control_hz))
        share = minimum_jerk(np.arange(1, n + 1, dtype=np.float32)[:, None] / np.float32(max(n, 1)))
        self._way = np.concatenate([at + share * (first - at), self._actions])
        self._step = 0

    def action(self, observation: Observation) -> Array:
        """Return the next target, shape (6,) [deg x 5, percent]."""
        target: Array = self._way[min(self._step, len(self._way) - 1)]
        self._step += 1
        return target

    def commands(self) -> list[Command]:
        """Return what a person would ask for: start at the first target, keep after the last."""
        if self._step >= len(self._way):
            return [Command.KEEP]
        return [Command.START] if self._step == len(self._way) - len(self._actions) else []

    def close(self) -> None:
        """Nothing to close."""


def actions_of(source: Path, episode: int, control_hz: int, units: str | None = None) -> Array:
    """Return the actions of an episode of a dataset, or of a piece of a log, shape (T, 6).

    Args:
        source: Folder of a dataset, or a log of `soarm drive`.
        episode: Which one, from 0.
        control_hz: The rate they will be played at [Hz].
        units: "degrees" declares the units of a dataset that does not say them.

    Raises:
        TeleopError: There is no such episode, it was recorded at another rate, or its actions are not this arm's joints.
        DatasetError: The dataset cannot be read, its units are unknown, or it contradicts `units`.
        LogError: The log cannot be read.
    """
    if source.is_dir():
        from soarm.dataset.reader import Dataset  # a log can be played without pyarrow

        dataset = Dataset.open(source, units)
        dataset.require_units("--replay-units degrees")
        _require_joints(source, dataset.features[ACTION])
        rate, n = dataset.fps, dataset.n_episodes
        found = [dataset.episode(episode).values[ACTION]] if 0 <= episode < n else []
    else:
        run = log.read(source)
        parts = pieces(run)
        rate, n = run.header["control_hz"], len(parts)
        found = [piece.actions for piece in parts[episode : episode + 1]] if episode >= 0 else []
    if not found:
        raise TeleopError(f"{source} has the episodes 0 to {n - 1}; there is no {episode}")
    if rate != control_hz:
        raise TeleopError(
            f"{source} was recorded at {rate} Hz, and {control_hz} Hz are requested; change sim.control_hz, or --control-hz"
        )
    return np.asarray(found[0], np.float32)


def _require_joints(source: Path, action: Feature) -> None:
    if action != JOINT_FEATURE:
        raise TeleopError(
            f"{source} has the actions {action.names} in {action.units}; this arm's are {JOINT_FEATURE.names} in "
            f"{JOINT_FEATURE.units}, in this order. Replay a dataset of this arm"
        )
