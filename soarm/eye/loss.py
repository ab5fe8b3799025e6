"""What the eye's training makes small, and in which units."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from soarm.estimation import FAR_M, Questions
from soarm.policy import Array

_POSITION_M, _OFFSET_M, _TURN = 0.05, 0.02, 0.7
"""Errors of position, offset and turn that count as one."""
_TURN_WEIGHT = 3.0
_ERROR_WEIGHT = 0.02
_BETA = 0.05
"""Below this share of the unit an error counts by its square: 2.5 mm of position, 1 mm of offset."""
_FIRST_ERROR = -4.0
"""Natural logarithm of the error [m] that an untrained network expects: 2 cm."""


class Units(NamedTuple):
    """Where answers begin, by how much a network's output of one moves them, and how much they weigh; (dim,) each."""

    mean: Array
    scale: Array
    weight: Array

    @classmethod
    def of(cls, questions: Questions, targets: Array) -> Units:
        """Return the units for training targets, shape (N, dim)."""
        mean, scale, weight = targets.mean(axis=0), np.ones(questions.dim, np.float32), np.ones(questions.dim, np.float32)
        for answer in questions.answers:
            at, turn = list(answer.at), list(answer.turn)
            scale[at], scale[answer.offset] = _POSITION_M, _OFFSET_M
            for elements in (turn, answer.turn_offset):
                scale[elements], weight[elements], mean[elements] = _TURN, _TURN_WEIGHT, 0.0
            mean[answer.offset], mean[answer.error] = 0.0, _FIRST_ERROR
        return cls(mean.astype(np.float32), scale, weight)


def counted(questions: Questions, targets: Array) -> Array:
    """Return which answers count in which frames, shape (N, dim): those from the gripper only where it is near."""
    counts = np.ones_like(targets)
    for answer in questions.answers:
        near = (np.linalg.norm(targets[:, answer.offset], axis=1) < 1.2 * FAR_M)[:, None]
        counts[:, answer.offset], counts[:, answer.turn_offset], counts[:, answer.error] = near, near, 0.0
    return counts


def loss(questions: Questions, units: tuple[Tensor, Tensor], given: Tensor, target: Tensor, counts: Tensor) -> Tensor:
    """Return the loss of the answers, and that of the errors that the network expects of them.

    Positions have a smooth L1 loss. Turns have a squared one: before anything is known of a turn, the best answer to an
    absolute error is to say nothing, and the network stays there.

    The latter is the negative logarithm of a Laplace density, log(b) + |error| / b (Kendall and Gal 2017, arXiv 1703.04977);
    the answers themselves are held fixed in it, so that a picture that shows little costs no accuracy elsewhere.

    Args:
        questions: What was asked.
        units: Scale and weight of each answer, shape (dim,).
        given: Answers, shape (B, dim).
        target: Right answers, shape (B, dim).
        counts: See `counted`, shape (B, dim).
    """
    scale, weight = units
    wrong = (given - target) / scale
    smooth = nn.functional.smooth_l1_loss(wrong, torch.zeros_like(wrong), reduction="none", beta=_BETA)
    for answer in questions.answers:
        turn = [*answer.turn, *range(answer.turn_offset.start, answer.turn_offset.stop)]
        smooth[:, turn] = 0.5 * wrong[:, turn].square()
    total = (smooth * counts * weight).sum(dim=1).mean() / 10.0
    for answer in questions.answers:
        far = (given[:, list(answer.at)] - target[:, list(answer.at)]).detach().norm(dim=1)
        near = (given[:, answer.offset] - target[:, answer.offset]).detach().norm(dim=1)
        log_far, log_near = given[:, answer.error].clamp(-9.0, 1.0).unbind(dim=1)
        expected = log_far + far * (-log_far).exp()
        expected = expected + (log_near + near * (-log_near).exp()) * counts[:, answer.offset.start]
        total = total + _ERROR_WEIGHT * expected.mean()
    return total
