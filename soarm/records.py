"""The small files beside a stage's results: metrics as JSON, metrics over steps as DVCLive lays them out or as CSV."""

from __future__ import annotations

import csv
import dataclasses
import json
import math
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from soarm.errors import StageError
from soarm.smallfile import parse_json, write_atomically

Row = tuple[int, dict[str, float]]


class History:
    """Metrics over steps, kept in a file as they come so that a run that resumes has all of them.

    Args:
        path: Where to keep them; None keeps them in memory only.
        live: Folder for one TSV per metric, written as they come, in the layout of DVCLive's `plots/metrics`: `dvc plots` and
            DVC's extension of VS Code draw them meanwhile. What an earlier run left there goes with the first of them.
    """

    def __init__(self, path: Path | None = None, live: Path | None = None) -> None:
        self._path, self._live = path, live
        self._rows: list[Row] = []
        self._resumed = False
        self._earlier = list(_read_lines(path)) if path is not None and path.exists() else []

    def add(self, step: int, metrics: Mapping[str, float]) -> list[Row]:
        """Add metrics at `step`, and return the rows of an earlier, killed run that stay valid before it (once)."""
        kept = [row for row in self._earlier if row[0] < step]
        if not self._resumed and self._path is not None:
            _write_lines(self._path, kept)
        row = (step, {key: float(value) for key, value in metrics.items()})
        self._rows += [*kept, row]
        self._earlier = []
        if self._live is not None:
            self._write_live(self._live, metrics if self._resumed else None)
        self._resumed = True
        if self._path is not None:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
        return kept

    def __len__(self) -> int:
        return len(self._earlier) + len(self._rows)

    def write_live(self) -> None:
        """Write the TSV of every metric anew, where there is a folder for them and anything to write."""
        if self._live is not None and len(self):
            self._write_live(self._live)

    def _write_live(self, folder: Path, names: Iterable[str] | None = None) -> None:
        """Write the TSV of some metrics; of all, and none but those, if none is named."""
        curves: dict[str, dict[int, float]] = {}
        for step, metrics in [*self._earlier, *self._rows]:
            for name, value in metrics.items():
                if not math.isnan(value):
                    curves.setdefault(name, {})[step] = value
        if names is None:
            shutil.rmtree(folder, ignore_errors=True)
        for name in curves if names is None else curves.keys() & set(names):
            path = folder / f"{name}.tsv"
            path.parent.mkdir(parents=True, exist_ok=True)
            lines = [f"step\t{path.stem}", *(f"{step}\t{value}" for step, value in curves[name].items())]
            write_atomically(path, "\n".join(lines) + "\n", StageError, durable=False)

    def write_csv(self, path: Path) -> None:
        """Write one line per step: `step`, then every metric in order of first appearance; empty where not logged or NaN."""
        rows = [*self._earlier, *self._rows]  # earlier ones are left only where the run resumed behind its last step
        columns = dict.fromkeys(key for _, metrics in rows for key in metrics)
        steps: dict[int, dict[str, float]] = {}
        for step, metrics in rows:
            steps.setdefault(step, {}).update({key: value for key, value in metrics.items() if not math.isnan(value)})
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["step", *columns])
            writer.writerows([step, *(metrics.get(key, "") for key in columns)] for step, metrics in steps.items())


def write_json(path: Path, values: Mapping[str, Any]) -> dict[str, Any]:
    """Write `values` as JSON, all of it or nothing, and return what was written as plain types."""
    written: dict[str, Any] = plain(values)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, json.dumps(written, indent=2, allow_nan=False) + "\n", StageError)
    return written


def plain(value: Any) -> Any:
    """Return `value` as what JSON has: mappings, lists, texts, finite numbers, and None for what is no finite number."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = dataclasses.asdict(value)
    if hasattr(value, "tolist"):  # NumPy scalars and arrays, torch tensors
        value = value.tolist()
    if isinstance(value, Mapping):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _read_lines(path: Path) -> Iterator[Row]:
    for text in path.read_text(encoding="utf-8").splitlines():
        try:
            step, metrics = parse_json(text, kind=list, finite=False)
        except ValueError:
            return  # the line a kill cut short; nothing valid follows it
        yield step, metrics


def _write_lines(path: Path, rows: list[Row]) -> None:
    write_atomically(path, "".join(json.dumps(row) + "\n" for row in rows), StageError)
