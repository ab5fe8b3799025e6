"""One clone pushes to storage that speaks S3, another pulls and has nothing to do; with the commands of docs/sharing.md."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
# ACT of a moment, under the profile `ci`, and nothing that this repository has reproduced. DVC reads the study for a minute
# when it is asked for an experiment.
SMALL = r"""
sed -i -e 's/^profile: default$/profile: ci/' -e 's/^    steps: 300$/    steps: 30/' params.yaml
git rm -qr --ignore-unmatch dvc.lock data/metrics data/live study
git commit -qam "small"
git push -q
"""


class Clone:
    """A clone, and a shell in it."""

    def __init__(self, origin: Path, path: Path) -> None:
        ours = ("DVC_", "MLFLOW_", "SOARM_", "AWS_")
        self._environment = {key: value for key, value in os.environ.items() if not key.startswith(ours)}
        self._environment["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        self._environment["SOARM_TRACKING"] = "off"
        for name in ("AUTHOR", "COMMITTER"):
            self._environment |= {f"GIT_{name}_NAME": path.name, f"GIT_{name}_EMAIL": f"{path.name}@example.org"}
        self.path = path
        subprocess.run(["git", "clone", "-q", str(origin), str(path)], check=True)

    def type(self, *blocks: str) -> str:
        """Type commands and return what they said."""
        command = ["bash", "-ec", "\n".join(blocks)]
        done = subprocess.run(command, cwd=self.path, env=self._environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{blocks}\n{done.stdout}\n{done.stderr}"
        return done.stdout + done.stderr

    def read(self, folder: str) -> dict[str, bytes]:
        """Return the files of a folder with their content."""
        return {
            str(path.relative_to(self.path)): path.read_bytes() for path in (self.path / folder).rglob("*") if path.is_file()
        }


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Clone, Clone]:
    """Two clones of this repository as it is on disk, made small."""
    origin = tmp_path / "origin.git"
    subprocess.run(["git", "clone", "-q", "--bare", str(ROOT), str(origin)], check=True)
    one = Clone(origin, tmp_path / "one")
    changed = subprocess.run(["git", "diff", "HEAD", "--binary"], cwd=ROOT, check=True, capture_output=True).stdout
    if changed:
        subprocess.run(["git", "apply", "--index"], cwd=one.path, input=changed, check=True)
    one.type(SMALL)
    return one, Clone(origin, tmp_path / "two")


def test_a_clone_that_pulls_finds_everything_done(
    pair: tuple[Clone, Clone], storage: str, typed: Callable[..., list[str]]
) -> None:
    one, two = pair
    name, keys = typed("Name it, once", **{"storage.example.org:9000": storage})
    (push,), (pull,) = typed("Push"), typed("Pull")
    send, get = typed("Experiments", EXPERIMENT="longer")

    one.type(name, keys, "dvc repro train_act", push)
    two.type("git pull -q", keys)
    first = pull.replace("pull dvc.yaml", "pull train_eye train_act").replace("--allow-missing", "--allow-missing train_act")
    said = two.type(first)  # the rest of the chain has not run anywhere
    pulled = two.read("data/train_act")
    again = two.type("dvc repro train_act")

    assert pulled
    assert pulled == one.read("data/train_act")
    assert "Running stage" not in said
    assert said.count("didn't change, skipping") == 3
    assert re.findall(r"Running stage '(\w+)'", again) == ["record"]
    assert two.read("data/record/data") == one.read("data/record/data")
    assert "access_key" not in two.type("git log -p --all -- .dvc")

    one.type("dvc exp run -n longer -S ci.train_act.steps=40 train_act", send)
    two.type("git checkout -q dvc.lock data", f"{get.strip()} || true")  # it misses the rest of the chain

    assert two.read("data/train_act") == one.read("data/train_act") != pulled
