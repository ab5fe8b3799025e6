"""The runs of the study as tasks: what DVC is asked and told, without DVC."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from soarm.cluster import pipeline, study
from soarm.cluster.attended import alone
from soarm.cluster.task import Outcome, Task
from soarm.errors import StageError

ROOT = Path(__file__).parents[2]
STATUS = {
    "study/dvc.yaml:full@0": [{"changed deps": {"soarm/sim": "modified"}}, {"changed outs": {"data/study/full-0": "deleted"}}],
    "study/dvc.yaml:ablation@no_penalty-1": ["changed command"],
    "study/dvc.yaml:ablation@no_margin-0": [{"changed outs": {"data/study/no_margin-0": "deleted"}}],
    "study/dvc.yaml:study_summary": [{"changed deps": {"data/study": "modified"}}],
}
Calls = list[tuple[str, ...]]


@pytest.fixture
def dvc(monkeypatch: pytest.MonkeyPatch) -> Calls:
    """Return what is called for DVC; of what is asked after the first time, everything is up to date."""
    calls: Calls = []

    def call(root: Path, *words: str) -> str:
        calls.append(words)
        return json.dumps(STATUS if words[-3:] == ("status", "--json", pipeline.FILE) else {})

    monkeypatch.setattr(pipeline, "_python", call)
    return calls


def test_what_is_not_up_to_date_runs_and_what_the_cache_has_is_put_back(dvc: Calls) -> None:
    runs = pipeline.pending(ROOT, [])

    assert [run.task.name for run in runs] == ["full-0", "no_penalty-1"]
    assert runs[1].task.words == ("-m", "stages.study", "no_penalty", "1")
    assert runs[1].task.scratch == Path("data/.scratch/study.no_penalty-1")
    assert runs[1].task.results == (Path("data/.written/study.no_penalty-1"), Path("data/study/no_penalty-1"))
    assert dvc[1][-3:] == ("checkout", "--allow-missing", "study/dvc.yaml:ablation@no_margin-0")


@pytest.mark.parametrize(
    ("name", "found"), [("full", 1), ("ablation", 1), ("no_penalty", 1), ("no_penalty-1", 1), ("no_penalty-0", 0)]
)
def test_groups_variants_and_single_runs_can_be_asked_for(dvc: Calls, name: str, found: int) -> None:
    pipeline.require_known(ROOT, [name])

    assert len(pipeline.pending(ROOT, [name])) == found


def test_an_unknown_name_is_refused_with_those_there_are() -> None:
    with pytest.raises(
        StageError, match=r"the study has no no_such, ppo2-0; its groups are full, residual, .* its variants full,"
    ):
        pipeline.require_known(ROOT, ["ppo", "no_such", "ppo2-0", "ppo-0"])


class Instant:
    """Runs everything at once: a `Runner`."""

    def __init__(self, root: Path, statuses: Mapping[str, int], change: str | None = None) -> None:
        self._root, self._statuses, self._change = root, statuses, change
        self._ended: list[Outcome] = []

    def start(self, tasks: Sequence[Task]) -> None:
        if self._change is not None:
            (self._root / self._change).write_text("# edited\n")
        self._ended = [Outcome(task.name, self._statuses.get(task.name, 0), "what it said") for task in tasks]

    def running(self) -> Mapping[str, str]:
        return {}

    def ended(self) -> list[Outcome]:
        ended, self._ended = self._ended, []
        return ended

    def stop(self) -> None: ...

    def close(self) -> None: ...


@pytest.fixture
def project(counting: Path) -> Path:
    """Return the repository with the parameters and the study of the project."""
    for name in ("params.yaml", "study/dvc.yaml"):
        (counting / name).parent.mkdir(exist_ok=True)
        (counting / name).write_text((ROOT / name).read_text())
    return counting


def test_good_runs_are_entered_and_failed_ones_named(
    project: Path, dvc: Calls, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(study, "runner", lambda *_: Instant(project, {"full-0": 3}))

    status = study.run_study(project, [], 1, None)

    assert status == 1
    assert dvc[-1] == ("-m", "soarm.cluster.entering", "study/dvc.yaml", "ablation@no_penalty-1")
    said = capsys.readouterr().err
    assert "full-0 ended with status 3, and the last it wrote is\nwhat it said" in said
    assert "1 runs failed: full-0. Type the same command again" in said


def test_nothing_is_entered_where_the_code_was_changed_meanwhile(
    project: Path, dvc: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(study, "runner", lambda *_: Instant(project, {}, change="soarm/arm.py"))

    with pytest.raises(StageError, match=r"were changed while full-0, no_penalty-1 ran: .* not entered"):
        study.run_study(project, [], 1, None)
    assert [words for words in dvc if "soarm.cluster.entering" in words] == []


def test_somebody_s_files_are_not_run_over(project: Path, dvc: Calls, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(study, "runner", lambda *_: pytest.fail("it must not begin"))
    (project / "data" / "study" / "full-0").mkdir(parents=True)
    (project / "data" / "study" / "full-0" / "mine.txt").write_text("mine")

    with pytest.raises(StageError, match=r"data/study/full-0 holds 1 files that the stage study.full-0 did not write"):
        study.run_study(project, [], 1, None)


def test_it_does_not_run_twice_in_one_repository(project: Path, dvc: Calls) -> None:
    with alone(project, "study"), pytest.raises(StageError, match=r"`soarm study` runs in .* already"):
        study.run_study(project, [], 1, None)


def test_where_all_is_done_nothing_runs(project: Path, dvc: Calls, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        status = study.run_study(project, ["ppo"], 1, None)

    assert status == 0
    assert "every run of the study that was asked for is up to date" in caplog.text
