"""`soarm prove` without an arm: its options, the plan that it draws, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from soarm import cli

ROOT = Path(__file__).parents[2]
BUNDLE = str(ROOT / "examples" / "bundle")


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Run where nothing is, so that the parameters are the package's."""
    monkeypatch.chdir(tmp_path)


def test_without_a_port_the_places_are_drawn_and_nothing_moves(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")

    assert cli.main(["prove", BUNDLE, "--spots", "6", "--seed", "3"]) == 0
    assert "proof: 6 spots, seed 3; 0 of 12 trials are done" in caplog.text
    assert "p < 0.05 takes at least 6 of 6 spots gained" in caplog.text
    assert "print proof/sheet.html at 100 %" in caplog.text
    plan = json.loads(Path("proof/plan.json").read_text())
    assert (len(plan["spots"]), len(plan["trials"]), plan["seconds"]) == (6, 12, 10.0)
    assert len(list(Path("proof").glob("sheet-*.svg"))) == 4
    before = Path("proof/plan.json").read_bytes()
    assert cli.main(["prove", BUNDLE, "--paper", "a3"]) == 0
    assert Path("proof/plan.json").read_bytes() == before
    assert len(list(Path("proof").glob("sheet-*.svg"))) == 2, "printed on other paper"


def test_a_plan_that_is_fixed_is_not_changed(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["prove", BUNDLE, "--spots", "6"]) == 0

    assert cli.main(["prove", BUNDLE, "--spots", "8", "--seed", "0"]) == 1
    assert "under way with another plan than --spots 8 (planned: 6)" in capsys.readouterr().err


def test_another_bundle_does_not_go_on(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["prove", BUNDLE, "--spots", "6"]) == 0
    plan = json.loads(Path("proof/plan.json").read_text())
    plan["bundle"]["act.onnx"] = "0" * 64
    Path("proof/plan.json").write_text(json.dumps(plan))

    assert cli.main(["prove", BUNDLE]) == 1
    assert "evaluates another bundle" in capsys.readouterr().err


def test_a_report_before_the_end_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["prove", BUNDLE, "--spots", "6"]) == 0

    assert cli.main(["prove", "--report", "proof"]) == 1
    assert "0 of 12 trials are done. A look before the end" in capsys.readouterr().err
    assert not Path("proof/unblinded.json").exists()


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["prove"], "BUNDLE is missing"),
        (["prove", BUNDLE, "--port", "p"], "--port needs --calibration"),
        (["prove", BUNDLE, "--port", "p", "--calibration", "c", "--twin"], "and no --twin"),
        (["prove", BUNDLE, "--report", "proof"], "--report FOLDER makes a report and runs nothing"),
        (["prove", BUNDLE, "--unblind"], "--unblind goes with --report"),
        (["prove", BUNDLE, "--spots", "1"], "it must be a whole number in 2..100"),
    ],
)
def test_options_that_do_not_go_together_are_refused(words: list[str], text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(words) == 2
    assert text in capsys.readouterr().err
    assert not Path("proof").exists()


def test_a_session_without_a_terminal_is_refused_before_the_arm_is_met(capsys: pytest.CaptureFixture[str]) -> None:
    from soarm.hardware.calibration import Calibration

    Calibration.nominal().save(Path("arm.json"))
    assert cli.main(["prove", BUNDLE, "--port", "/no/port", "--calibration", "arm.json"]) == 1
    assert "the standard input is no terminal" in capsys.readouterr().err
