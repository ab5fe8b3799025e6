from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from soarm.dataset.reader import Dataset
from soarm.hardware.states import State
from soarm.recording import FEATURES
from soarm.runtime.objects import Sight
from soarm.spec import ENVIRONMENT_STATE, STATE
from soarm.teleop.__main__ import main
from soarm.teleop.follower import ArmFollower

ROOT = Path(__file__).parents[2]


def test_a_session_without_a_hand_records_what_training_takes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "demo"
    command = ["--leader", "expert", "--fast", "--dataset", str(folder), "--params", str(ROOT / "params.yaml")]
    status = main([*command, "--episodes", "1"])
    more = main([*command, "--episodes", "1", "--seed", "7"])
    dataset = Dataset.open(folder)
    timing = json.loads((tmp_path / "demo.timing.json").read_text())

    assert status == more == 0
    assert dataset.n_episodes == 2
    assert dict(dataset.features) == FEATURES
    assert timing["kept"][0]["late"] == 0


def test_speed_is_for_scripts_alone(tmp_path: Path) -> None:
    with pytest.raises(SystemExit):
        main(["--leader", "keyboard", "--fast", "--dataset", str(tmp_path / "d")])


def test_an_arm_is_driven_through_the_safety_chain() -> None:
    sent: list[np.ndarray] = []
    ages_s = np.zeros(6)
    arm = SimpleNamespace(
        observe=lambda: SimpleNamespace(q=np.arange(6.0), age_s=ages_s.copy()),
        command=sent.append,
        hold=lambda: sent.append(np.zeros(0)),
        state=State.ACTIVE,
        fault=None,
    )
    seeds: list[int] = []
    clock = SimpleNamespace(t=5.0)
    objects = SimpleNamespace(read=lambda: Sight(5.0, np.ones(7, np.float32)))
    follower = ArmFollower(
        arm,
        objects,
        lambda wanted, present: np.minimum(wanted, present + 1),
        30,
        seeds.append,
        lambda: True,
        now=lambda: clock.t,
    )
    follower.reset(3)
    seen = follower.observe()
    said = follower.act(np.full(6, 100.0))
    follower.stop()
    fresh, was_stale = follower.unfit(), follower.is_stale()
    clock.t, ages_s[4] = 5.4, 0.02
    follower.observe()

    assert seeds == [3]
    assert follower.done() is True
    assert set(seen) == {STATE, ENVIRONMENT_STATE}
    np.testing.assert_array_equal(sent[0], np.arange(6.0) + 1)
    assert said is sent[0], "what is recorded is what was sent"
    assert fresh is None
    assert not was_stale
    assert follower.is_stale(), "half a step of 30 Hz is 17 ms"
    assert "cube and bin were last seen 0.40 s ago, and 0.15 s are allowed" in str(follower.unfit())
    assert len(sent[1]) == 0
