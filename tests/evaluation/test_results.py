import csv
import dataclasses

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from soarm.errors import DatasetError
from soarm.evaluation.results import Results, columns, find
from soarm.tasks.pick_place import TASK


def test_parquet_gives_back_every_row_and_the_provenance(make_results, tmp_path):
    results = Results(make_results([True, False, True]).rows, TASK, {"train_act": "abc", "sim": "def"})
    results.save(tmp_path)
    loaded = Results.load(tmp_path)

    def flat(row):
        return {name: row.value(name) for name in columns(TASK)}

    np.testing.assert_equal([flat(row) for row in loaded.rows], [flat(row) for row in results.rows])
    assert [type(value) for value in flat(loaded.rows[0]).values()] == [type(v) for v in flat(results.rows[0]).values()]
    assert loaded.task is TASK
    assert loaded.provenance == {"train_act": "abc", "sim": "def"}


def test_the_same_rows_give_the_same_bytes(make_results, tmp_path):
    for name in ("a", "b"):
        make_results([True, False, True]).save(tmp_path, name)

    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()


def test_parquet_leaves_empty_what_does_not_exist(make_results, tmp_path):
    make_results([True, False]).save(tmp_path)

    assert pq.read_table(tmp_path / "episodes.parquet").column("time_to_success_s").to_pylist() == [4.0, None]


def test_csv_can_be_read_by_a_person(make_results, tmp_path):
    make_results([True, False]).save(tmp_path)
    with (tmp_path / "episodes.csv").open(encoding="utf-8") as file:
        first, second = csv.DictReader(file)

    assert list(first) == list(columns(TASK))
    assert (first["seed"], first["success"], first["time_to_success_s"], first["cube_y_m"]) == ("100", "1", "4", "-0.2")
    assert (second["success"], second["time_to_success_s"], second["outcome"]) == ("0", "", "dropped")


def test_select_follows_the_seeds_asked_for(make_results):
    results = make_results([True, False, True])

    assert results.select([102, 100]).seeds == (102, 100)


def test_missing_rows_say_which_stage_writes_them(tmp_path):
    with pytest.raises(DatasetError, match=r"episodes.parquet does not exist.*dvc repro eval_base"):
        Results.load(tmp_path)


def test_a_truncated_file_is_refused_by_name(make_results, tmp_path):
    make_results([True, False]).save(tmp_path)
    path = tmp_path / "episodes.parquet"
    path.write_bytes(path.read_bytes()[:-20])

    with pytest.raises(DatasetError, match=r"episodes.parquet is not a readable Parquet file"):
        Results.load(tmp_path)


def test_a_file_with_other_columns_is_refused(tmp_path):
    pq.write_table(pa.table({"seed": [1]}), tmp_path / "episodes.parquet")

    with pytest.raises(DatasetError, match=r"has the columns \{'seed': 'int64'\}; expected"):
        Results.load(tmp_path)


def test_rows_of_a_task_that_is_not_there_are_refused(make_results, tmp_path):
    strange = dataclasses.replace(TASK, name="juggle")
    Results(make_results([True]).rows, strange).save(tmp_path)

    with pytest.raises(DatasetError, match=r"the task is 'juggle'; there are \[.*'pick_place'"):
        Results.load(tmp_path)


def test_rows_are_found_again_by_provenance_and_seeds(make_results, tmp_path):
    Results(make_results([True, False, True]).rows, TASK, {"policy": "abc"}).save(tmp_path)
    found = find(tmp_path, {"policy": "abc"}, [100, 101, 102])

    assert found is not None
    assert found.success.tolist() == [True, False, True]


@pytest.mark.parametrize(("policy", "seeds"), [("other", [100, 101, 102]), ("abc", [100, 101]), ("abc", [100, 102, 101])])
def test_rows_of_another_policy_or_other_seeds_are_not_used(make_results, tmp_path, policy, seeds):
    Results(make_results([True, False, True]).rows, TASK, {"policy": "abc"}).save(tmp_path)

    assert find(tmp_path, {"policy": policy}, seeds) is None
