"""The runs of the study in equal parts, for as many jobs: `--shard 2/8` is the second of eight."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from soarm.errors import ParamsError

T = TypeVar("T")


@dataclass(frozen=True)
class Shard:
    """One of equal parts.

    Attributes:
        index: Which, from 1 on.
        count: Of how many.
    """

    index: int
    count: int

    @classmethod
    def parse(cls, text: str) -> Shard:
        """Read "2/8".

        Raises:
            ParamsError: It is no shard, or there are not so many.
        """
        found = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text.strip(), re.ASCII)
        if not found or not 1 <= int(found[1]) <= int(found[2]):
            raise ParamsError(f"the shard is {text[:40]!r}; write i/n with i in 1..n: 1/8 is the first of eight, 8/8 the last")
        return cls(int(found[1]), int(found[2]))

    def of(self, runs: Sequence[T]) -> list[T]:
        """Return the runs of this shard; every run is in one shard of a count, and shards differ by one run at most.

        Neighbours, such as the seeds of a variant, go to different shards: runs of one kind take equally long.
        """
        return list(runs[self.index - 1 :: self.count])
