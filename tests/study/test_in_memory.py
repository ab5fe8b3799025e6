from __future__ import annotations

import numpy as np

from soarm.act.windows import require_usable
from soarm.dataset.reader import Dataset
from soarm.spec import ACTION, ENVIRONMENT_STATE, STATE
from soarm.study.in_memory import concatenate


def episode(length: int, value: float) -> dict[str, np.ndarray]:
    shapes = {STATE: 6, ENVIRONMENT_STATE: 7, ACTION: 6}
    return {key: np.full((length, n), value, np.float32) for key, n in shapes.items()}


def test_episodes_come_after_the_demonstrations(demonstrations: Dataset) -> None:
    gathered = concatenate(demonstrations, [episode(3, 1.0), episode(5, 2.0)])

    n = demonstrations.n_frames
    assert gathered.episode_starts.tolist() == [*demonstrations.episode_starts.tolist(), n + 3, n + 8]
    assert (gathered.columns[ACTION][:n] == demonstrations.columns[ACTION]).all()
    assert (gathered.columns[STATE][n : n + 3] == 1.0).all()
    assert (gathered.columns[STATE][n + 3 :] == 2.0).all()
    require_usable(gathered)


def test_nothing_to_add_leaves_the_demonstrations(demonstrations: Dataset) -> None:
    gathered = concatenate(demonstrations, [])

    assert gathered.episode_starts.tolist() == demonstrations.episode_starts.tolist()
    assert (gathered.columns[ACTION] == demonstrations.columns[ACTION]).all()


def test_the_hash_tells_episodes_and_their_borders_apart(demonstrations: Dataset) -> None:
    contents = [[episode(4, 1.0)], [episode(4, 2.0)], [episode(2, 1.0), episode(2, 1.0)], []]

    assert len({concatenate(demonstrations, more).hash for more in contents}) == 4
