"""Evaluations shared out: which parts there are, and what workers are told. What they make is tried in a reproduced clone."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from soarm import spread
from soarm.cluster.task import Outcome, Task
from soarm.gauntlet import UNPERTURBED

ROOT = Path(__file__).parents[1]
PARAMS = (ROOT / "params.yaml").read_text()


class Instant:
    """Runs everything at once: a `Runner`."""

    def __init__(self, status: int) -> None:
        self.tasks: list[Task] = []
        self._status = status

    def start(self, tasks: Sequence[Task]) -> None:
        self.tasks += tasks

    def running(self) -> Mapping[str, str]:
        return {}

    def ended(self) -> list[Outcome]:
        return [Outcome(task.name, self._status, "what it said") for task in self.tasks]

    def stop(self) -> None: ...

    def close(self) -> None: ...


@pytest.fixture
def share(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, list[Task]]]:
    """Return what shares a stage out by some params.yaml, in a repository, and what the workers were told."""
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    for command in (["init", "-q"], ["commit", "-qm", "start", "--allow-empty"]):
        subprocess.run(["git", *identity, *command], cwd=tmp_path, check=True)

    def shared(stage: str, params: str = PARAMS, *, status: int = 0, pending: bool = True) -> tuple[int, list[Task]]:
        (tmp_path / "params.yaml").write_text(params)
        (tmp_path / "dvc.yaml").write_text((ROOT / "dvc.yaml").read_text())
        runner = Instant(status)
        monkeypatch.setattr(spread, "runner", lambda *_: runner)
        monkeypatch.setattr(spread.pipeline, "is_pending", lambda *_: pending)
        return spread.make_parts(tmp_path, stage, 2, None), runner.tasks

    return shared


def test_each_row_of_the_gauntlet_is_a_task_of_the_stage_itself(share: Callable[..., tuple[int, list[Task]]]) -> None:
    status, tasks = share("gauntlet")

    assert (status, len(tasks)) == (0, 19)
    assert tasks[0] == Task(
        f"gauntlet.{UNPERTURBED}",
        ("-m", "stages.gauntlet", "--part", UNPERTURBED),
        Path("data/.scratch/gauntlet.unperturbed"),
        (Path("data/.scratch/gauntlet.parts/unperturbed"),),
    )


def test_each_block_of_scenes_is_a_task(
    share: Callable[..., tuple[int, list[Task]]], caplog: pytest.LogCaptureFixture
) -> None:
    alone = share("eval_base")
    said = caplog.text
    status, tasks = share("eval_base", PARAMS.replace("blocks: 1 ", "blocks: 3 "))

    assert len(alone[1]) == 1
    assert re.search(r"eval_base has one part by these parameters.*docs/cluster.md", said)
    assert (status, [task.words[-1] for task in tasks]) == (0, ["1-of-3", "2-of-3", "3-of-3"])


def test_what_is_up_to_date_is_not_made_again_and_a_part_that_failed_is_told(
    share: Callable[..., tuple[int, list[Task]]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert share("gauntlet", pending=False) == (0, [])
    status, tasks = share("gauntlet", status=3)

    assert (status, len(tasks)) == (1, 19)
    assert "19 parts failed: gauntlet.unperturbed, gauntlet.poses_3_mm," in capsys.readouterr().err
