"""A session as a process of its own, on a twin and with a terminal."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PATIENCE_S = 60.0
PROGRAM = "import sys; sys.modules.update(dict.fromkeys({})); from soarm.cli import main; sys.exit(main())"


class Session:
    """`soarm teleoperate` on a twin, with a terminal of its own."""

    def __init__(self, twin, folder, *more, recorded=True, without=()):
        self.dataset, self.heard = folder / "dataset", ""
        twin.config.calibration.save(folder / "arm.json")
        (folder / "settings.json").write_text(json.dumps({"park_speed": 300.0, "timeout_s": 1.0}))
        self.objects = folder / "objects.json"
        self.objects.write_text(json.dumps({"objects": twin.objects().tolist()}))
        self.terminal, self._theirs = os.openpty()
        options = {"port": twin.ports[0], "calibration": folder / "arm.json", "settings": folder / "settings.json"}
        options |= {"objects": self.objects, "dataset": self.dataset} if recorded else {}
        command = [sys.executable, "-c", PROGRAM.format(list(without)), "teleoperate", "--follower", "arm"]
        command += [word for name, value in options.items() for word in (f"--{name}", str(value))]
        pipes = {"stdin": self._theirs, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        self.process = subprocess.Popen(
            [*command, *more], cwd=folder, env={**os.environ, "PYTHONPATH": str(ROOT)}, text=True, **pipes
        )
        self._overdue = threading.Timer(PATIENCE_S, self.process.kill)  # a test that fails must not wait for ever
        self._overdue.start()
        self._over = threading.Event()
        self._keeper = threading.Thread(target=self._keep_fresh)
        self._keeper.start()

    def _keep_fresh(self):
        while not self._over.wait(0.02):
            os.utime(self.objects)

    def wait_for(self, text, since=0):
        for line in self.process.stdout:
            self.heard += line
            if text in self.heard[since:]:
                return
        raise AssertionError(f"{text!r} never came:\n{self.heard}")

    def type(self, keys):
        os.write(self.terminal, keys.encode())

    def wait_until(self, true):
        until_s = time.monotonic() + PATIENCE_S
        while not true() and time.monotonic() < until_s:
            time.sleep(0.005)
        assert true(), self.heard

    def end(self):
        """Return the exit status, and hear all that was said."""
        self.heard += self.process.stdout.read()
        return self.process.wait(timeout=PATIENCE_S)

    def close(self):
        self._over.set()
        self._overdue.cancel()
        self._keeper.join()
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
        os.close(self.terminal)
        os.close(self._theirs)


@pytest.fixture
def begin(tmp_path):
    with contextlib.ExitStack() as stack:

        def start(twin, *more, **options):
            session = Session(twin, tmp_path, *more, **options)
            stack.callback(session.close)
            return session

        yield start
