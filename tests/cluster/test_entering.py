"""Results of many stages entered at once, by DVC itself: what one `dvc commit --force` after the other would leave."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest

from soarm.cluster.entering import enter

PIPELINE = """
stages:
  count:
    matrix:
      seed: [0, 1, 2]
    cmd: python count.py ${item.seed}
    deps: [count.py]
    params: [start]
    outs: ["out/${item.seed}"]
"""


@pytest.fixture
def repo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a repository of DVC, in which a stage has two results of three."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from dvc.repo import Repo

        made = Repo.init(str(tmp_path), no_scm=True)
    monkeypatch.chdir(tmp_path)
    for name, text in {"dvc.yaml": PIPELINE, "params.yaml": "start: 1\n", "count.py": "", "out/0": "a", "out/1": "b"}.items():
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_text(text)
    return made


@pytest.mark.filterwarnings("ignore")
def test_many_stages_at_once_are_entered_as_one_after_the_other(repo: Any, tmp_path: Path) -> None:
    enter(repo, "dvc.yaml", ["count@0", "count@1"])
    at_once = (tmp_path / "dvc.lock").read_text()
    states = {target: repo.status([target]) for target in ("count@0", "count@1", "count@2")}
    (tmp_path / "dvc.lock").unlink()
    for name in ("count@0", "count@1"):
        repo.commit(name, force=True)

    assert at_once == (tmp_path / "dvc.lock").read_text()
    assert at_once.count("path: out/") == 2
    assert [target for target, changes in states.items() if not changes] == ["count@0", "count@1"]


@pytest.mark.filterwarnings("ignore")
def test_nothing_is_entered_where_a_result_is_missing(repo: Any, tmp_path: Path) -> None:
    from dvc.exceptions import DvcException

    with pytest.raises(DvcException, match=r"output 'out.2' does not exist"):
        enter(repo, "dvc.yaml", ["count@0", "count@2"])
    assert not (tmp_path / "dvc.lock").exists()
