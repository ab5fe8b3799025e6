from __future__ import annotations

import os

from soarm.runtime import deadman
from soarm.runtime.deadman import DeadMan, wait_for_silence


def test_it_waits_while_it_hears_beats_and_knows_a_goodbye_from_silence():
    reading, writing = os.pipe()
    try:
        os.write(writing, deadman.BEAT * 3)
        assert wait_for_silence(reading, 0.01)
        os.write(writing, deadman.BEAT + deadman.GOODBYE)
        assert not wait_for_silence(reading, 0.01)
        os.close(writing)
        assert wait_for_silence(reading, 10.0), "the end of the input is silence, at once"
    finally:
        os.close(reading)


def test_a_goodbye_ends_it_without_touching_the_port(tmp_path):
    with DeadMan(str(tmp_path / "no-port"), [1, 2], timeout_s=30.0) as watcher:
        watcher.beat()

    assert watcher._process.returncode == 0
