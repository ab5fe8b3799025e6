"""`soarm run` and `soarm rl-demo`, without a window."""

from __future__ import annotations

from pathlib import Path

import pytest

from soarm import cli

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["run", "examples/bundle", "--task", "nope"], "--task would be ignored: examples/bundle says its task itself"),
        (["run", "examples/bundle", "--base", "x"], "--base would be ignored: examples/bundle needs none"),
        (["run", "demonstrator", "--base", "x"], "--base would be ignored: demonstrator needs none"),
        (["rl-demo", "examples/bundle", "--base", "x"], "--base would be ignored: examples/bundle needs none"),
        (["run", "examples/bundle", "--objects", "o.json"], "--objects would be ignored: no arm is driven without --port"),
        (["run", "examples/bundle", "--camera", "front=0"], "--camera would be ignored: no arm is driven without --port"),
        (["run", "examples/bundle", "--port", "p"], "--port needs --calibration, and the --camera or --objects"),
        (
            ["run", "examples/bundle", "--port", "p", "--calibration", "c", "--film", "f.mp4", "--scenes", "2"],
            "--scenes and --film would be ignored: nothing is simulated with --port",
        ),
    ],
)
def test_an_option_that_means_nothing_is_refused(
    words: list[str], text: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)

    assert cli.main(words) == 2
    assert text in capsys.readouterr().err
