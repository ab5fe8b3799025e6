"""Training windows and their order."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from soarm.act.windows import Shuffle, Windows, require_usable, split_episodes
from soarm.errors import DatasetError
from soarm.spec import ACTION, ENVIRONMENT_STATE, STATE

CPU = torch.device("cpu")


def test_a_window_is_an_observation_and_the_actions_from_it_on(make_demonstrations):
    data = make_demonstrations(lengths=(4, 6))

    batch = Windows(data, np.array([0, 1]), 3, CPU).gather(torch.tensor([5]))

    assert (batch.observation[STATE][0].numpy() == data.columns[STATE][5]).all()
    assert (batch.observation[ENVIRONMENT_STATE][0].numpy() == data.columns[ENVIRONMENT_STATE][5]).all()
    assert (batch.action[0].numpy() == data.columns[ACTION][5:8]).all()
    assert not batch.is_pad.any()


def test_past_the_end_of_its_episode_a_window_repeats_the_last_action_as_padding(make_demonstrations):
    data = make_demonstrations(lengths=(4, 6))

    batch = Windows(data, np.array([0, 1]), 3, CPU).gather(torch.tensor([3]))

    assert batch.is_pad.tolist() == [[False, True, True]]
    assert (batch.action[0].numpy() == data.columns[ACTION][[3, 3, 3]]).all()


@given(lengths=st.lists(st.integers(1, 9), min_size=1, max_size=5), chunk_size=st.integers(1, 12), data=st.data())
@settings(max_examples=60, deadline=None)
def test_windows_are_what_a_loop_over_rows_gives(lengths, chunk_size, data):
    starts = np.concatenate([[0], np.cumsum(lengths)])
    column = np.arange(starts[-1] * 2, dtype=np.float32).reshape(-1, 2)

    demonstrations = SimpleNamespace(columns=dict.fromkeys((STATE, ENVIRONMENT_STATE, ACTION), column), episode_starts=starts)
    chosen = np.array(sorted(data.draw(st.sets(st.integers(0, len(lengths) - 1), min_size=1))))
    windows = Windows(demonstrations, chosen, chunk_size, CPU)
    batch = windows.gather(torch.arange(len(windows)))

    rows = [(row, starts[e + 1]) for e in chosen for row in range(starts[e], starts[e + 1])]
    assert len(windows) == len(rows)
    for i, (row, end) in enumerate(rows):
        wanted = [min(row + t, end - 1) for t in range(chunk_size)]
        assert (batch.action[i].numpy() == column[wanted]).all()
        assert batch.is_pad[i].tolist() == [row + t >= end for t in range(chunk_size)]
        assert all((batch.observation[key][i].numpy() == column[row]).all() for key in (STATE, ENVIRONMENT_STATE))


def test_every_row_is_drawn_once_per_epoch():
    shuffle = Shuffle(10, 4, seed=0)

    drawn = torch.cat([shuffle.next() for _ in range(5)])

    assert sorted(drawn[:10].tolist()) == list(range(10))
    assert sorted(drawn[10:].tolist()) == list(range(10))
    assert drawn[:10].tolist() != drawn[10:].tolist()


def test_a_batch_may_be_larger_than_an_epoch():
    assert torch.bincount(Shuffle(3, 7, seed=0).next(), minlength=3).tolist().count(2) >= 2


def test_the_order_follows_from_the_seed_and_goes_on_where_it_stood():
    one, two, other = (Shuffle(50, 8, seed=seed) for seed in (1, 1, 2))
    first = one.next()
    state = one.state_dict()
    rest = [one.next() for _ in range(20)]

    two.load_state_dict(state)

    assert all(torch.equal(two.next(), rows) for rows in rest)
    assert not torch.equal(other.next(), first)


def test_episodes_are_divided_without_overlap():
    training, held_out = split_episodes(20, 0.1, seed=3)

    assert len(held_out) == 2
    assert sorted([*training, *held_out]) == list(range(20))
    assert split_episodes(20, 0.1, seed=3)[1].tolist() == held_out.tolist()
    assert len(split_episodes(3, 0.01, seed=0)[1]) == 1


def test_one_episode_is_too_few_to_hold_one_out():
    with pytest.raises(DatasetError, match=r"has 1 episodes of which 1 would be held out .*lower train_act.val_fraction"):
        split_episodes(1, 0.1, seed=0)


def test_a_column_that_is_missing_is_named(make_demonstrations):
    data = make_demonstrations()
    del data.columns[ACTION], data.columns[ENVIRONMENT_STATE]

    told = r"environment_state is missing; .*holds \['observation.state.*\n.*action is missing; .*holds \['obs"
    with pytest.raises(DatasetError, match=told):
        require_usable(data)


def test_a_column_of_another_shape_and_nan_in_actions_are_both_named(make_demonstrations):
    data = make_demonstrations()
    data.columns[STATE] = data.columns[STATE][:, :5]
    data.columns[ACTION][[13, 20], 2] = np.nan

    with pytest.raises(
        DatasetError,
        match=r"(?s)state has shape \(55, 5\).*action is NaN or infinite in 2 rows, first in row 13 \(episode 1\)",
    ):
        require_usable(data)
