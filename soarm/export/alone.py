"""A base alone as a bundle: of whatever checkpoint, without a residual, a dataset or a repository."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from soarm import arm, params
from soarm.base import BasePolicy
from soarm.export import parity
from soarm.export.bundle import seal, write_bundle
from soarm.export.params import ExportParams
from soarm.runtime.bundle import PARITY_FILE, Bundle
from soarm.spec import STATE, Feature, PolicySpec

_ROWS, _STEPS, _MOST_VALUES = 4, 32, 20_000_000


def export_alone(base: BasePolicy, folder: Path) -> parity.Parity:
    """Write a bundle of a base, which is compared with the base on random observations.

    Numbers of the export are those of the package's params.yaml. The bundle does not say on what arm the base was trained.

    Args:
        base: The base.
        folder: Exists, and is empty.

    Raises:
        ParityError: What was exported differs from the base.
    """
    spec = base.spec
    chosen = params.load(params.packaged(), spec.task).section("export", ExportParams)
    write_bundle(folder, spec, base, None, chosen.opset)
    found = parity.measure(Bundle.open(folder), base, None, spec, _observations(base.inputs, spec))
    found.require(chosen.max_abs_deg)
    (folder / PARITY_FILE).write_text(json.dumps(found.to_dict(), indent=2) + "\n", encoding="utf-8")
    seal(folder)
    return found


def _observations(inputs: tuple[str, ...], spec: PolicySpec) -> list[dict[str, np.ndarray]]:
    """Return random observations as episodes: joints within their limits, objects within reach, noise for pictures."""
    rng = np.random.default_rng(0)
    values = sum(int(np.prod(spec.features[key].shape)) for key in inputs)
    steps = min(_STEPS, max(1, _MOST_VALUES // (_ROWS * values)))

    def drawn(key: str, feature: Feature) -> np.ndarray:
        shape = (steps, *feature.shape)
        if feature.kind == "image":
            return rng.integers(0, 256, shape, np.uint8)
        low, high = (arm.LOWER, arm.UPPER) if key == STATE else (-0.4, 0.4)
        return rng.uniform(low, high, shape).astype(np.float32)

    return [{key: drawn(key, spec.features[key]) for key in inputs} for _ in range(_ROWS)]
