"""What the page about new tasks shows is what stands in the task's files, and what it runs runs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "new-task.md").read_text()
BLOCKS = re.findall(r"```(?:python|yaml)\n(.*?)```", PAGE, re.DOTALL)
NAME = re.compile(r"# (\S+\.(?:py|yaml))\n")
SHOWN = [(NAME.match(block)[1], block.split("\n", 1)[1]) for block in BLOCKS if NAME.match(block)]
LEFT_OUT = re.compile(r"^ *\.\.\.\n", re.MULTILINE)


@pytest.mark.parametrize(("name", "block"), SHOWN, ids=[f"{i}-{Path(name).name}" for i, (name, _) in enumerate(SHOWN)])
def test_every_part_of_a_block_stands_in_its_file_in_this_order(name: str, block: str) -> None:
    rest = (ROOT / name).read_text()
    for part in filter(None, LEFT_OUT.split(block)):
        before, found, rest = rest.partition(part)

        assert found, f"{name} does not hold:\n{part}"
        assert not before or before.endswith("\n")


def test_every_file_of_the_task_is_in_the_table_and_is_shown() -> None:
    folders = [ROOT / "soarm" / room / "stack" for room in ("tasks", "sim")]
    files = {path.relative_to(ROOT).as_posix() for folder in folders for path in folder.glob("*.py")}
    named = set(re.findall(r"^\| `(\S+)` \|", PAGE, re.MULTILINE))

    assert named == {name for name in files if not name.endswith("__init__.py")}
    assert named | {"params.yaml"} == {name for name, _ in SHOWN}


def test_what_the_page_tries_runs_in_an_empty_folder_and_the_demonstrator_succeeds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (program,) = [block for block in BLOCKS if not NAME.match(block)]
    for said, smaller in (("range(300)", "range(2)"), ("range(20)", "range(2)"), ("n_rows=20", "n_rows=2")):
        assert said in program
        program = program.replace(said, smaller)
    monkeypatch.chdir(tmp_path)
    told: dict[str, object] = {}
    exec(program, told)

    assert told["solved"] == [True, True]
    assert told["env"].spec.id == "SoArm/Stack-v0"
