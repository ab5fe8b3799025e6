"""Values of an observation that are computed when somebody takes them: pictures, and what an eye says of them.

Knows neither cameras nor networks: whoever makes such values says how they are computed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

Compute = Callable[[Sequence[Any]], Mapping[str, NDArray[Any]]]
"""Sources of k rows -> feature key -> values, shape (k, *shape of the feature)."""


class LazyRow:
    """What is computed together of one row at one step, such as the pictures of all cameras.

    Attributes:
        source: What it follows from; None once it is computed.
        values: Feature key -> value, once it is computed.
    """

    __slots__ = ("source", "values")

    def __init__(self, source: Any) -> None:
        self.source, self.values = source, dict[str, NDArray[Any]]()


class LazyRows(np.lib.mixins.NDArrayOperatorsMixin):
    """A feature of B rows in the place of an array, computed when NumPy takes it as one, in any thread, and then once.

    Selecting rows (`value[rows]`, `value[i]`), copying, replacing rows (`value[rows] = other`) and `stack` compute nothing.
    Parts of a row (`value[i, 0]`), operators and NumPy's functions do, and leave a plain array.

    Args:
        rows: The rows, of any shape.
        key: Of the feature.
        shape: Of the feature, without rows.
        dtype: Of the feature.
        compute: Computes rows from their sources; the same source gives the same values.
    """

    def __init__(
        self, rows: Sequence[Any] | NDArray[np.object_], key: str, shape: tuple[int, ...], dtype: DTypeLike, compute: Compute
    ) -> None:
        self._rows: NDArray[np.object_] = np.asarray(rows, np.object_)
        self._key, self._shape, self.dtype, self._compute = key, shape, np.dtype(dtype), compute

    @property
    def shape(self) -> tuple[int, ...]:
        """As an array's."""
        return self._rows.shape + self._shape

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: Any) -> Any:
        if self._rows.ndim == 0 or isinstance(index, tuple):
            return np.asarray(self)[index]
        return self._of(self._rows[index])

    def __setitem__(self, rows: Any, other: LazyRows) -> None:
        self._rows[rows] = other._rows

    def copy(self) -> LazyRows:
        """Return the same rows, to be replaced without effect on these."""
        return self._of(self._rows.copy())

    def _of(self, rows: Any) -> LazyRows:
        return LazyRows(rows, self._key, self._shape, self.dtype, self._compute)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        plain = (np.asarray(value) if isinstance(value, LazyRows) else value for value in inputs)
        return getattr(ufunc, method)(*plain, **options)

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        if copy is False:
            raise ValueError("a lazy value is an array of its own whenever it is taken; leave copy=False out")
        rows = self._rows.ravel().tolist()
        missing = {row: source for row in rows if (source := row.source) is not None}
        if missing:
            found = self._compute(list(missing.values()))
            for i, row in enumerate(missing):
                # In this order: another thread that finds no source finds the values.
                row.values = {key: value[i] for key, value in found.items()}
                row.source = None
        taken = np.empty((len(rows), *self._shape), dtype or self.dtype)
        for i, row in enumerate(rows):
            taken[i] = row.values[self._key]
        return taken.reshape(self.shape)


def stack(values: Sequence[Any]) -> Any:
    """Return what `np.stack` does; of lazy values a lazy one."""
    if all(isinstance(value, LazyRows) for value in values):
        return values[0]._of(np.stack([value._rows for value in values]))
    return np.stack(values)
