"""The time between the prefill and the first update of the actor, in which the critics learn alone.

An actor that climbs critics who know nothing unlearns the base within a few thousand updates. How long the critics need
cannot be said beforehand, but it can be seen: when they promise of the base's first steps what came of them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from soarm.residual.calibration import Promise
from soarm.residual.learner import LearnerParams

logger = logging.getLogger(__name__)


def warm_up(
    learner: LearnerParams, regress: Callable[[], object], improve: Callable[[], object], promise: Callable[[], Promise]
) -> Promise:
    """Update the critics until they are calibrated, and return what they promise then.

    They are given `warmup_updates`, and if they still promise something else than the base's episodes gave, up to
    `gate.extra_updates_max` more. Then learning goes on all the same, with a warning: a run that never starts would say less.

    Args:
        learner: How many updates, and what counts as calibrated.
        regress: One update towards the returns of finished episodes.
        improve: One update of temporal differences.
        promise: Holds the critics against the base's episodes.
    """
    for update in range(learner.warmup_updates):
        if update < learner.warmup_mc_updates:
            regress()
        else:
            improve()
    gate, extra, found = learner.gate, 0, promise()
    while not found.gap <= gate.tolerance and extra < gate.extra_updates_max:  # not calibrated: the gap may be NaN
        block = min(gate.every, gate.extra_updates_max - extra)
        for _ in range(block):
            improve()
        extra, found = extra + block, promise()
    total = learner.warmup_updates + extra
    if found.gap <= gate.tolerance:
        logger.info("critics after %d updates: %s", total, found)
    else:
        logger.warning(
            "critics after %d updates: %s, more than gate.tolerance %g apart; the actor starts all the same",
            total,
            found,
            gate.tolerance,
        )
    return found
