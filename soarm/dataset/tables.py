"""Arrow tables of a dataset, to and from numpy. Knows columns and their types, no folders."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from soarm.dataset import layout
from soarm.dataset.statistics import Statistics

TASK_COLUMN = "task"
_SHOWN = 12
"""Columns that a message names."""

_NUMBERS = {
    pa.from_numpy_dtype(name): np.dtype(name) for name in ("f2", "f4", "f8", *(f"{k}{n}" for k in "iu" for n in (1, 2, 4, 8)))
}
"""Arrow's types of numbers.

This and the arrays made of buffers below stand for `pa.array`, `to_numpy` and `to_pandas_dtype`, which import pandas: that
takes a second, and the first episode of a recording at 30 Hz does not have one.
"""


def frames(columns: Mapping[str, NDArray[np.generic]], copied: pa.Table | None = None) -> pa.Table:
    """Return rows of frames: (N, D) as fixed-size lists of float32, (N,) as scalars; D = 1 becomes a scalar as in LeRobot.

    Args:
        columns: Name -> values, in the order of the table's columns.
        copied: Columns that are taken as they are, in the place of that name or before LeRobot's default columns.
    """
    made = {key: _frame_array(values) for key, values in columns.items()}
    if copied is not None:
        cells = dict(zip(copied.column_names, copied.columns, strict=True))
        made = {key: made[key] for key in made if key not in layout.DEFAULTS} | cells | {k: made[k] for k in layout.DEFAULTS}
    return pa.table(made)


def rows(path: Path, first: int, length: int, columns: Sequence[str]) -> pa.Table:
    """Return consecutive rows of a parquet file; row groups with none of them are not read.

    Raises:
        FileNotFoundError: There is no file.
        ValueError: It is truncated or no parquet, lacks a column, or has too few rows.
    """
    with open(path, "rb") as stream:
        try:
            file = pq.ParquetFile(stream, page_checksum_verification=True)
            ends = np.cumsum([0, *(file.metadata.row_group(i).num_rows for i in range(file.num_row_groups))])
            if not 0 <= first <= first + length <= ends[-1]:
                raise ValueError(f"it has {ends[-1]} rows, and {first}..{first + length - 1} are needed")
            groups = [i for i in range(file.num_row_groups) if ends[i] < first + length and ends[i + 1] > first]
            start = int(ends[groups[0]]) if groups else first
            found = file.read_row_groups(groups, columns=list(columns), use_threads=False).slice(first - start, length)
        except (pa.ArrowInvalid, OSError) as error:
            raise ValueError(f"it is truncated, damaged or no parquet file ({error})") from error
    missing = [name for name in columns if name not in found.column_names]
    if missing:
        raise ValueError(f"it lacks the columns {missing}")
    return found


def tasks(texts: Sequence[str]) -> pa.Table:
    """Return the task table: the text is the *index* of a pandas frame, which LeRobot needs to find it."""
    table = pa.table({"task_index": _flat_array(np.arange(len(texts), dtype=np.int64)), TASK_COLUMN: _text_array(texts)})
    columns = [
        {"name": "task_index", "field_name": "task_index", "pandas_type": "int64", "numpy_type": "int64", "metadata": None},
        {"name": TASK_COLUMN, "field_name": TASK_COLUMN, "pandas_type": "unicode", "numpy_type": "object", "metadata": None},
    ]
    pandas = {"index_columns": [TASK_COLUMN], "column_indexes": [], "columns": columns, "pandas_version": "2.0.0"}
    return table.replace_schema_metadata({"pandas": json.dumps(pandas)})


def task_texts(table: pa.Table) -> list[str]:
    """Return the task texts in the order of their index.

    Raises:
        ValueError: The table is no task table.
    """
    names = [name for name in table.column_names if name != "task_index"]
    if "task_index" not in table.column_names or len(names) != 1:
        raise ValueError(f"it has the columns {table.column_names}, not task_index and one with the texts")
    index = table["task_index"].to_pylist()
    if index != list(range(len(index))):
        raise ValueError(f"task_index is {index}, not 0..{len(index) - 1} in order")
    return [str(text) for text in table[names[0]].to_pylist()]


def episodes(
    columns: Mapping[str, Sequence[float]], texts: Sequence[Sequence[str]], statistics: Sequence[Mapping[str, Statistics]]
) -> pa.Table:
    """Return the table of episodes, one row each.

    Args:
        columns: Column -> one number per episode; whole ones as int64, others as float64.
        texts: Per episode: its tasks, the column `tasks`.
        statistics: Per episode: feature -> statistics, flattened into the columns `stats/<feature>/<name>`.
    """
    arrays = {key: _flat_array(np.asarray(values)) for key, values in columns.items()}
    tasks_after = np.cumsum([0, *map(len, texts)], dtype=np.int32)
    arrays["tasks"] = pa.ListArray.from_arrays(_flat_array(tasks_after), _text_array([text for one in texts for text in one]))
    for feature, stats in statistics[0].items():
        for name in stats:
            stacked = np.stack([one[feature][name] for one in statistics])  # (E, D), or (E, 3, 1, 1) of a camera
            lists = _flat_array(stacked)
            for width in reversed(stacked.shape[1:]):
                offsets = np.arange(len(lists) // width + 1, dtype=np.int32) * np.int32(width)
                lists = pa.ListArray.from_arrays(_flat_array(offsets), lists)
            arrays[f"stats/{feature}/{name}"] = lists
    return pa.table(arrays)


def to_bytes(table: pa.Table) -> memoryview:
    """Return the table as a parquet file; equal tables give equal bytes."""
    sink = pa.BufferOutputStream()
    write(sink, [table])
    return memoryview(sink.getvalue())


def write(stream: IO[bytes] | pa.NativeFile, row_groups: Sequence[pa.Table]) -> None:
    """Write a parquet file with the given row groups; its pages carry checksums, so that `read` notices a changed byte."""
    with pq.ParquetWriter(stream, row_groups[0].schema, compression="snappy", write_page_checksum=True) as file:
        for table in row_groups:
            file.write_table(table, row_group_size=table.num_rows)


def read(path: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """Read a parquet file, whole or some columns.

    Raises:
        FileNotFoundError: There is none.
        ValueError: The file is truncated, changed, no parquet, or lacks a column.
    """
    with open(path, "rb") as stream:
        try:
            file = pq.ParquetFile(stream, page_checksum_verification=True)
            missing = [name for name in columns or () if name not in file.schema_arrow.names]
            if missing:
                there = file.schema_arrow.names
                more = f" and {len(there) - _SHOWN} more" if len(there) > _SHOWN else ""
                raise ValueError(f"it lacks the columns {missing}; it has {there[:_SHOWN]}{more}")
            return file.read(columns, use_threads=False)
        except (pa.ArrowInvalid, OSError) as error:
            raise ValueError(f"it is truncated, damaged or no parquet file ({error})") from error


def column_names(path: Path) -> list[str]:
    """Return the names of the columns of a parquet file."""
    return [str(name) for name in pq.read_schema(path).names]


def replace_columns(path: Path, changed: Callable[[pa.Table], Mapping[str, Sequence[object]]]) -> memoryview:
    """Return a parquet file with some columns replaced; types, row groups and metadata are those of the file.

    Args:
        path: The file; it is not changed.
        changed: Returns for each row group the columns to replace: name -> one value per row.

    Raises:
        ValueError: The file is truncated or no parquet.
    """
    groups = []
    with open(path, "rb") as stream:
        try:
            file = pq.ParquetFile(stream)
            for number in range(file.num_row_groups):
                table = file.read_row_group(number, use_threads=False)
                for name, values in changed(table).items():
                    place = table.column_names.index(name)
                    table = table.set_column(place, table.field(place), pa.array(values, table.field(place).type))
                groups.append(table)
        except (pa.ArrowInvalid, OSError) as error:
            raise ValueError(f"it is truncated, damaged or no parquet file ({error})") from error
    sink = pa.BufferOutputStream()
    write(sink, groups)
    return memoryview(sink.getvalue())


def to_numpy(column: pa.ChunkedArray, width: int) -> NDArray[np.generic]:
    """Return a column of numbers as (N, width) in its own dtype, not writable.

    Raises:
        ValueError: It holds nulls, text, or lists of another length.
    """
    array = column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
    if array.null_count:
        raise ValueError(f"it has {array.null_count} empty rows")
    n_rows = len(array)
    if pa.types.is_fixed_size_list(array.type) or pa.types.is_list(array.type) or pa.types.is_large_list(array.type):
        if not pa.types.is_fixed_size_list(array.type):
            lengths = np.unique(np.diff(array.offsets.to_numpy()))
            if n_rows and lengths.tolist() != [width]:
                raise ValueError(f"its rows have lengths {lengths.tolist()}, not {width}")
        array = array.flatten()
        if array.null_count:
            raise ValueError(f"it has {array.null_count} empty elements")
    dtype = _NUMBERS.get(array.type)
    if dtype is None:
        raise ValueError(f"its type is {column.type}, not numbers")
    if len(array) != n_rows * width:
        raise ValueError(f"its rows have {len(array) / max(n_rows, 1):g} elements, not {width}")
    if not n_rows:
        return np.empty((0, width), dtype)
    numbers = np.frombuffer(array.buffers()[-1], dtype, count=len(array), offset=array.offset * dtype.itemsize)
    return numbers.reshape(n_rows, width)


def _frame_array(values: NDArray[np.generic]) -> pa.Array:
    flat = _flat_array(values)
    if values.ndim == 1 or values.shape[1] == 1:
        return flat
    return pa.FixedSizeListArray.from_arrays(flat, type=pa.list_(pa.field("element", flat.type), values.shape[1]))


def _text_array(texts: Sequence[str]) -> pa.Array:
    encoded = [text.encode() for text in texts]
    ends = np.cumsum([0, *map(len, encoded)], dtype=np.int32)
    return pa.StringArray.from_buffers(len(encoded), pa.py_buffer(ends), pa.py_buffer(b"".join(encoded)))


def _flat_array(values: NDArray[np.generic]) -> pa.Array:
    """Wrap the numbers, row by row, without a copy."""
    flat = np.ascontiguousarray(values).reshape(-1)
    return pa.Array.from_buffers(pa.from_numpy_dtype(flat.dtype), len(flat), [None, pa.py_buffer(flat)])
