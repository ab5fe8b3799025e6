"""What a LeRobot user does with a dataset of cameras: look, shrink, train, export, and drive the twin from its pictures."""

from __future__ import annotations

import os
import re
import runpy
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from soarm import cli
from soarm.runtime import log
from soarm.runtime.bundle import Bundle
from soarm.spec import Feature

ROOT = Path(__file__).parents[2]
RECORD = runpy.run_path(str(Path(__file__).with_name("as_lerobot_records.py")))["record"]


@pytest.fixture
def desk(tmp_path, monkeypatch):
    """A folder with the parameters of a short training, in git as a repository is; it is the working directory."""
    text = (ROOT / "params.yaml").read_text()
    for pattern, value in (
        (r"^profile: \w+", "profile: ci"),
        (r"^dataset: \S+", "dataset: small"),
        (r"^    steps: 300$", "    steps: 30"),
    ):
        text = re.sub(pattern, value, text, count=1, flags=re.MULTILINE)
    (tmp_path / "params.yaml").write_text(re.sub(r"(?m)^dataset_units: null", "dataset_units: degrees", text, count=1))
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    for command in (["init", "-q"], ["add", "."], ["commit", "-qm", "start"]):
        subprocess.run(["git", *identity, *command], cwd=tmp_path, check=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("SOARM_TRACKING", "off")
    return tmp_path


def run(*words: str) -> str:
    done = subprocess.run([sys.executable, "-m", *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.slow
def test_a_dataset_as_lerobot_records_it_ends_as_a_policy_that_drives_the_twin_from_its_pictures(desk):
    RECORD(desk / "theirs")
    told = run("soarm", "info", "theirs")
    run("soarm", "dataset", "verify", "theirs")
    run("soarm", "dataset", "shrink", "theirs", "small", "--size", "32x24")
    run("stages.train_act")
    run("soarm", "export-policy", "data/train_act", "bundle")
    pictures = ["--pictures", "pictures", "--camera", "front:64x48", "--camera", "wrist:32x24"]
    twin = subprocess.Popen(
        [sys.executable, "-m", "soarm", "twin", "--port", "arm", "--calibration", "arm.json", *pictures],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    try:
        until_s = time.monotonic() + 60.0
        while not os.path.lexists("arm") or not Path("pictures/wrist.ppm").exists():
            assert twin.poll() is None
            assert time.monotonic() < until_s
            time.sleep(0.1)
        drive = ["drive", "bundle", "--port", "arm", "--calibration", "arm.json", "--seconds", "2", "--log", "run.log"]
        named = ["--camera", "front=pictures/front.ppm", "--camera", "wrist=pictures/wrist.ppm"]
        refused = cli.main([*drive, *named])
        drove = run("soarm", *drive, *named, "--allow", "gains")
    finally:
        twin.send_signal(signal.SIGTERM)
        twin.communicate(timeout=30.0)

    assert "soarm train --dataset theirs --units degrees" in told
    assert "can be trained on, once the units are said" in told
    assert Bundle.open(desk / "bundle").cameras == dict.fromkeys(("front", "wrist"), Feature.image(24, 32))
    assert refused == 1  # nobody said on which arm it was trained
    assert "the camera front gives pictures of 64 x 48 px, averaged to 32 x 24" in drove
    assert "the camera wrist gives pictures of 32 x 24 px\n" in drove
    assert "ended: the time was up" in drove
    assert "parked" in drove
    assert twin.returncode == 0
    assert len(log.read(desk / "run.log").records) > 0
