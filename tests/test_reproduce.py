"""How DVC is run: who gets its signals, and what is said afterwards."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from soarm import reproduce

ROOT = Path(__file__).parents[1]
STAGE = (
    "import signal, sys, time\n"
    "try:\n"
    "    print('training', flush=True); time.sleep(60)\n"
    "except KeyboardInterrupt:\n"
    "    print('checkpoint kept', flush=True); sys.exit(3)\n"
)


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_signal_reaches_the_stage_and_what_to_type_next_is_said(name: str) -> None:
    program = "import os, sys; from soarm.reproduce import _call; "
    program += f"sys.exit(_call([sys.executable, '-c', {STAGE!r}], dict(os.environ), None))"
    with subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    ) as process:
        overdue = threading.Timer(60.0, process.kill)
        overdue.start()
        assert process.stdout is not None
        assert process.stdout.readline() == "training\n"
        process.send_signal(getattr(signal, name))
        out, said = process.communicate()
        overdue.cancel()

    assert process.returncode == 128 + getattr(signal, name)
    assert said == "stopped. Type the same command again: finished stages are kept, training goes on from its checkpoint\n"
    assert out == ("checkpoint kept\n" if name == "SIGINT" else "")


def test_what_failed_is_1_whatever_its_own_status_and_a_signal_is_128_more() -> None:
    environment = dict(os.environ)

    assert reproduce._call([sys.executable, "-c", "raise SystemExit(255)"], environment, None) == 1
    assert reproduce._call([sys.executable, "-c", ""], environment, None) == 0
    assert reproduce._call([sys.executable, "-c", "import os; os.kill(os.getpid(), 9)"], environment, None) == 137
