"""Move the leader of a twin where no hand does: a sweep of joint after joint, or poses from a file.

A file is `{"t_s": [0.0, 2.0, ...], "q": [[pan, lift, elbow, flex, roll, gripper], ...]}`: times that increase, and a pose for
each of them in degrees, the gripper in percent.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from soarm import arm
from soarm.errors import SmallFileError, TwinError
from soarm.policy import clip_to_limits
from soarm.smallfile import load_json, shown

Floats = NDArray[np.float64]
_FORMAT = 'A motion is {"t_s": [N times], "q": [N poses of 6]}'
SWEEP_DEG, SWEEP_S = 15.0, 4.0
"""How far each joint swings to either side [deg, percent], and how long all of its swing takes [s]."""


class Motion:
    """Poses over time, with a rest at each of them.

    Args:
        t_s: Times of the poses, increasing, shape (N,) [s].
        q: The poses, shape (N, 6) [deg x 5, percent].
        repeats: Begin anew after the last one; else stay there.

    Raises:
        TwinError: Shapes, order or numbers are not so.
    """

    def __init__(self, t_s: ArrayLike, q: ArrayLike, *, repeats: bool = False) -> None:
        try:
            self._t_s, self._q = np.asarray(t_s, np.float64), np.asarray(q, np.float64)
        except (TypeError, ValueError) as error:
            raise TwinError(f"a motion is made of numbers: {error}") from None
        n = len(self._t_s) if self._t_s.ndim == 1 else 0
        if n == 0 or self._q.shape != (n, arm.N_JOINTS):
            raise TwinError(f"a motion has N times and (N, 6) poses; there are {self._t_s.shape} and {self._q.shape}")
        if not (np.isfinite(self._t_s).all() and np.isfinite(self._q).all() and (np.diff(self._t_s) > 0).all()):
            raise TwinError("the times of a motion must increase, and every number of it must be finite")
        self._repeats = repeats

    @classmethod
    def over(cls, start: ArrayLike, sides: tuple[Floats, Floats, Floats], joint_s: float, *, repeats: bool) -> Motion:
        """Move one joint after the other from a pose, shape (6,), to its place in each of three poses, in `joint_s` [s]."""
        pose, times = np.asarray(start, np.float64), [0.0]
        poses = [pose]
        for joint in range(arm.N_JOINTS):
            for share, side in zip((0.25, 0.75, 1.0), sides, strict=True):
                pose = pose.copy()
                pose[joint] = side[joint]
                poses.append(pose)
                times.append((joint + share) * joint_s)
        return cls(times, poses, repeats=repeats)

    @classmethod
    def sweep(cls, home: ArrayLike) -> Motion:
        """Swing one joint after the other to both sides of a pose, shape (6,), for ever."""
        at = np.asarray(home, np.float64)
        low, high = (clip_to_limits(at + side).astype(np.float64) for side in (-SWEEP_DEG, SWEEP_DEG))
        return cls.over(at, (high, low, at), SWEEP_S, repeats=True)

    @classmethod
    def load(cls, path: Path) -> Motion:
        """Read a motion from a file; see the module.

        Raises:
            TwinError: It cannot be read, or holds no motion.
        """
        try:
            data = load_json(path)
        except SmallFileError as error:
            raise TwinError(f"{path} holds no motion: it {error}. {_FORMAT}") from None
        if set(data) != {"t_s", "q"}:
            raise TwinError(f"{path} holds no motion: it has the keys {shown(sorted(data))}. {_FORMAT}")
        return cls(data["t_s"], data["q"])

    def __call__(self, time_s: float) -> Floats:
        """Return the pose at a time from the start [s], shape (6,) [deg x 5, percent]."""
        if self._repeats:
            time_s = time_s % self._t_s[-1]
        i = max(int(np.searchsorted(self._t_s, time_s, side="right")) - 1, 0)
        j = min(i + 1, len(self._t_s) - 1)
        share = np.clip((time_s - self._t_s[i]) / max(self._t_s[j] - self._t_s[i], 1e-9), 0.0, 1.0)
        pose: Floats = self._q[i] + share**2 * (3 - 2 * share) * (self._q[j] - self._q[i])
        return pose
