"""Parameters of the export and of the checks that a bundle must pass."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class ExportParams:
    """How networks are exported and what is asked of the result.

    Attributes:
        opset: ONNX operator set.
        n_observations: Recorded observations to compare torch and ONNX on, at least; whole episodes are played.
        max_abs_deg: Largest difference allowed in any output [deg; percent for the gripper].
        n_check: Held-out scenes on which torch and ONNX both drive the simulator.
        n_rows: Scenes simulated at once.
        n_threads: Threads that step physics.
        min_p: Smallest p-value at which a difference of success still passes as chance; see `soarm.export.agreement`.
        n_latency_calls: Calls timed per network.
        register: Whether MLflow lists the networks as the newest versions of `soarm-act` and `soarm-residual`. False for
            settings so small that their networks mean nothing.
    """

    opset: int
    n_observations: int
    max_abs_deg: float
    n_check: int
    n_rows: int
    n_threads: int
    min_p: float
    n_latency_calls: int
    register: bool

    def __post_init__(self) -> None:
        for name in ("n_observations", "n_check", "n_rows", "n_threads", "n_latency_calls"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be at least 1")
        if self.opset < 18:
            raise ValueError(f"opset is {self.opset}; the exporter of torch knows 18 and above")
        if not self.max_abs_deg > 0:
            raise ValueError(f"max_abs_deg is {self.max_abs_deg}; it must be above 0 (float32 gives a few 1e-5 deg)")
        if not 0 < self.min_p < 1:
            raise ValueError(
                f"min_p is {self.min_p}; it must be between 0 and 1 (0.01 refuses one faithful bundle in a hundred)"
            )
