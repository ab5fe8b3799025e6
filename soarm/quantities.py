"""What a parameter may be beside its type: declared where the parameter stands, checked by `soarm.params`.

    tau: PositiveShare
    opset: Annotated[int, within(least=18, most=30, why="the exporter of torch knows 18 and above")]
    factors: Annotated[tuple[Positive, ...], SOME, RISING]

A number that declares nothing must be finite and at most `HUGE` in size, a text must not be blank.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable
from typing import Annotated, Any

HUGE = 1e12
"""No number of the project is larger in size."""
SEEDS = range(10)
"""Seeds a run may have: each has scenes of its own (`soarm.seeds.scene_seeds`)."""


@dataclasses.dataclass(frozen=True)
class Allowed:
    """A demand on a value of the right type, as metadata of `typing.Annotated`.

    Attributes:
        text: What is allowed, to follow "it must be".
        holds: Whether a value is.
    """

    text: str
    holds: Callable[[Any], bool]


def within(
    *,
    least: float | None = None,
    above: float | None = None,
    most: float | None = None,
    below: float | None = None,
    why: str = "",
) -> Allowed:
    """Return the demand that a number lies between two ends; an end that is not given is -`HUGE` or `HUGE`.

    Args:
        least: Smallest number allowed.
        above: Or the largest number that is too small.
        most: Largest number allowed.
        below: Or the smallest number that is too large.
        why: The reason, for whoever wanted another number.
    """
    low = f"at least {-HUGE if least is None else least:g}" if above is None else f"above {above:g}"
    high = f"at most {HUGE if most is None else most:g}" if below is None else f"below {below:g}"

    def holds(value: float) -> bool:  # NaN is neither above nor below anything
        enough = value >= (-HUGE if least is None else least) if above is None else value > above
        return enough and (value <= (HUGE if most is None else most) if below is None else value < below)

    return Allowed(f"{low} and {high}" + (f": {why}" if why else ""), holds)


FINITE = Allowed(f"a finite number, at most {HUGE:g} in size", within().holds)
FILLED = Allowed("text that is not blank", lambda text: bool(text.strip()))
SOME = Allowed("one entry or more", lambda values: len(values) > 0)
DIFFERENT = Allowed("entries that differ", lambda values: len(set(values)) == len(values))
RISING = Allowed("numbers that rise", lambda values: all(a < b for a, b in itertools.pairwise(values)))
LOW_HIGH = Allowed("[low, high] with low <= high", lambda pair: pair[0] <= pair[1])

Count = Annotated[int, within(least=1)]
Whole = Annotated[int, within(least=0)]
Threads = Annotated[int, within(least=1, most=1024)]
Seed = Annotated[int, within(least=SEEDS[0], most=SEEDS[-1])]
Positive = Annotated[float, within(above=0)]
NotNegative = Annotated[float, within(least=0)]
NotNegativeRange = Annotated[tuple[NotNegative, NotNegative], LOW_HIGH]
"""A number of 0 or more, drawn uniformly from [low, high]; fixed where both are equal."""
Share = Annotated[float, within(least=0, most=1)]
PositiveShare = Annotated[float, within(above=0, most=1)]
ShareBelowOne = Annotated[float, within(least=0, below=1)]
InnerShare = Annotated[float, within(above=0, below=1)]
