"""The exciting motion on the twin, its log, and what `soarm identify` says of it."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import yaml

from soarm import params
from soarm.cli import main
from soarm.errors import LogError
from soarm.hardware.calibration import Calibration
from soarm.hardware.config import ArmConfig
from soarm.identification import fit
from soarm.runtime import log, replay
from soarm.runtime.excite import ExciteConfig, excite
from soarm.runtime.lockstep import Clock
from soarm.twin.twin import Twin
from soarm.twin.twin_config import AS_SIMULATED, TwinConfig

SETTINGS = ArmConfig(timeout_s=2.0)


@pytest.fixture(scope="module")
def swung(sim, tmp_path_factory):
    """The log of ten seconds on a twin in lockstep, at 90 Hz of physics, and the report."""
    servos = dataclasses.replace(sim.servos, gain_factor=(0.5,) * 6)
    config, clock = TwinConfig(registers=AS_SIMULATED), Clock()
    how = ExciteConfig(tmp_path_factory.mktemp("swing") / "swing.log", 10.0, bus_hz=30, deadman=False)
    with Twin.start(dataclasses.replace(sim, n_substeps=3, servos=servos), config) as twin:
        report = excite(how, twin.ports[0], Calibration.nominal(), SETTINGS, clock.now, clock.sleep)
        yield how, report, twin


def test_an_arm_swings_parks_and_leaves_a_log_that_can_be_replayed(swung) -> None:
    how, report, twin = swung
    run = log.read(how.log)

    assert report.ended_well
    assert report.clamped == 0
    assert len(run.records) == 300
    assert run.records["sent"].all()
    assert np.ptp(run.records["q_present"], axis=0).min() > 20
    assert not any(twin.torque(servo_id) for servo_id in twin.servos)
    assert replay.replay(run, Calibration.nominal()) == replay.Replayed(300, ())
    assert [event["text"] for event in run.events if event["text"] == "arm: parked"]
    with pytest.raises(LogError, match="exists; choose a file that does not exist"):
        excite(how, twin.ports[0], Calibration.nominal(), SETTINGS)


def test_identify_prints_and_writes_settings(swung, tmp_path: Path, capsys, monkeypatch) -> None:
    how, _, _ = swung
    text = params.packaged().read_text().replace("n_substeps: 10", "n_substeps: 3")
    (tmp_path / "params.yaml").write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(fit, "_TOLERANCE", 0.01)  # tests/identification searches to the end

    assert main(["identify", str(how.log), "--output", "found", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    made = yaml.safe_load((tmp_path / "found" / "settings.yaml").read_text())
    assert made == told["settings"]
    assert json.loads((tmp_path / "found" / "identified.json").read_text()) == told
    assert np.allclose(made["sim"]["servos"]["gain_factor"], 0.5, rtol=0.1)
    assert {path.name for path in (tmp_path / "found").iterdir()} == {
        "settings.yaml",
        "identified.json",
        "gap.svg",
        "gap.png",
        "gap.csv",
    }


def test_identify_asks_for_the_law_where_the_simulator_has_either(tmp_path: Path, capsys, monkeypatch) -> None:
    (tmp_path / "params.yaml").write_text(params.packaged().read_text().replace("law: position ", "law: either ", 1))
    monkeypatch.chdir(tmp_path)

    assert main(["identify", "none.log"]) == 2
    assert "say which one is fitted: --law sts3215" in capsys.readouterr().err


def test_identify_refuses_what_is_no_log_and_a_log_without_a_run(tmp_path: Path, capsys) -> None:
    (tmp_path / "none.log").write_text("{}")

    assert main(["identify", str(tmp_path / "none.log")]) == 1
    assert "is no log of a run" in capsys.readouterr().err
