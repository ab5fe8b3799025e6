"""The parts into which jobs divide the runs of the study."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from soarm import params as params_file
from soarm.errors import ParamsError
from soarm.study.shards import Shard
from soarm.study.variants import StudyParams

ROOT = Path(__file__).parents[2]


@given(n_runs=st.integers(0, 60), count=st.integers(1, 70))
def test_every_run_is_in_one_shard_and_shards_are_equal(n_runs: int, count: int) -> None:
    shards = [Shard(index, count).of(range(n_runs)) for index in range(1, count + 1)]

    assert sorted(run for shard in shards for run in shard) == list(range(n_runs))
    assert max(map(len, shards)) - min(map(len, shards)) <= 1


def test_seeds_of_a_variant_are_divided() -> None:
    study = params_file.load(ROOT / "params.yaml", "pick_place").section("study", StudyParams)
    runs = study.runs()
    seeds = [run for run in runs if run[0] == "residual"]

    assert len(seeds) > 1
    assert all(len([run for run in Shard(index, len(seeds)).of(runs) if run in seeds]) == 1 for index in (1, len(seeds)))


def test_a_shard_is_read_as_it_is_typed() -> None:
    assert Shard.parse(" 2/8") == Shard(2, 8)


@pytest.mark.parametrize("text", ["", "2", "0/8", "9/8", "1/0", "-1/8", "1/8/2", "nan/2", "1.5/2", "1/99999999", "²/8"])
def test_what_is_no_shard_is_refused(text: str) -> None:
    with pytest.raises(ParamsError, match=r"write i/n with i in 1\.\.n: 1/8 is the first of eight"):
        Shard.parse(text)
