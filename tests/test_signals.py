import signal
import threading

import pytest

from soarm.signals import STOP_SIGNALS, deferred_signals, may_raise, recorded_signals


@pytest.fixture
def seen():
    """Return the signals that reached a handler, and put back what was there."""
    seen = []
    previous = {
        signum: signal.signal(signum, lambda signum, _: seen.append(signum)) for signum in (signal.SIGINT, signal.SIGTERM)
    }
    yield seen
    for signum, handler in previous.items():
        signal.signal(signum, handler)


def test_a_signal_waits_for_the_end_of_the_block(seen):
    handlers = [signal.getsignal(signum) for signum in (signal.SIGINT, signal.SIGTERM)]
    with deferred_signals():
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGINT)
        assert seen == []

    assert seen == [signal.SIGINT, signal.SIGTERM, signal.SIGINT]
    assert [signal.getsignal(signum) for signum in (signal.SIGINT, signal.SIGTERM)] == handlers


def test_blocks_may_be_nested(seen):
    with deferred_signals():
        with deferred_signals():
            signal.raise_signal(signal.SIGINT)
        assert seen == []

    assert seen == [signal.SIGINT]


def test_ctrl_c_still_raises_after_the_block():
    finished = False
    with pytest.raises(KeyboardInterrupt), deferred_signals():
        signal.raise_signal(signal.SIGINT)
        finished = True

    assert finished
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_no_signal_is_lost_where_the_first_one_raises(seen):
    def fail(signum, frame):
        raise KeyboardInterrupt

    signal.signal(signal.SIGINT, fail)
    with pytest.raises(KeyboardInterrupt), deferred_signals():
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGTERM)

    assert seen == [signal.SIGTERM]
    assert signal.getsignal(signal.SIGINT) is fail


def test_an_error_in_the_block_still_delivers(seen):
    with pytest.raises(ValueError, match="of the block"), deferred_signals():
        signal.raise_signal(signal.SIGTERM)
        raise ValueError("of the block")

    assert seen == [signal.SIGTERM]


def test_an_ignored_signal_stays_ignored():
    previous = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with deferred_signals():
            signal.raise_signal(signal.SIGINT)

        assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, previous)


def test_another_thread_has_nothing_to_hold(seen):
    def block():
        with deferred_signals():
            pass

    thread = threading.Thread(target=block)
    thread.start()
    thread.join()
    signal.raise_signal(signal.SIGINT)

    assert seen == [signal.SIGINT]


def test_what_is_only_recorded_is_not_held_back(seen):
    with recorded_signals() as requests:
        assert not may_raise()
        with deferred_signals():
            signal.raise_signal(signal.SIGINT)
            assert requests.came == ["SIGINT"]

    assert may_raise()
    with deferred_signals():
        signal.raise_signal(signal.SIGTERM)
        assert seen == []
    assert seen == [signal.SIGTERM]


def test_signals_that_are_all_ignored_leave_nothing_held():
    previous = {signum: signal.signal(signum, signal.SIG_IGN) for signum in STOP_SIGNALS}
    with deferred_signals():
        pass
    for signum, handler in previous.items():
        signal.signal(signum, handler)

    with pytest.raises(KeyboardInterrupt), deferred_signals():
        signal.raise_signal(signal.SIGINT)
