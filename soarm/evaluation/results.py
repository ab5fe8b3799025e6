"""What an evaluation leaves behind: one row per episode, in memory, as Parquet and as CSV.

Knows files and columns; knows no policy and no environment. The same rows give the same bytes.
"""

from __future__ import annotations

import csv
import dataclasses
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from soarm.errors import DatasetError, SmallFileError
from soarm.smallfile import parse_json
from soarm.spec import DEFAULT_TASK
from soarm.tasks.registry import find as find_task
from soarm.tasks.task import Task

UNSEEN = ""
"""In the place of the furthest stage of an episode that a person judged by its end."""


@dataclasses.dataclass(frozen=True)
class EpisodeRow:
    """One evaluated episode. Positions are in the arm's base frame; NaN means: there is no such number.

    Attributes:
        seed: What the scene was drawn from.
        success: Whether the task was done.
        outcome: Of `Task.outcomes`: success or the failure class.
        furthest_stage: Name of the furthest of `Task.stages`, in lower case; `UNSEEN` where nobody saw it.
        steps: Control steps until success or the time limit.
        time_to_success_s: Duration of a successful episode [s]; NaN for a failed one.
        return_shaped: Sum of the shaped reward.
        return_sparse: Sum of the reward the environment paid (1 for success).
        action_acceleration_rms_deg_s2: Root mean square of the second difference of the commanded arm joints [deg/s^2].
        action_jerk_rms_deg_s3: Root mean square of their third difference [deg/s^3].
        of_task: The task's own columns (`Task.columns`): name -> value.
    """

    seed: int
    success: bool
    outcome: str
    furthest_stage: str
    steps: int
    time_to_success_s: float
    return_shaped: float
    return_sparse: float
    action_acceleration_rms_deg_s2: float
    action_jerk_rms_deg_s3: float
    of_task: Mapping[str, bool | float]

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> EpisodeRow:
        """Return the row of these columns, name -> value, those of the task among them."""
        own = {name: value for name, value in values.items() if name not in _OF_ALL}
        return cls(**{name: values[name] for name in _OF_ALL}, of_task=own)

    def value(self, column: str) -> Any:
        """Return the value of a column."""
        return self.of_task[column] if column in self.of_task else getattr(self, column)


_OF_ALL = {field.name: str(field.type) for field in dataclasses.fields(EpisodeRow) if field.name != "of_task"}
_PROVENANCE, _TASK = b"soarm.provenance", b"soarm.task"  # keys in the Parquet file's metadata
_TYPES = {"int": pa.int64(), "bool": pa.bool_(), "str": pa.string(), "float": pa.float64()}


def columns(task: Task) -> dict[str, str]:
    """Return column -> name of its type: what every task's rows have, then the task's own."""
    return _OF_ALL | {column.name: column.kind.__name__ for column in task.columns}


def _schema(task: Task) -> pa.Schema:
    return pa.schema([(name, _TYPES[kind]) for name, kind in columns(task).items()])


@dataclasses.dataclass(frozen=True)
class Results:
    """The rows of one policy, in the order of the seeds.

    Attributes:
        rows: One per episode.
        task: The task.
        provenance: What the rows follow from, name -> hash or value (checkpoint, simulator): with the same seeds, equal ones
            mean equal rows. Kept in the Parquet file's metadata.
    """

    rows: tuple[EpisodeRow, ...]
    task: Task
    provenance: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def seeds(self) -> tuple[int, ...]:
        """Scene seeds, one per row."""
        return tuple(row.seed for row in self.rows)

    @property
    def success(self) -> NDArray[np.bool_]:
        """Success per row, shape (N,)."""
        return np.array([row.success for row in self.rows], dtype=bool)

    def column(self, name: str) -> NDArray[Any]:
        """Return one column as an array, shape (N,)."""
        return np.array([row.value(name) for row in self.rows])

    def select(self, seeds: Iterable[int]) -> Results:
        """Return the rows of some of its seeds, in that order."""
        by_seed = {row.seed: row for row in self.rows}
        return Results(tuple(by_seed[seed] for seed in seeds), self.task, self.provenance)

    @classmethod
    def joined(cls, several: Sequence[Results]) -> Results:
        """Return the rows of all, one after the other; they follow from the same."""
        return dataclasses.replace(several[0], rows=tuple(row for one in several for row in one.rows))

    def save(self, folder: Path, name: str = "episodes") -> None:
        """Write `<name>.parquet` (exact) and `<name>.csv` (six significant digits, for reading) into `folder`."""
        schema, names = _schema(self.task), list(columns(self.task))
        arrays = [pa.array([row.value(one.name) for row in self.rows], one.type, from_pandas=True) for one in schema]
        schema = schema.with_metadata({_PROVENANCE: json.dumps(dict(self.provenance), sort_keys=True), _TASK: self.task.name})
        pq.write_table(pa.Table.from_arrays(arrays, schema=schema), folder / f"{name}.parquet", compression="zstd")
        with (folder / f"{name}.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(names)
            writer.writerows([_readable(row.value(name)) for name in names] for row in self.rows)

    @classmethod
    def load(cls, folder: Path, name: str = "episodes") -> Results:
        """Read what `save` wrote.

        Raises:
            DatasetError: The file is missing, unreadable or of another layout.
        """
        path = folder / f"{name}.parquet"
        if not path.is_file():
            raise DatasetError(f"{path} does not exist; an evaluation writes it (`dvc repro eval_base`)")
        try:
            table = pq.read_table(path)
        except (pa.ArrowInvalid, OSError) as error:
            raise DatasetError(
                f"{path} is not a readable Parquet file ({error}); evaluate again (`dvc repro -f eval_base`)"
            ) from error
        metadata = table.schema.metadata or {}
        task = find_task(metadata.get(_TASK, DEFAULT_TASK.encode()).decode(errors="replace"), DatasetError)
        if not table.schema.equals(_schema(task)):
            found, expected = ({field.name: str(field.type) for field in one} for one in (table.schema, _schema(task)))
            raise DatasetError(
                f"{path} has the columns {found}; expected are {expected}. "
                "It was written by another version: evaluate again (`dvc repro -f eval_base`)"
            )
        rows: list[dict[str, Any]] = table.to_pylist()
        try:
            provenance = parse_json(metadata.get(_PROVENANCE, b"{}"))
        except SmallFileError as error:
            raise DatasetError(f"the provenance in {path} {error}; evaluate again (`dvc repro -f eval_base`)") from None
        values = ({key: math.nan if value is None else value for key, value in row.items()} for row in rows)
        return cls(tuple(EpisodeRow.of(one) for one in values), task, provenance)


def find(folder: Path, provenance: Mapping[str, str], seeds: Iterable[int]) -> Results | None:
    """Return the rows saved in `folder` if they are those of `seeds` and of that provenance, else None."""
    found = Results.load(folder)
    return found if found.provenance == provenance and found.seeds == tuple(seeds) else None


def _readable(value: object) -> object:
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.6g}"
    return value
