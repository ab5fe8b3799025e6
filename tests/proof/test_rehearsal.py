"""Evaluations on the twin: the same seed gives the same results, whatever happens in between."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from soarm.errors import ObservationError
from soarm.hardware.config import ArmConfig
from soarm.proof import rehearsal, session, start, trial, verdict
from soarm.proof.folder import ProofFolder
from soarm.runtime.bundle import Bundle
from soarm.tasks.registry import find

ROOT = Path(__file__).parents[2]
HAND = rehearsal.Hand(0.002, 3.0)
QUICK = ArmConfig(park_speed=300.0)


@pytest.fixture(scope="module")
def bundle():
    return Bundle.open(ROOT / "examples" / "bundle")


@pytest.fixture
def rehearse(bundle):
    """Return a function that begins or continues an evaluation on a new twin; it ends before the trial `until`."""

    def run(path, until=None):
        folder = start.begin(path, bundle, spots=2, seconds=1.0, params=ROOT / "params.yaml")
        sim, knocked_away_m = rehearsal.world(bundle, ROOT / "params.yaml")
        with rehearsal.opened(bundle, sim, folder.plan.seconds, "position", QUICK, tracked=False) as (twin, setup):
            runner = trial.runner(setup)

            def until_killed(spot, which, path, ended):
                if path.name.startswith(f"{until:03d}" if until else "none"):
                    path.write_bytes(b"half a log")
                    raise KeyboardInterrupt
                return runner(spot, which, path, ended)

            someone = rehearsal.Simulated(twin, 0, HAND, knocked_away_m)
            session.run(folder, someone, until_killed, lambda text: None)
        return folder

    return run


def came(folder):
    """Return what came of every trial, but for the names of logs and the wall clock."""
    return [[(one.ran, one.outcome) for one in folder.attempts(i)] for i in range(len(folder.plan.trials))]


def test_an_evaluation_that_is_killed_and_resumed_has_the_results_of_one_that_was_not(tmp_path, rehearse):
    whole = rehearse(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        rehearse(tmp_path / "killed", until=3)
    assert [len(attempts) for attempts in came(ProofFolder.open(tmp_path / "killed"))] == [1, 1, 0, 0]
    resumed = rehearse(tmp_path / "killed")

    assert came(resumed) == came(whole)
    assert [attempt.log for attempt in resumed.attempts(2)] == ["003-2.log"]
    for which in ("base", "residual"):
        rows, again = verdict.results(whole, which), verdict.results(resumed, which)
        np.testing.assert_array_equal(rows.column("steps"), again.column("steps"))
        assert (rows.column("steps") > 0).all()
        assert np.isfinite(rows.column("action_jerk_rms_deg_s3")).all()
    ran = whole.attempts(0)[0].ran
    assert ran.ended_well
    assert all(begin >= 30 and most >= begin for begin, _, most in ran.celsius.values())


def test_the_simulator_judges_what_lies_there_and_not_what_the_runtime_thinks(make_twin, make_plan):
    twin, (plan, _) = make_twin(), make_plan()
    someone, spot = rehearsal.Simulated(twin, 0, rehearsal.Hand(0.0, 0.0), 0.05), plan.spots[0]
    ask = session.Ask(1, 6, 0, spot, again=False, other_moves=True, can_correct=False)

    someone.ready(ask)
    np.testing.assert_allclose(twin.objects(), spot.objects(twin.task), atol=1e-6)
    np.testing.assert_allclose(twin.q(), rehearsal.REST, atol=1e-6)
    twin._simulated.step(40)
    someone.run_over()
    assert someone.judge(1, None) == "never_reached"

    home = spot.objects(twin.task)
    home[:3] = [*home[5:7], 0.0165]
    twin.reset(0, home)
    twin._simulated.data.qpos[6 + 2] = 0.0165
    for _ in range(30):
        twin._simulated.step(twin._sim.n_substeps)
    someone.run_over()
    assert someone.judge(1, None) == "success"


def test_a_hand_puts_the_thing_near_its_spot_and_each_time_elsewhere(make_plan):
    task, spot = find("pick_place"), make_plan()[0].spots[0]
    rng = np.random.default_rng(0)

    put = np.array([rehearsal._put(rng, task, spot, HAND) for _ in range(400)])
    np.testing.assert_allclose(put[:, :2].std(axis=0), 0.002, rtol=0.15)
    np.testing.assert_allclose(put[:, 5:], np.tile(spot.places["bin"], (400, 1)))


def test_what_the_hand_does_not_hold_has_to_be_tracked(sim):
    pushing = SimpleNamespace(task=find("push"), eye_cameras={}, cameras={})

    opened = rehearsal.opened(pushing, sim, 1.0, "position", QUICK, tracked=False)
    with pytest.raises(ObservationError, match="moves the cube without holding it"), opened:
        pass


@pytest.mark.slow
def test_a_command_that_is_killed_goes_on_and_ends_with_its_report(tmp_path):
    def command(name):
        words = ["prove", str(ROOT / "examples" / "bundle"), "--folder", name, "--spots", "3", "--twin"]
        return [sys.executable, "-m", "soarm", *words, "--params", str(ROOT / "params.yaml")]

    def run(name):
        return subprocess.run(command(name), cwd=tmp_path, capture_output=True, text=True, check=True).stdout

    said = run("whole")
    with subprocess.Popen(command("killed"), cwd=tmp_path, stdout=subprocess.DEVNULL) as process:
        while not (tmp_path / "killed" / "trials" / "003.json").exists():
            assert process.poll() is None
            time.sleep(0.02)
        os.kill(process.pid, signal.SIGKILL)
    resumed = run("killed")

    assert "report: whole/report.html" in said
    assert "0 of 6 trials are done" not in resumed
    assert said.splitlines()[-5:-1] == resumed.splitlines()[-5:-1], "the result in words"
    assert (tmp_path / "whole" / "base.csv").read_text() == (tmp_path / "killed" / "base.csv").read_text()
