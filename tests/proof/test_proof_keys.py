"""Keys on a real terminal."""

from __future__ import annotations

import os
import pty
import threading

from soarm.proof.person import forget, key


def test_a_key_counts_that_is_pressed_after_the_question_and_is_allowed(monkeypatch):
    master, slave = pty.openpty()
    answered = threading.Event()
    os.write(master, b"s")  # before the question

    def type_on():
        while not answered.wait(0.02):
            os.write(master, b"x\rf")

    typist = threading.Thread(target=type_on)
    with os.fdopen(slave) as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        forget()
        typist.start()
        try:
            chosen, entered = key("sfd"), key("\n")
        finally:
            answered.set()
            typist.join()
    os.close(master)

    assert (chosen, entered) == ("f", "\n")
