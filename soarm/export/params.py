"""Parameters of the export and of the checks that a bundle must pass."""

from __future__ import annotations

import dataclasses
from typing import Annotated

from soarm.quantities import Count, InnerShare, Positive, Share, Threads, within
from soarm.seeds import Scenes


@dataclasses.dataclass(frozen=True)
class ExportParams:
    """How networks are exported and what is asked of the result.

    Attributes:
        opset: ONNX operator set.
        n_observations: Recorded observations to compare torch and ONNX on, at least; whole episodes are played.
        max_abs_deg: Largest difference allowed in any output [deg; percent for the gripper]; float32 gives a few 1e-5.
        n_check: Held-out scenes on which torch and ONNX both drive the simulator.
        n_rows: Scenes simulated at once.
        n_threads: Threads that step physics.
        min_p: Smallest p-value at which a difference of success still passes as chance (0.01 refuses one faithful bundle in a
            hundred); see `soarm.export.agreement`.
        n_latency_calls: Calls timed per network.
        register: Whether MLflow registers the networks as the newest versions of `soarm-<task>`. False for settings so small
            that their networks mean nothing.
        int8: Whether networks that look at pictures compute in 8-bit integers; see `soarm.export.int8`.
        int8_scenes: Validation scenes on which the bundle drives in float32 and in integers.
        int8_max_loss: Largest share of these scenes that integers may lose, less those that they gain.
    """

    opset: Annotated[int, within(least=18, most=100, why="the exporter of torch knows 18 and above")]
    n_observations: Count
    max_abs_deg: Positive
    n_check: Scenes
    n_rows: Count
    n_threads: Threads
    min_p: InnerShare
    n_latency_calls: Count
    register: bool
    int8: bool
    int8_scenes: Scenes
    int8_max_loss: Share
