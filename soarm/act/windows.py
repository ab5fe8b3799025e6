"""Training windows: one observation and the T actions that follow it, gathered from columns in memory and from pictures.

Knows rows and episodes; knows no file and no network. Nothing here runs once per row in Python.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from soarm.act.config import INPUTS
from soarm.base import Demonstrations
from soarm.errors import DatasetError
from soarm.spec import ACTION, STATE, image_keys

_LOOKED_AT = 256
"""Pictures whose maps are computed at once."""


class Batch(NamedTuple):
    """B training windows, raw units.

    Attributes:
        observation: Feature key -> (B, n), what ACT observes of the demonstrations; of a camera uint8, (B, H, W, 3).
        action: The actions from the observation on, (B, T, 6); past the end of the episode its last action repeats.
        is_pad: True where `action` is such a repetition, (B, T).
        maps: Key of a camera -> (B, C, h, w), what a frozen trunk made of its pictures; these are then not in `observation`.
        poses: Of the objects, (B, n), where they are learnt beside the actions.
    """

    observation: Mapping[str, Tensor]
    action: Tensor
    is_pad: Tensor
    maps: Mapping[str, Tensor] = {}
    poses: Tensor | None = None


class Windows:
    """All windows of some episodes; the columns are copied to `device` whole, pictures are asked for batch by batch.

    Args:
        demonstrations: The dataset.
        episodes: Which episodes to take.
        chunk_size: T.
        device: Where batches are gathered.
        observed: Keys of the features in an observation, vectors and cameras.
        poses: Key of the column that is learnt beside the actions.
    """

    def __init__(
        self,
        demonstrations: Demonstrations,
        episodes: NDArray[np.int64],
        chunk_size: int,
        device: torch.device,
        observed: Sequence[str] = tuple(INPUTS),
        poses: str | None = None,
    ) -> None:
        spans = [(int(demonstrations.episode_starts[e]), int(demonstrations.episode_starts[e + 1])) for e in episodes]
        rows = np.concatenate([np.arange(first, end) for first, end in spans])
        lengths = np.array([end - first for first, end in spans])
        n_left = np.concatenate([np.arange(length, 0, -1) for length in lengths])
        # Each episode's actions are followed by T - 1 repetitions of its last one, so that a window is T rows on end.
        actions = demonstrations.columns[ACTION]
        padded = np.concatenate([actions[np.minimum(np.arange(first, end + chunk_size - 1), end - 1)] for first, end in spans])
        first_action = np.arange(len(rows)) + np.repeat(np.arange(len(spans)) * (chunk_size - 1), lengths)

        columns = {key: demonstrations.columns[key] for key in observed if key in demonstrations.columns}
        self._observation = {key: torch.tensor(values[rows], device=device) for key, values in columns.items()}
        self._pictures = {key: demonstrations.pictures[key] for key in observed if key not in columns}
        self._maps: dict[str, Tensor] = {}
        self._poses = None if poses is None else torch.tensor(demonstrations.columns[poses][rows], device=device)
        self._rows = rows  # of the dataset
        self._action = torch.tensor(padded, device=device)
        self._first_action = torch.tensor(first_action, device=device)
        self._n_left = torch.tensor(n_left, device=device)
        self._ahead = torch.arange(chunk_size, device=device)

    def __len__(self) -> int:
        return len(self._first_action)

    def gather(self, rows: Tensor) -> Batch:
        """Return the windows that begin at `rows`, shape (B,), each in 0..len - 1."""
        pictures = {key: self._look_up(key, rows) for key in self._pictures}
        rows = rows.to(self._first_action.device)
        action = self._action[self._first_action[rows, None] + self._ahead]  # (B, T, 6)
        observation = {key: values[rows] for key, values in self._observation.items()} | pictures
        maps = {key: values[rows].float() for key, values in self._maps.items()}
        poses = None if self._poses is None else self._poses[rows]
        return Batch(observation, action, self._n_left[rows, None] <= self._ahead, maps, poses)

    def _look_up(self, camera: str, rows: Tensor) -> Tensor:
        pictures = self._pictures[camera].gather(self._rows[rows.cpu().numpy()])
        return torch.from_numpy(pictures).to(self._first_action.device)

    @torch.no_grad()
    def keep_maps(self, look: Callable[[str, Tensor], Tensor]) -> None:
        """Ask for every picture once, and from now on give its map in place of it.

        Args:
            look: A camera's key and its pictures (B, H, W, 3) -> their maps (B, C, h, w), which are kept as float16.
        """
        for key in self._pictures:
            parts = torch.split(torch.arange(len(self)), _LOOKED_AT)
            self._maps[key] = torch.cat([look(key, self._look_up(key, rows)).half() for rows in parts])
        self._pictures = {}


class Shuffle:
    """Row numbers in a new random order every epoch, cut into batches; a batch may span two epochs.

    Args:
        n_rows: Rows in an epoch.
        batch_size: B.
        seed: Seed of the order.
    """

    def __init__(self, n_rows: int, batch_size: int, seed: int) -> None:
        self._n_rows, self._batch_size = n_rows, batch_size
        self._generator = torch.Generator().manual_seed(seed)
        self._queue = torch.empty(0, dtype=torch.int64)

    def next(self) -> Tensor:
        """Return the rows of the next batch, shape (B,)."""
        while len(self._queue) < self._batch_size:
            self._queue = torch.cat([self._queue, torch.randperm(self._n_rows, generator=self._generator)])
        rows, self._queue = self._queue[: self._batch_size], self._queue[self._batch_size :]
        return rows

    def state_dict(self) -> dict[str, Any]:
        """Return where the order stands."""
        return {"generator": self._generator.get_state(), "queue": self._queue.clone()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where `state_dict` was taken."""
        self._generator.set_state(state["generator"])
        self._queue = state["queue"]


def rows_of(demonstrations: Demonstrations, episodes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the rows of some episodes, one after the other."""
    starts = demonstrations.episode_starts
    return np.concatenate([np.arange(starts[e], starts[e + 1]) for e in episodes])


def observed(demonstrations: Demonstrations, inputs: Sequence[str] | None = None) -> tuple[str, ...]:
    """Return the keys of the features that ACT observes of demonstrations: vectors, then cameras.

    Args:
        demonstrations: The dataset.
        inputs: Those that are wanted; None takes all that there are.

    Raises:
        DatasetError: One is not there, is nothing that ACT observes, or `inputs` lacks the state.
    """
    there = tuple(key for key in INPUTS if key in demonstrations.features) + image_keys(demonstrations.features)
    if inputs is None:
        return there
    if STATE not in inputs or not set(inputs) <= set(there):
        raise DatasetError(
            f"train_act.inputs is {list(inputs)}; it must hold {STATE}, and can hold what else the dataset has: {list(there)}"
        )
    return tuple(key for key in there if key in inputs)


def require_usable(demonstrations: Demonstrations, keys: Sequence[str] | None = None) -> None:
    """Refuse a dataset this network cannot learn from.

    Args:
        demonstrations: The dataset.
        keys: Of the features that are learnt from; None takes all that ACT observes, and the action.

    Raises:
        DatasetError: A column or a camera is missing or has the wrong shape, or numbers are not finite.
    """
    n_rows, faults = int(demonstrations.episode_starts[-1]), []
    for key in (*observed(demonstrations), ACTION) if keys is None else keys:
        feature = demonstrations.features.get(key)
        source = demonstrations.pictures if feature is not None and feature.kind == "image" else demonstrations.columns
        if feature is None or key not in source:
            faults.append(f"{key} is missing; the dataset holds {sorted({*demonstrations.columns, *demonstrations.pictures})}")
            continue
        found, expected = source[key], (n_rows, *feature.shape)
        shape = found.shape if isinstance(found, np.ndarray) else (len(found), *found.shape)
        if shape != expected:
            faults.append(f"{key} has shape {shape}; its features and episodes say {expected}")
        elif isinstance(found, np.ndarray) and not np.isfinite(found).all():
            bad = np.flatnonzero(~np.isfinite(found).all(axis=1))
            episode = int(np.searchsorted(demonstrations.episode_starts, bad[0], side="right")) - 1
            faults.append(f"{key} is NaN or infinite in {len(bad)} rows, first in row {bad[0]} (episode {episode})")
    if faults:
        raise DatasetError(
            "ACT cannot learn from this dataset:\n  "
            + "\n  ".join(faults)
            + "\nName another dataset (`dataset` in params.yaml); a copy of this one without bad episodes is one "
            "(soarm.dataset.edit.delete_episodes)."
        )


def split_episodes(n_episodes: int, fraction: float, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Divide episodes into training and validation, at random, each sorted.

    Args:
        n_episodes: E.
        fraction: Share held out, in [0, 1); at least one episode if above 0.
        seed: Seed of the choice.

    Raises:
        DatasetError: Nothing would be left to train on.
    """
    n_held_out = max(1, round(fraction * n_episodes)) if fraction > 0.0 else 0
    if n_held_out >= n_episodes:
        raise DatasetError(
            f"the dataset has {n_episodes} episodes of which {n_held_out} would be held out (val_fraction {fraction}): "
            "record more demonstrations, or lower train_act.val_fraction"
        )
    order = np.random.default_rng(seed).permutation(n_episodes)
    return np.sort(order[n_held_out:]), np.sort(order[:n_held_out])
