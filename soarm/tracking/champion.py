"""Which residual is a task's champion: decided by tests on the same scenes, never by hand or by date.

A residual takes the alias `champion` if

1. it was not trained under the profile `ci`;
2. in `compare` it solved more scenes than its base alone, and McNemar's exact test on the paired scenes gives p < 0.05;
3. it solves no fewer than the present champion of the scenes that both were tested on, in the same simulator. Where there are
   none the two cannot be compared, and 1 and 2 decide.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

from soarm.evaluation.results import Results

MAX_P = 0.05
_NO_TEST_OF = "ci"


class PairedTest(NamedTuple):
    """What `compare` found of a residual.

    Attributes:
        profile: Profile of the parameters.
        gains: Scenes it solves and its base alone does not.
        losses: Scenes its base alone solves and it does not.
        p: McNemar's exact test of the two.
        simulator: Hash of the simulator's parameters.
        solved: Seed of the scene -> whether it was solved.
    """

    profile: str
    gains: int
    losses: int
    p: float
    simulator: str
    solved: dict[int, bool]

    def to_json(self) -> str:
        """Return it as text, for `from_json`."""
        return json.dumps(self._asdict() | {"solved": {str(seed): int(done) for seed, done in self.solved.items()}})

    @classmethod
    def from_json(cls, text: str) -> PairedTest:
        """Return what `to_json` wrote down."""
        values = json.loads(text)
        return cls(**values | {"solved": {int(seed): bool(done) for seed, done in values["solved"].items()}})


def read_test(compared: Path, metrics: dict[str, Any]) -> PairedTest:
    """Return the test of the residual that the stage `compare` compared.

    Args:
        compared: Folder that it wrote.
        metrics: Its metrics.
    """
    rows = Results.load(compared, "residual")
    return PairedTest(
        metrics["profile"],
        metrics["gains"],
        metrics["regressions"],
        metrics["mcnemar_p"],
        rows.provenance["simulator"],
        {seed: bool(done) for seed, done in zip(rows.seeds, rows.success, strict=True)},
    )


def verdict(found: PairedTest, champion: PairedTest | None) -> tuple[bool, str]:
    """Return whether a residual takes the place of the present champion, and why."""
    if found.profile == _NO_TEST_OF:
        return False, f"the profile {_NO_TEST_OF} proves nothing"
    test = f"gains {found.gains} scenes on its base and loses {found.losses} (exact McNemar p = {found.p:.2g})"
    if found.gains <= found.losses or found.p >= MAX_P:
        return False, f"{test}: not proven better than its base"
    if champion is None:
        return True, f"{test}; the first of its task"
    common = found.solved.keys() & champion.solved.keys() if found.simulator == champion.simulator else set()
    if not common:
        return True, f"{test}; tested on no scene that the champion before it was tested on, in the same simulator"
    own, other = (sum(one.solved[seed] for seed in common) for one in (found, champion))
    compared = f"solves {own} of {len(common)} scenes, the champion before it {other}"
    return own >= other, f"{test}; {compared}"
