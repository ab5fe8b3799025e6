"""Who becomes champion: whoever a paired test on the same scenes prefers."""

from __future__ import annotations

import pytest

from soarm.tracking.champion import PairedTest, verdict


def paired(
    solved: str, *, p: float = 0.001, gains: int = 9, losses: int = 0, profile: str = "default", sim: str = "a"
) -> PairedTest:
    return PairedTest(profile, gains, losses, p, sim, {seed: mark == "+" for seed, mark in enumerate(solved)})


@pytest.mark.parametrize(
    ("found", "champion", "wins", "why"),
    [
        (paired("++--"), None, True, "the first of its task"),
        (paired("++++", profile="ci"), None, False, "the profile ci proves nothing"),
        (paired("++++", p=0.06), None, False, "not proven better than its base"),
        (paired("++++", gains=0, losses=9), None, False, "not proven better than its base"),
        (paired("+++-"), paired("++--"), True, "solves 3 of 4 scenes, the champion before it 2"),
        (paired("--++"), paired("++--"), True, "solves 2 of 4 scenes, the champion before it 2"),
        (paired("+---"), paired("++--"), False, "solves 1 of 4 scenes, the champion before it 2"),
        (paired("+-"), paired("+-++++"), True, "solves 1 of 2 scenes, the champion before it 1"),
        (paired("+---", sim="b"), paired("++--"), True, "tested on no scene that the champion before it was tested on"),
        (paired("++++", p=0.06), paired("+---", sim="b"), False, "not proven better than its base"),
    ],
)
def test_the_champion_changes_where_tests_say_so(found: PairedTest, champion: PairedTest | None, wins: bool, why: str) -> None:
    decided, reason = verdict(found, champion)

    assert decided is wins
    assert why in reason


def test_a_test_survives_being_written_down() -> None:
    found = paired("+-+-", p=1.5e-30)

    assert PairedTest.from_json(found.to_json()) == found
