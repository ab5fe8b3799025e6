"""The file of steps: whatever cuts it off, what was written before is there."""

from __future__ import annotations

import numpy as np
import pytest

from soarm.errors import OnlineError
from soarm.online.steps import Kind, StepFile, StepReader, read_all, record_type

DIM = 4
ABOUT = {"residual": "abc"}


def write(path, lengths, seed=0, **how):
    """Write episodes; the last one without an end where `cut`."""
    rng = np.random.default_rng(seed)
    written = []
    with StepFile(path, DIM, ABOUT) as file:
        for i, n in enumerate(lengths):
            observations = rng.normal(size=(n + 1, DIM)).astype(np.float32)
            residuals = rng.normal(size=(n, 6)).astype(np.float32)
            for t in range(n):
                file.add(observations[t], residuals[t], human=t == 1)
            if i < len(lengths) - 1 or not how.get("cut"):
                file.end(observations[n], success=i % 2 == 0, discarded=how.get("discarded") == i)
            written.append((observations, residuals))
    return written


def size(path):
    """Return the bytes of the header, and of a record."""
    return path.read_bytes().index(b"\n") + 1, record_type(DIM).itemsize


def test_what_is_written_is_read(tmp_path):
    written = write(tmp_path / "steps.bin", (3, 5))
    read = read_all(tmp_path / "steps.bin")

    assert [(len(one), one.success, one.number) for one in read] == [(3, True, 0), (5, False, 1)]
    for one, (observations, residuals) in zip(read, written, strict=True):
        np.testing.assert_array_equal(one.observations, observations)
        np.testing.assert_array_equal(one.residuals, residuals)
        assert one.human.tolist() == [t == 1 for t in range(len(one))]


def test_a_file_that_exists_is_continued(tmp_path):
    write(tmp_path / "steps.bin", (3, 5))
    write(tmp_path / "steps.bin", (2,), seed=1)

    assert [(one.number, len(one)) for one in read_all(tmp_path / "steps.bin")] == [(0, 3), (1, 5), (2, 2)]


def test_a_reader_gets_every_episode_once_while_the_file_grows(tmp_path):
    path = tmp_path / "steps.bin"
    write(path, (3,))
    with StepReader(path) as reader:
        first = [one.number for one in reader.new()]
        write(path, (2, 4))
        second = [one.number for one in reader.new()]

        assert (first, second, list(reader.new())) == ([0], [1, 2], [])


def test_an_episode_that_was_killed_is_kept_but_for_the_step_whose_outcome_nobody_knows(tmp_path):
    path = tmp_path / "steps.bin"
    write(path, (3, 5), cut=True)
    with StepReader(path) as reader:
        before = [one.number for one in reader.new()]
        write(path, (2,), seed=1)
        after = [(one.number, len(one), one.success) for one in reader.new()]

    assert before == [0]
    assert after == [(1, 4, False), (2, 2, True)]


@pytest.mark.parametrize("lost", [1, 17, 60])
def test_a_torn_tail_is_cut_off_with_a_message_and_the_file_goes_on(tmp_path, caplog, lost):
    path = tmp_path / "steps.bin"
    write(path, (3, 5))
    path.write_bytes(path.read_bytes()[:-lost])
    write(path, (2,), seed=1)

    assert "bytes were cut off" in caplog.text
    assert next((one.number, len(one)) for one in read_all(path)) == (0, 3)
    assert read_all(path)[-1].number == 2
    assert len(read_all(path)[-1]) == 2


def test_a_tail_of_zeros_as_file_systems_leave_after_a_power_cut_is_cut_off(tmp_path, caplog):
    path = tmp_path / "steps.bin"
    write(path, (3,))
    path.write_bytes(path.read_bytes() + bytes(2 * record_type(DIM).itemsize + 5))
    write(path, (2,), seed=1)

    assert "bytes were cut off" in caplog.text
    assert [(one.number, len(one)) for one in read_all(path)] == [(0, 3), (1, 2)]


def test_a_damaged_record_costs_its_episode_from_there_on_and_no_other(tmp_path, caplog):
    path = tmp_path / "steps.bin"
    write(path, (3, 5, 2))
    content = bytearray(path.read_bytes())
    start, record = size(path)
    content[start + 7 * record + 20] ^= 1  # step 3 of episode 1, after the four records of episode 0
    path.write_bytes(bytes(content))

    assert [(one.number, len(one), one.success) for one in read_all(path)] == [(0, 3, True), (1, 2, False), (2, 2, True)]
    assert "a damaged step was left out" in caplog.text


def test_a_discarded_episode_is_kept_on_disk_and_not_learnt_from(tmp_path):
    path = tmp_path / "steps.bin"
    write(path, (3, 5, 2), discarded=1)

    assert [one.number for one in read_all(path)] == [0, 2]
    start, record = size(path)
    assert path.stat().st_size == start + 13 * record
    assert Kind.DISCARDED & Kind.END == 0


def test_steps_of_another_residual_are_refused(tmp_path):
    write(tmp_path / "steps.bin", (3,))

    with pytest.raises(
        OnlineError, match=r"holds steps of another policy or arm \(residual 'abc', here 'xyz'\); choose another folder"
    ):
        StepFile(tmp_path / "steps.bin", DIM, {"residual": "xyz"})
    with pytest.raises(OnlineError, match="other observations"):
        StepFile(tmp_path / "steps.bin", DIM + 1, ABOUT)


def test_another_file_is_refused(tmp_path):
    (tmp_path / "steps.bin").write_text('{"format": "something", "version": 1, "dim": 3, "about": {}}\n')

    with pytest.raises(OnlineError, match="is 'something' of version 1"):
        StepReader(tmp_path / "steps.bin")
    with pytest.raises(OnlineError, match="cannot be read"):
        StepReader(tmp_path / "missing.bin")
