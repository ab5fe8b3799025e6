"""A small repository whose one stage counts, with a checkpoint, as a stage of the chain trains."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from soarm.cluster.task import Task

# Counts to ten, a step each `pause` seconds, with a checkpoint after every step; notes at which step each try began.
COUNTER = """
import logging, os, pathlib, sys, time
name, pause = sys.argv[1], float(sys.argv[2])
logging.basicConfig(level="INFO", format="%(asctime)s %(levelname)-7s %(message)s", datefmt="%H:%M:%S")
scratch, out = pathlib.Path("data/.scratch", name), pathlib.Path("data/count", name)
scratch.mkdir(parents=True, exist_ok=True)
at = scratch / "at"
begun = int(at.read_text()) if at.exists() else 0
with (scratch / "tries").open("a") as file:
    file.write(f"{begun} ")
if name == "bad":
    sys.exit("this stage fails")
for step in range(begun, 10):
    logging.info("counting %d/10", step)
    time.sleep(pause)
    at.with_suffix(".new").write_text(str(step + 1))
    at.with_suffix(".new").rename(at)
out.mkdir(parents=True)
out.joinpath("sum").write_text(str(sum(map(int, pathlib.Path("data/numbers/all").read_text().split()))))
out.joinpath("tries").write_text(scratch.joinpath("tries").read_text())
out.joinpath("threads").write_text(os.environ["OMP_NUM_THREADS"])
"""


@pytest.fixture
def counting(tmp_path: Path) -> Path:
    """Return the repository."""
    root = tmp_path / "repository"
    for name, text in {
        "stages/__init__.py": "",
        "stages/count.py": COUNTER,
        "soarm/arm.py": "",
        "params.yaml": "seed: 0\n",
        "notes.md": "",
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    for command in (["init", "-q"], ["add", "."], ["commit", "-qm", "start"]):
        subprocess.run(["git", *identity, *command], cwd=root, check=True)
    (root / "data" / "numbers").mkdir(parents=True)
    (root / "data" / "numbers" / "all").write_text("1 2 3")
    return root


@pytest.fixture
def count() -> Callable[[str, float], Task]:
    """Return the task of a name that takes ten pauses [s]."""

    def task(name: str, pause_s: float) -> Task:
        words = ("-m", "stages.count", name, str(pause_s))
        return Task(name, words, Path("data", ".scratch", name), (Path("data", "count", name),))

    return task
