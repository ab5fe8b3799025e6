"""Least squares: the physics under which the simulator follows the goals of a log as the arm did.

The search is `mujoco.minimize.least_squares` (Gauss-Newton in a box, derivatives by differences that run side by side).
`mujoco.sysid` is made for this too; it compiles a model per candidate and needs plotly and more, of which nothing is needed
here. Differences count by Huber's law, so that a finger that met a cube, which no window knows of, pulls at nothing.

Standard errors are those of clustered data, a window a cluster: neighbouring ticks are off in the same way, and counting them
as independent would promise too much.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from mujoco import minimize
from numpy.typing import NDArray

from soarm.identification.model import ArmModel
from soarm.identification.physics import ENTRIES, ArmPhysics, Floats, N, bounds, determined, to_physics, to_vector
from soarm.identification.windows import Window
from soarm.motor import ARMATURE, COULOMB_NM, KT, OHM, VISCOUS, stiffness
from soarm.sim.params import SimParams

Mask = NDArray[np.bool_]
_HUBER = 0.5
"""Beyond this a difference counts by its size and no longer by its square [deg, percent]."""
_ENCODER = 360 / 4096 / math.sqrt(12)
"""What whole ticks alone make positions be off, root mean square [deg]: no fit knows better."""
_ROUGH, _ROUGH_HUBER, _ROUGH_ITERATIONS = 4, 5.0, 6
"""The first search, from two starts: on every fourth window, all but by the square, and short."""
_USUAL_DELAY_S = 0.03
_MOST_STEPS = 100.0
"""Standard error of what a log says nothing of, in the steps of the vector."""
_DIFFERENCE = 0.01
"""Step of the derivatives, in the steps of the vector."""
_MOST_ITERATIONS = 30
_TOLERANCE = 1e-4
_AT_BOUND = 0.05
"""A value this near to its bound, in the steps of the vector, was stopped by it."""
_FIRST_TO_GO = ("armature", "damping", "friction_nm", "delay_s", "gain")
"""What a poor log is asked for last: without the scale that the motor's inertia gives, the rest may still be determined."""


class Fitted(NamedTuple):
    """What was found.

    Attributes:
        physics: The values; what was not sought, or is not determined, is the simulator's.
        errors: Standard errors in the steps of the vector, shape (20,); infinite where nothing was sought.
        claimed: What was sought and is determined, shape (20,).
    """

    physics: ArmPhysics
    errors: Floats
    claimed: Mask


class Huber(minimize.Norm):  # type: ignore[misc]
    """Huber's norm, smooth: square up to a scale [deg], linear beyond."""

    def __init__(self, scale: float) -> None:
        self._scale = scale

    def value(self, r: Floats) -> np.float64:
        """Return the norm of residuals, shape (n, 1)."""
        return np.float64((self._scale**2 * (np.sqrt(1 + (r / self._scale) ** 2) - 1)).sum())

    def weights(self, r: Floats) -> Floats:
        """Return how much each residual counts, 0..1."""
        weights: Floats = 1.0 / np.sqrt(1 + (r / self._scale) ** 2)
        return weights

    def grad_hess(self, r: Floats, proj: Floats) -> tuple[Floats, Floats]:
        """Return gradient and Gauss-Newton's Hessian along the columns of `proj`, shape (n, k)."""
        weights = self.weights(r)
        return proj.T @ (weights * r), proj.T @ (weights * proj)


def fit(
    sim: SimParams,
    windows: Sequence[Window],
    *,
    n_threads: int = 1,
    each: Callable[[int, float], None] = lambda n, cost: None,
) -> Fitted:
    """Fit an arm; what its log does not determine goes back to the simulator's value, and the rest is sought again.

    Args:
        sim: The simulator.
        windows: What is to be fitted.
        n_threads: Threads that step physics.
        each: Told of every iteration: how many there were, and how large the differences are on the average [deg].
    """
    sought = np.ones(len(ENTRIES), bool)
    search = _Search(ArmModel(sim, windows, n_threads), each, _HUBER)
    start = to_vector(search.model.start)
    rough = _Search(ArmModel(sim, windows[::_ROUGH], n_threads), each, _ROUGH_HUBER)
    begun = [rough.run(one, sought & ~_of("armature"), _ROUGH_ITERATIONS) for one in _starts(search.model.start)]
    vector = min((rough.run(one, sought, _ROUGH_ITERATIONS) for one in begun), key=rough.cost)
    vector = search.run(vector, sought)
    errors = search.errors(vector, sought)
    for name in _FIRST_TO_GO:
        lost = sought & _of(name) & ~_claimed(vector, errors)
        if lost.any():
            sought = sought & ~lost
            vector = search.run(np.where(lost, start, vector), sought)
            errors = search.errors(vector, sought)
    return Fitted(to_physics(vector), errors, sought & _claimed(vector, errors))


def _starts(own: ArmPhysics) -> list[Floats]:
    """Return where searches begin: the simulator's physics, and an STS3215's, both with a usual delay.

    At first the inertia of the motors stays as it is there: too little of it and too much delay look alike from afar, and one
    of five emulated arms ended so.
    """
    servo = np.full(N, stiffness(32, 7.4)), np.full(N, VISCOUS + KT * KT / OHM), np.full(N, COULOMB_NM)
    return [
        to_vector(own._replace(delay_s=_USUAL_DELAY_S)),
        to_vector(ArmPhysics(*servo, ARMATURE, _USUAL_DELAY_S)),
    ]


def _of(name: str) -> Mask:
    """Return which entries are of a quantity."""
    return np.array([entry.quantity.name == name for entry in ENTRIES])


def _claimed(vector: Floats, errors: Floats) -> Mask:
    """Return which values are determined, and were not stopped by a bound; a friction or delay of none is a value."""
    low, high = bounds()
    may_be_0 = np.array([entry.quantity.bounds[0] == 0 for entry in ENTRIES])
    inside = ((vector - low > _AT_BOUND) | may_be_0) & (high - vector > _AT_BOUND)
    return np.asarray(determined(errors) & inside)


class _Search:
    """The search over some entries of the vector."""

    def __init__(self, model: ArmModel, each: Callable[[int, float], None], scale: float) -> None:
        self.model, self._each, self._norm = model, each, Huber(scale)
        self._cluster = np.repeat(model.window_of, model.measured.shape[1])
        self._n = 0

    def run(self, start: Floats, sought: Mask, most_iterations: int = _MOST_ITERATIONS) -> Floats:
        """Return the best vector whose other entries are those of `start`."""
        low, high = bounds()
        found, _ = minimize.least_squares(
            start[sought],
            self._residual(start, sought),
            bounds=[low[sought], high[sought]],
            norm=self._norm,
            eps=np.float64(_DIFFERENCE),
            max_iter=most_iterations,
            xtol=_TOLERANCE,
            verbose=minimize.Verbosity.SILENT,
            iter_callback=self._tell,
        )
        vector = start.copy()
        vector[sought] = found
        return vector

    def cost(self, vector: Floats) -> float:
        """Return the norm of the differences under a vector."""
        every = np.ones(len(vector), bool)
        return float(self._norm.value(self._residual(vector, every)(vector[:, None])))

    def _tell(self, trace: list[minimize.IterLog]) -> None:
        self._n += 1
        self._each(self._n, math.sqrt(2 * float(trace[-1].objective) / self.model.measured.size))

    def errors(self, vector: Floats, sought: Mask) -> Floats:
        """Return standard errors of what was sought, shape (20,), infinite for the rest."""
        residual, x = self._residual(vector, sought), vector[sought][:, None]
        r = residual(x)
        box = [edge[sought][:, None] for edge in bounds()]
        jacobian, _ = minimize.jacobian_fd(residual, x, r, np.float64(_DIFFERENCE), 0, box)
        weights = self._norm.weights(r)
        variance = max(float((weights * r**2).mean()), _ENCODER**2)
        unknown = np.eye(jacobian.shape[1]) * variance / _MOST_STEPS**2  # without which what is not told would have no error
        inverse = np.linalg.inv(jacobian.T @ (weights * jacobian) + unknown)
        scores = jacobian * (weights * r)  # (n, k)
        n_clusters = int(self._cluster.max()) + 1
        sums = np.stack([np.bincount(self._cluster, column, n_clusters) for column in scores.T], axis=1)
        clustered = np.diag(inverse @ (sums.T @ sums) @ inverse)
        independent = np.diag(inverse) * variance
        errors = np.full(len(ENTRIES), np.inf)
        errors[sought] = np.sqrt(np.maximum(clustered, independent))
        return errors

    def _residual(self, start: Floats, sought: Mask) -> Callable[[Floats], Floats]:
        """Return the function of MuJoCo's search: candidates, shape (k, n) -> differences, shape (ticks * 6, n)."""
        model = self.model

        def residual(x: Floats) -> Floats:
            vectors = np.tile(start, (x.shape[1], 1))
            vectors[:, sought] = x.T
            off = (model.predict([to_physics(vector) for vector in vectors]) - model.measured) * model.heard
            return np.ascontiguousarray(off.reshape(len(vectors), -1).T)

        return residual
