"""A stage's frame: what is put where, what a failure leaves, what is found again after a kill."""

from __future__ import annotations

import dataclasses
import functools
import io
import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

from soarm.errors import ParamsError, StageError
from soarm.provenance import git_revision
from soarm.stage import command, open_stage

DATASET = {"task": "pick_place", "dataset": "datasets/mine", "dataset_units": None, "tracking": []}


@dataclasses.dataclass(frozen=True)
class Toy:
    n: int


def git(root: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    done = subprocess.run(["git", *identity, *arguments], cwd=root, check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture(autouse=True)
def _own_hook(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stage that fails leaves its own hook for exceptions, which other tests must not meet."""
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A repository with one parameter section and one commit."""
    data = {
        "profile": "ci",
        "seed": 3,
        **DATASET,
        "base": {"toy": {"n": 1}, "sim": {"n": 5}},
        "tasks": {"pick_place": {}},
        "ci": {"toy": {"n": 2}},
    }
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(data))
    (tmp_path / "stages").mkdir()
    (tmp_path / "stages" / "toy.py").write_text('"""Toy."""\n')
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "start")
    return tmp_path


def curves(root: Path) -> dict[str, str]:
    """Return metric -> its TSV."""
    folder = root / "data" / "live" / "toy" / "plots" / "metrics"
    return {str(path.relative_to(folder).with_suffix("")): path.read_text() for path in folder.rglob("*.tsv")}


def results(root: Path) -> set[str]:
    """Return the files of data/, but for what stages remember of themselves."""
    files = {str(path.relative_to(root)) for path in (root / "data").rglob("*") if path.is_file()}
    return {name for name in files if not name.startswith("data/.written/")}


def metrics(root: Path) -> dict[str, object]:
    values: dict[str, object] = json.loads((root / "data" / "metrics" / "toy.json").read_text())
    return values


def test_a_finished_stage_leaves_its_folder_its_metrics_and_nothing_else(root: Path) -> None:
    with open_stage("toy", root) as run:
        assert run.params("toy", Toy) == Toy(2)
        (run.out / "result").write_text("x")
        (run.scratch / "checkpoint").write_text("y")
        run.finish({"loss_deg": np.float32(0.5), "counts": {"a": np.int64(3)}, "ci95": (0.25, 0.75), "time_s": float("nan")})

    written = metrics(root)
    assert written.pop("wall_s") >= 0  # type: ignore[operator]
    assert written == {
        "loss_deg": 0.5,
        "counts": {"a": 3},
        "ci95": [0.25, 0.75],
        "time_s": None,
        "git_rev": git(root, "rev-parse", "HEAD"),
        "profile": "ci",
        "seed": 3,
    }
    assert results(root) == {"data/toy/result", "data/metrics/toy.json"}


def test_a_stage_that_fails_leaves_the_previous_result_as_it_was(root: Path) -> None:
    with open_stage("toy", root) as run:
        (run.out / "result").write_text("first")
        run.finish({"n": 1})

    with pytest.raises(ZeroDivisionError), open_stage("toy", root) as run:
        (run.out / "result").write_text("second")
        raise ZeroDivisionError

    assert (root / "data" / "toy" / "result").read_text() == "first"
    assert metrics(root)["n"] == 1


def test_what_a_failed_try_wrote_is_not_in_the_next_result(root: Path) -> None:
    with pytest.raises(ZeroDivisionError), open_stage("toy", root) as run:
        (run.out / "leftover").write_text("x")
        raise ZeroDivisionError

    with open_stage("toy", root) as run:
        (run.out / "result").write_text("x")
        run.finish({})

    assert [path.name for path in (root / "data" / "toy").iterdir()] == ["result"]


def test_scratch_is_found_again_after_a_kill_by_the_same_run_only(root: Path) -> None:
    def scratch(section: str = "toy") -> Path:
        with pytest.raises(KeyboardInterrupt), open_stage("toy", root) as run:
            run.params(section, Toy)
            run.input("upstream")
            found = run.scratch
            (found / "checkpoint").touch()
            raise KeyboardInterrupt
        return found

    upstream = root / "data" / "upstream"
    upstream.mkdir(parents=True)
    first = scratch()
    same = scratch()
    (upstream / "file").write_text("changed")
    other_input = scratch()
    other_section = scratch("sim")
    (root / "stages" / "toy.py").write_text('"""Changed."""\n')
    other_code = scratch()

    assert first == same
    assert len({first, other_input, other_section, other_code}) == 4
    assert (first / "checkpoint").exists()


def test_what_the_scratch_follows_from_is_asked_for_before_it(root: Path) -> None:
    with pytest.raises(AssertionError, match=r"read params.toy before asking for run.scratch"), open_stage("toy", root) as run:
        _ = run.scratch
        run.params("toy", Toy)


def test_parts_that_others_made_or_a_killed_run_left_are_put_together(root: Path) -> None:
    made = []

    def run_stage(part: str | None = None, dies_at: str = "") -> None:
        def make(folder: Path, name: str) -> None:
            if name == dies_at:
                raise KeyboardInterrupt
            made.append(name)
            (folder / "rows").write_text(name)

        with open_stage("toy", root, part=part) as run:
            run.params("toy", Toy)
            wanted = run.parts.wanted("abc")
            rows = [
                run.parts.made(name, functools.partial(make, name=name), lambda at: (at / "rows").read_text())
                for name in wanted
            ]
            if part is not None:
                run.finish_part({"n": 1})
                return
            (run.out / "result").write_text("".join(rows))
            run.finish({})

    run_stage(part="b")
    with pytest.raises(KeyboardInterrupt):
        run_stage(dies_at="c")
    assert not (root / "data" / "toy").exists()
    run_stage()

    assert made == ["b", "a", "c"]
    assert (root / "data" / "toy" / "result").read_text() == "abc"
    assert results(root) == {"data/toy/result", "data/metrics/toy.json"}
    assert list((root / "data" / ".scratch").iterdir()) == []
    with pytest.raises(StageError, match="toy has no part 'd' by these parameters; its parts are a, b, c"):
        run_stage(part="d")


def test_what_parts_follow_from_is_asked_for_before_them(root: Path) -> None:
    with pytest.raises(AssertionError, match=r"read params.toy before asking for run.parts"), open_stage("toy", root) as run:
        _ = run.parts
        run.params("toy", Toy)


def test_an_input_that_is_missing_is_named_with_the_command_that_makes_it(root: Path) -> None:
    message = "toy needs data/record, which does not exist; make it with `dvc repro record`"
    with pytest.raises(StageError, match=message), open_stage("toy", root) as run:
        run.input("record")
    with (
        pytest.raises(StageError, match=r"needs data/live/record/plots/metrics.*dvc repro record"),
        open_stage("toy", root) as run,
    ):
        run.curves("record")


def test_a_stage_that_forgets_to_finish_is_a_failure(root: Path) -> None:
    with pytest.raises(StageError, match=r"stage toy ended without run.finish"), open_stage("toy", root):
        pass


def test_a_bad_section_stops_the_stage_before_anything_is_written(root: Path) -> None:
    with pytest.raises(ParamsError, match="no section 'tyo'"), open_stage("toy", root) as run:
        run.params("tyo", Toy)

    assert not (root / "data").exists()


def test_metrics_over_steps_become_a_table(root: Path) -> None:
    with open_stage("toy", root) as run:
        run.log(1, {"loss": 0.5})
        run.log(2, {"loss": float("nan"), "success_rate": np.float32(0.5)})
        run.finish({})

    assert curves(root) == {"loss": "step\tloss\n1\t0.5\n", "success_rate": "step\tsuccess_rate\n2\t0.5\n"}


def test_curves_are_there_while_the_stage_runs_and_those_of_the_run_before_are_gone(root: Path) -> None:
    with open_stage("toy", root) as run:
        run.log(1, {"other": 0.5, "train/loss": 1})
        run.finish({})
    with open_stage("toy", root) as run:
        first = curves(root)
        run.log(1, {"loss": 0.5})
        second = curves(root)
        run.log(2, {"loss": 0.25, "late": 1.0})
        third = curves(root)
        run.finish({})

    assert first == {"other": "step\tother\n1\t0.5\n", "train/loss": "step\tloss\n1\t1.0\n"}
    assert second == {"loss": "step\tloss\n1\t0.5\n"}
    assert third == curves(root) == {"loss": "step\tloss\n1\t0.5\n2\t0.25\n", "late": "step\tlate\n2\t1.0\n"}


def test_a_headline_is_short(root: Path) -> None:
    with open_stage("toy", root) as run:
        run.finish(
            {"p": 1.5777218104420236e-30}, headline={"p": 1.5777218104420236e-30, "success": 0.923067931799067, "n": 200}
        )

    written = json.loads((root / "data" / "live" / "toy" / "metrics.json").read_text())
    assert written == {"p": 1.6e-30, "success": 0.9231, "n": 200}


def test_a_resumed_run_has_the_metrics_of_both_tries_each_step_once(root: Path) -> None:
    with pytest.raises(KeyboardInterrupt), open_stage("toy", root) as run:
        _ = run.scratch
        for step in (1, 2, 3):
            run.log(step, {"loss": step})
        with (run.scratch / "history.jsonl").open("a") as file:
            file.write('[4, {"lo')  # what a kill in mid-write leaves
        raise KeyboardInterrupt

    with open_stage("toy", root) as run:
        _ = run.scratch
        for step in (3, 4):  # the last checkpoint was at step 2
            run.log(step, {"loss": 10 * step})
        run.finish({})

    assert curves(root) == {"loss": "step\tloss\n1\t1.0\n2\t2.0\n3\t30.0\n4\t40.0\n"}


def test_a_run_killed_after_its_last_step_keeps_its_metrics(root: Path) -> None:
    with pytest.raises(KeyboardInterrupt), open_stage("toy", root) as run:
        _ = run.scratch
        run.log(1, {"loss": 1})
        raise KeyboardInterrupt

    with open_stage("toy", root) as run:
        _ = run.scratch
        run.finish({})

    assert curves(root) == {"loss": "step\tloss\n1\t1.0\n"}


def test_a_changed_work_tree_shows_in_the_revision_and_results_do_not(root: Path) -> None:
    with open_stage("toy", root) as run:
        clean = run.git_rev
        run.finish({})
    git(root, "add", "data")
    git(root, "commit", "-qm", "results")
    (root / "data" / "metrics" / "toy.json").write_text("{}")
    with open_stage("toy", root) as run:
        after_results = run.git_rev
        run.finish({})
    (root / "stages" / "toy.py").write_text('"""Changed."""\n')
    with open_stage("toy", root) as run:
        after_change = run.git_rev
        run.finish({})

    assert not clean.endswith("-dirty")
    assert after_results == git(root, "rev-parse", "HEAD")
    assert after_change == after_results + "-dirty"


def test_locks_of_both_pipelines_are_no_change(root: Path) -> None:
    (root / "study").mkdir()
    for path in ("dvc.lock", "study/dvc.lock"):
        (root / path).write_text("old\n")
    git(root, "add", ".")
    git(root, "commit", "-qm", "locks")
    for path in ("dvc.lock", "study/dvc.lock"):
        (root / path).write_text("new\n")
    clean = git_revision(root)
    (root / "study" / "dvc.yaml").write_text("stages: {}\n")
    git(root, "add", ".")

    assert not clean.endswith("-dirty")
    assert git_revision(root).endswith("-dirty")


def test_a_folder_without_git_is_refused_with_the_remedy(root: Path) -> None:
    (root / ".git").rename(root / "not-git")

    with pytest.raises(StageError, match=r"not a git repository.*Clone the repository"), open_stage("toy", root):
        pass


def test_progress_in_a_log_is_lines_with_the_time_left(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "soarm"), open_stage("toy", root) as run:
        for step in run.track(range(4), description="training"):
            run.log(step, {"loss": 0.125})
        run.finish({})

    (shown,) = [record.getMessage() for record in caplog.records if "training" in record.getMessage()]
    assert shown.startswith("training  4/4 (100 %)")
    assert shown.endswith("loss 0.125")


def test_a_stage_leaves_the_process_as_it_found_it(root: Path) -> None:
    before = (list(logging.getLogger().handlers), logging.getLogger("soarm").level, sys.excepthook)

    with open_stage("toy", root) as run:
        run.finish({})

    assert (list(logging.getLogger().handlers), logging.getLogger("soarm").level, sys.excepthook) == before


def test_an_error_of_ours_is_shown_as_its_message_without_a_traceback(root: Path) -> None:
    program = "from soarm.stage import command, open_stage\nwith open_stage('toy') as run: run.input('record')"

    environment = {**os.environ, "SOARM_TRACKING": "off"}
    command = [sys.executable, "-c", program]

    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False, env=environment)

    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert io.StringIO(done.stderr).readlines()[-1].startswith("StageError: toy needs data/record")


def test_parts_of_a_stage_have_folders_metrics_and_checkpoints_of_their_own(root: Path) -> None:
    with pytest.raises(KeyboardInterrupt), open_stage("toy", root, part="a-0") as run:
        (run.scratch / "checkpoint").touch()
        raise KeyboardInterrupt
    with open_stage("toy", root, part="b-0") as run:
        assert not (run.scratch / "checkpoint").exists()
        run.log(1, {"loss": 2})
        run.finish({"n": 1})
    with open_stage("toy", root, part="a-0") as run:
        assert (run.scratch / "checkpoint").exists()
        run.finish({"n": 2})

    assert results(root) == {"data/toy/a-0/metrics.json", "data/toy/b-0/metrics.json", "data/toy/b-0/training.csv"}
    assert json.loads((root / "data" / "toy" / "b-0" / "metrics.json").read_text())["n"] == 1


def test_what_a_result_does_not_follow_from_changes_no_scratch(root: Path) -> None:
    def scratch(n: int) -> Path:
        data = {"profile": "ci", "seed": 3, **DATASET, "base": {"toy": {"n": n}}, "tasks": {"pick_place": {}}, "ci": {}}
        (root / "params.yaml").write_text(yaml.safe_dump(data))
        with pytest.raises(KeyboardInterrupt), open_stage("toy", root) as run:
            run.params("toy", Toy, depends_on=lambda toy: toy.n > 5)
            found = run.scratch
            raise KeyboardInterrupt
        return found

    assert scratch(1) == scratch(2)
    assert scratch(1) != scratch(9)


def test_a_trial_of_a_sweep_reads_the_chain_s_inputs_and_writes_in_its_own_folder(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / "data" / "reach").mkdir(parents=True)
    (root / "data" / "toy").mkdir()
    (root / "data" / "toy" / "mine").touch()  # a stage of the chain would refuse to start
    folder = root / "runs" / "sweeps" / "mine" / "3"
    folder.mkdir(parents=True)
    (folder / "params.yaml").write_text((root / "params.yaml").read_text().replace("n: 2", "n: 7"))
    monkeypatch.setenv("SOARM_TRIAL", str(folder))
    with open_stage("toy", root) as run:
        assert run.params("toy", Toy) == Toy(7)
        assert run.input("reach") == root / "data" / "reach"
        assert run.scratch.is_relative_to(folder)
        run.log(5, {"loss": 1.0})
        (run.out / "weights").write_text("some")
        run.finish({"n": 7}, headline={"n": 7})

    assert results(root) == {"data/toy/mine"}
    assert results(folder) == {
        "data/toy/weights",
        "data/metrics/toy.json",
        "data/live/toy/metrics.json",
        "data/live/toy/plots/metrics/loss.tsv",
    }
    assert run.git_rev == git(root, "rev-parse", "HEAD")


def test_a_stage_does_not_start_on_somebody_else_s_files_nor_end_on_them(root: Path) -> None:
    mine = root / "data" / "record" / "meta" / "info.json"
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    told = r"data/record holds 1 files .*data/record/meta/info\.json.*mv data/record datasets/mine.*-S dataset=datasets/mine"
    with pytest.raises(StageError, match=told), open_stage("record", root):
        pytest.fail("it started")
    with pytest.raises(StageError, match=r"mv data/toy elsewhere.*dvc commit"), open_stage("toy", root) as run:
        (run.out / "result").write_text("x")
        (root / "data" / "toy").mkdir()
        (root / "data" / "toy" / "mine").write_text("came meanwhile")
        run.finish({})

    assert mine.read_text() == "mine"
    assert (root / "data" / "toy" / "mine").read_text() == "came meanwhile"


def test_a_stage_replaces_its_own_result_whole_in_part_or_changed_back(root: Path) -> None:
    def once(text: str) -> None:
        with open_stage("toy", root) as run:
            for name in ("a", "b"):
                (run.out / name).write_text(text + name)
            run.finish({})

    once("first")
    (root / "data" / "toy" / "a").unlink()  # as a kill in mid-replacement leaves it
    once("second")

    assert (root / "data" / "toy" / "a").read_text() == "seconda"


def test_the_dataset_is_the_folder_that_params_name(root: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    told = r"toy needs datasets/mine \(`dataset` in params.yaml\), which does not exist"
    with pytest.raises(StageError, match=told), open_stage("toy", root) as run:
        run.dataset()
    (root / "datasets" / "mine").mkdir(parents=True)
    found = []
    for name in ("datasets/mine", str(elsewhere)):
        data = yaml.safe_load((root / "params.yaml").read_text())
        (root / "params.yaml").write_text(yaml.safe_dump({**data, "dataset": name, "dataset_units": "degrees"}))
        with open_stage("toy", root) as run:
            found.append((run.dataset(), run.dataset_units))
            run.finish({})

    assert found == [(root / "datasets" / "mine", "degrees"), (elsewhere, "degrees")]


def test_a_stage_asks_for_the_rate_without_the_simulator(root: Path) -> None:
    data = {
        "profile": "ci",
        "seed": 3,
        **DATASET,
        "base": {"sim": {"control_hz": 30, "n": 1}},
        "tasks": {"pick_place": {}},
        "ci": {},
    }
    (root / "params.yaml").write_text(yaml.safe_dump(data))
    with open_stage("toy", root) as run:
        assert run.control_hz() == 30
        run.finish({})
    (root / "params.yaml").write_text(yaml.safe_dump({**data, "ci": {"sim": {"control_hz": "fast"}}}))
    with pytest.raises(ParamsError, match=r"sim.control_hz is 'fast'"), open_stage("toy", root) as run:
        run.control_hz()


@pytest.mark.parametrize(("words", "status"), [(["--help"], 0), (["-h"], 0), (["now"], 2), (["--seed", "1"], 2)])
def test_a_stage_as_a_program_says_what_it_does_or_refuses_and_runs_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: list[str], status: int
) -> None:
    monkeypatch.setattr(sys, "argv", ["/somewhere/stages/toy.py", *words])
    with pytest.raises(SystemExit) as ended:
        command(lambda: pytest.fail("it ran"), "Makes a toy.")
    said = capsys.readouterr()

    assert ended.value.code == status
    assert "usage: python -m stages.toy [-h]" in said.out + said.err
    assert ("Makes a toy." in said.out) == (status == 0)


@pytest.mark.parametrize("path", sorted((Path(__file__).parents[1] / "stages").glob("[!_]*.py")), ids=lambda path: path.stem)
def test_every_stage_reads_its_words(path: Path) -> None:
    ending = path.read_text().rpartition('if __name__ == "__main__":\n')[2].strip()

    assert ending == ("main()" if path.stem == "study" else "command(main, __doc__)")  # the study's has two words of its own
