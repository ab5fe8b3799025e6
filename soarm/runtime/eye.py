"""The eye of a bundle: objects that cameras see, as a sensor of a run.

Knows ONNX networks and sensors; what the network is asked, and how its answers become objects, is `soarm.estimation`.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from soarm.errors import ObservationError
from soarm.estimation import Estimator, SeeingEnv
from soarm.kinematics import pose_of
from soarm.policies import BLOCK
from soarm.policy import Array, Observation
from soarm.rollout import BatchEnv
from soarm.runtime.bundle import EYE, EYE_OUTPUT, POSE_INPUT, Bundle
from soarm.runtime.plausible import require_plausible
from soarm.runtime.sensors import Sensor, Stamped
from soarm.spec import IMAGES, STATE
from soarm.tasks.task import Task

MOST_ERROR_M = 0.06
"""An eye that expects to be further off than this does not see the thing [m]: about a third of where a cube may lie."""
_REMEMBERED = 32
"""Control steps in which joints are remembered: about a second."""


class OnnxEye:
    """The exported eye as a `soarm.estimation.EyeNetwork`; safe to call from any thread."""

    def __init__(self, bundle: Bundle) -> None:
        self._session = bundle.sessions[EYE]
        self._pictures = [f"{IMAGES}.{name}" for name in bundle.eye_cameras]

    def look(self, observation: Observation) -> Array:
        """Return the answers, shape (B, `Questions.dim`)."""
        feed = {key: np.asarray(observation[key], np.uint8) for key in self._pictures}
        answers: Array = self._session.run([EYE_OUTPUT], feed | {POSE_INPUT: pose_of(observation[STATE])})[0]
        return answers


def load_eye(bundle: Bundle, block: int | None = None) -> Estimator:
    """Return the eye of a bundle that has one.

    Args:
        bundle: The bundle.
        block: See `Estimator`. A single arm waits for its own row alone; a simulator gives `soarm.policies.BLOCK`.
    """
    return Estimator(OnnxEye(bundle), bundle.task, list(bundle.eye_cameras), block)


def seeing(bundle: Bundle, env: BatchEnv) -> BatchEnv:
    """Return environments as a bundle's policy observes them: with an eye, objects are what it sees in their pictures."""
    return SeeingEnv(env, load_eye(bundle, BLOCK)) if bundle.eye_cameras else env


class SeenObjects:
    """Objects as an eye sees them; the value is as old as the oldest of the pictures.

    Joints and pictures belong together: the eye is told where the arm was when that picture was taken.

    Args:
        task: Whose objects they are.
        eye: What looks.
        cameras: Feature key -> camera, for every camera of the eye.
        now: The clock of the cameras [s].
        most_error_m: An eye that expects a greater error of a thing's position does not see it [m].
    """

    def __init__(
        self,
        task: Task,
        eye: Estimator,
        cameras: Mapping[str, Sensor],
        now: Callable[[], float] = time.monotonic,
        most_error_m: float = MOST_ERROR_M,
    ) -> None:
        self.subject = task.subject
        self._task, self._eye, self._cameras, self._now, self._most_error_m = task, eye, dict(cameras), now, most_error_m
        self._joints: deque[tuple[float, NDArray[np.float64]]] = deque(maxlen=_REMEMBERED)

    def update(self, q: ArrayLike, commanded: ArrayLike) -> None:
        """See `soarm.runtime.sensors.FollowsArm`."""
        self._joints.append((self._now(), np.array(q, np.float64)))

    def read(self) -> Stamped:
        """See `soarm.runtime.sensors.Sensor`."""
        pictures = {key: camera.read() for key, camera in self._cameras.items()}
        t_s = min(one.t_s for one in pictures.values())
        state = self._joints_at(t_s).astype(np.float32)[None]
        objects, error_m = self._eye.estimate({key: one.value[None] for key, one in pictures.items()} | {STATE: state})
        self._require_seen(objects[0], error_m[0])
        return Stamped(t_s, objects[0])

    def _joints_at(self, t_s: float) -> NDArray[np.float64]:
        """Return where the joints were, shape (6,), between the steps that are remembered."""
        if not self._joints:
            raise ObservationError(f"where {self.subject} are cannot be said before the arm says where it is")
        times, joints = zip(*self._joints, strict=True)
        stacked = np.array(joints)
        return np.array([np.interp(t_s, times, one) for one in stacked.T])

    def _require_seen(self, objects: Array, error_m: Array) -> None:
        """Refuse what the eye itself does not believe, or what cannot be; a yaw's pair may be a little too long."""
        names = [answer.name for answer in self._eye.questions.answers]
        unseen = [
            f"{name} (expected error {error:.3f} m)"
            for name, error in zip(names, error_m, strict=True)
            if not error <= self._most_error_m
        ]
        if unseen:
            raise ObservationError(
                f"the eye does not see the {' and the '.join(unseen)}; {self._most_error_m:g} m are allowed"
            )
        checked = objects.astype(np.float64)
        for answer in self._eye.questions.answers:
            if answer.turn:
                turn = list(answer.turn)
                checked[turn] /= max(1.0, float(np.hypot(*checked[turn])))
        require_plausible(self._task, checked, "what the eye says")
