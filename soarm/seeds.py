"""Which scenes are drawn for what: disjoint ranges of seeds, so that nothing is tested on a scene it was trained on."""

from __future__ import annotations

from typing import Annotated, Literal

from soarm.quantities import SEEDS, within

Split = Literal["record", "residual", "validation", "test", "eye"]

_PER_RUN = 1_000_000
_SPAN = len(SEEDS) * _PER_RUN
_FIRST: dict[str, int] = {
    "record": 0 * _SPAN,
    "residual": 1 * _SPAN,
    "validation": 2 * _SPAN,
    "eye": 5 * _SPAN,
    "test": 4 * _SPAN,  # the span before it served while defaults were chosen: tests use scenes that nobody has looked at
}
Scenes = Annotated[int, within(least=1, most=_PER_RUN, why="a split has no more scenes")]
"""A number of scenes, as a parameter."""


def scene_seeds(split: Split, seed: int = 0) -> range:
    """Return the scene seeds of a split; take as many as are needed from the front.

    The scenes for recording, for residual training and for an eye's frames change with the run's `seed` (0..9); validation and
    test scenes are the same for every run, so that runs can be compared scene by scene.

    Raises:
        ValueError: `seed` is outside 0..9.
    """
    if seed not in SEEDS:
        allowed = f"{SEEDS.start}..{SEEDS.stop - 1}"
        raise ValueError(f"seed is {seed}; allowed are {allowed}, so that the scenes of two runs never overlap")
    first = _FIRST[split] + (seed * _PER_RUN if split in ("record", "residual", "eye") else 0)
    return range(first, first + _PER_RUN)
