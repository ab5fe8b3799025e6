import json

import pytest

from soarm.cli import main
from soarm.runtime.bundle import Bundle
from soarm.runtime.latency import measure, time_calls


@pytest.fixture
def quiet_logging(monkeypatch):
    """The command sets up logging for its own process; keep that out of the tests' one."""
    monkeypatch.setattr("logging.basicConfig", lambda **_: None)


def test_check_shows_the_specification_and_the_latency(bundle_folder, caplog, quiet_logging):
    caplog.set_level("INFO")

    status = main(["check", str(bundle_folder), "--calls", "3"])

    assert status == 0
    assert '"control_hz": 30' in caplog.text
    assert "tick     median" in caplog.text


def test_check_of_a_changed_bundle_fails_with_the_remedy(bundle_folder, caplog, quiet_logging):
    (bundle_folder / "act.onnx").write_bytes(b"")

    status = main(["check", str(bundle_folder)])

    assert status == 1
    assert "Copy the whole folder again" in caplog.text


def test_latency_of_every_part_is_measured(bundle_folder):
    found = measure(Bundle.open(bundle_folder), n_calls=5)

    assert list(found) == ["act", "residual", "tick"]
    assert all(0 < one.median_ms <= one.p99_ms for one in found.values())


def test_warm_up_calls_are_not_timed():
    calls = []

    time_calls(lambda: calls.append(1), n_calls=7)

    assert len(calls) == 27


def test_a_program_reads_the_latency(bundle_folder, capsys):
    assert main(["check", str(bundle_folder), "--calls", "2", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)

    assert set(found["latency"]) == {"act", "residual", "tick"}
    assert found["spec"]["control_hz"] == 30


@pytest.mark.parametrize("calls", ["0", "nan", "1e3"])
def test_calls_are_counted_in_whole_numbers(bundle_folder, calls):
    assert main(["check", str(bundle_folder), "--calls", calls]) == 2
