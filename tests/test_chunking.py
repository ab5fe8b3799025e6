"""The chunk player against plain definitions of what it should play."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from soarm.chunking import ChunkPlayer, Step
from soarm.policy import Array, Rows


class Network:
    """Draws new chunks at every query and keeps them, per row of the player."""

    def __init__(self, chunk_size: int, action_dim: int = 2, seed: int = 0) -> None:
        self._rng = np.random.default_rng(seed)
        self._shape = (chunk_size, action_dim)
        self.rows: Rows = np.zeros(0, np.intp)
        self.asked: dict[int, list[Array]] = {}
        self.n_queries = 0

    def at(self, rows: Rows) -> Network:
        self.rows = rows
        return self

    def __call__(self, due: Rows) -> Array:
        self.n_queries += 1
        chunks = self._rng.normal(size=(len(due), *self._shape)).astype(np.float32)
        for row, chunk in zip(self.rows[due], chunks, strict=True):
            self.asked.setdefault(int(row), []).append(chunk)
        return chunks


def play(player: ChunkPlayer, network: Network, rows: list[int]) -> Step:
    at = np.array(rows, np.intp)
    return player.advance(at, network.at(at))


@given(chunk_size=st.integers(1, 7), data=st.data())
def test_open_loop_plays_the_front_of_each_chunk_in_order(chunk_size: int, data: st.DataObject) -> None:
    n_action_steps = data.draw(st.integers(1, chunk_size))
    network = Network(chunk_size)
    player = ChunkPlayer(1, chunk_size, n_action_steps, action_dim=2)

    played = [play(player, network, [0]).action[0] for _ in range(3 * n_action_steps)]

    expected = np.concatenate([chunk[:n_action_steps] for chunk in network.asked[0]])
    np.testing.assert_array_equal(played, expected)
    assert network.n_queries == 3


@given(chunk_size=st.integers(1, 6), coeff=st.sampled_from([0.0, 0.01, 0.7, -0.3]), n_steps=st.integers(1, 15))
def test_temporal_ensemble_is_the_weighted_mean_of_all_predictions_of_an_instant(
    chunk_size: int, coeff: float, n_steps: int
) -> None:
    network = Network(chunk_size)
    player = ChunkPlayer(1, chunk_size, 1, coeff, n_lookahead=2, action_dim=2)

    for now in range(n_steps):
        step = play(player, network, [0])

        chunks = network.asked[0]
        assert len(chunks) == now + 1
        np.testing.assert_allclose(step.action[0], ensemble(chunks, now, coeff), atol=1e-5)
        for k in (1, 2):
            ahead = min(now + k, now + chunk_size - 1)
            np.testing.assert_allclose(step.lookahead[0, k - 1], ensemble(chunks, ahead, coeff), atol=1e-5)


def ensemble(chunks: list[Array], instant: int, coeff: float) -> Array:
    """Average what each chunk said of `instant`; the i-th oldest prediction weighs exp(-coeff * i)."""
    said = [chunk[instant - start] for start, chunk in enumerate(chunks) if 0 <= instant - start < len(chunk)]
    weights = np.exp(-coeff * np.arange(len(said)))
    return np.einsum("i,ia->a", weights / weights.sum(), np.array(said))


def test_a_constant_prediction_is_not_changed_by_the_ensemble() -> None:
    player = ChunkPlayer(1, 5, 1, 0.01, action_dim=2)
    constant = np.full((1, 5, 2), 3.25, np.float32)

    played = [player.advance(np.array([0]), lambda due: constant).action for _ in range(12)]

    np.testing.assert_allclose(played, 3.25, rtol=1e-6)


@pytest.mark.parametrize("coeff", [None, 0.1])
def test_rows_do_not_know_each_other(coeff: float | None) -> None:
    n_action_steps = 3 if coeff is None else 1
    chunks = np.random.default_rng(0).normal(size=(40, 2, 4, 2)).astype(np.float32)  # by number of query, row

    def run(rows: list[int], schedule: list[list[int]]) -> dict[int, list[Array]]:
        player = ChunkPlayer(2, 4, n_action_steps, coeff, action_dim=2)
        asked = dict.fromkeys(rows, 0)
        played: dict[int, list[Array]] = {row: [] for row in rows}
        for step_rows in schedule:
            at = np.array(step_rows)

            def query(due: Rows, at: Rows = at) -> Array:
                answer = np.stack([chunks[asked[row], row] for row in at[due]])
                for row in at[due]:
                    asked[row] += 1
                return answer

            for row, action in zip(step_rows, player.advance(at, query).action, strict=True):
                played[row].append(action)
        return played

    together = run([0, 1], [[0, 1], [1], [0, 1], [1, 0], [1], [0, 1], [0]])

    np.testing.assert_array_equal(together[0], run([0], [[0]] * 5)[0])
    np.testing.assert_array_equal(together[1], run([1], [[1]] * 6)[1])


@pytest.mark.parametrize("coeff", [None, 0.1])
def test_reset_forgets_the_chunks_of_its_rows_only(coeff: float | None) -> None:
    network = Network(4)
    player = ChunkPlayer(2, 4, 4 if coeff is None else 1, coeff, action_dim=2)
    for _ in range(2):
        play(player, network, [0, 1])

    player.reset(np.array([1]))
    step = play(player, network, [0, 1])

    np.testing.assert_array_equal(step.action[1], network.asked[1][-1][0])
    expected = network.asked[0][0][2] if coeff is None else ensemble(network.asked[0], 2, coeff)
    np.testing.assert_allclose(step.action[0], expected, atol=1e-6)


@pytest.mark.parametrize("coeff", [None, 0.1])
def test_peek_shows_the_next_step_and_moves_nothing(coeff: float | None) -> None:
    player, twin = (ChunkPlayer(1, 3, 2 if coeff is None else 1, coeff, n_lookahead=2, action_dim=2) for _ in range(2))
    network, other = Network(3), Network(3)
    for _ in range(3):
        play(player, network, [0])
        play(twin, other, [0])
    saved = np.random.default_rng(7).normal(size=(1, 3, 2)).astype(np.float32)

    peeked = player.peek(np.array([0]), lambda due: saved)
    stepped = twin.advance(np.array([0]), lambda due: saved)
    after, expected = (p.advance(np.array([0]), lambda due: saved + 1) for p in (player, twin))

    np.testing.assert_array_equal(peeked.action, stepped.action)
    np.testing.assert_array_equal(peeked.lookahead, stepped.lookahead)
    np.testing.assert_array_equal(peeked.phase, stepped.phase)
    assert not np.array_equal(after.action, expected.action)  # the twin has moved on, the peeked player has not


def test_phase_and_lookahead_tell_where_in_the_chunk_a_row_is() -> None:
    network = Network(4)
    player = ChunkPlayer(1, 4, 3, n_lookahead=2, action_dim=2)

    steps = [play(player, network, [0]) for _ in range(4)]

    first, second = network.asked[0]
    np.testing.assert_allclose([step.phase[0] for step in steps], [0.0, 1 / 3, 2 / 3, 0.0])
    np.testing.assert_array_equal(steps[0].lookahead[0], first[[1, 2]])
    np.testing.assert_array_equal(steps[2].lookahead[0], first[[3, 3]])  # the last action repeats past the chunk's end
    np.testing.assert_array_equal(steps[3].lookahead[0], second[[1, 2]])


def test_a_network_is_asked_once_for_all_rows_that_are_due() -> None:
    network = Network(4)
    player = ChunkPlayer(3, 4, 4, action_dim=2)

    play(player, network, [0, 1, 2])

    assert network.n_queries == 1
    assert sorted(network.asked) == [0, 1, 2]


@pytest.mark.parametrize(
    ("n_action_steps", "coeff", "message"),
    [
        (0, None, r"n_action_steps is 0; it must be in 1..chunk_size \(4\)"),
        (5, None, r"n_action_steps is 5; it must be in 1..chunk_size \(4\)"),
        (2, 0.01, r"temporal_ensemble_coeff 0.01 needs n_action_steps 1 .*found 2"),
    ],
)
def test_settings_that_cannot_be_played_are_refused(n_action_steps: int, coeff: float | None, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ChunkPlayer(1, 4, n_action_steps, coeff)
