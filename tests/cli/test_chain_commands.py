"""Commands that run stages, without running DVC."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TextIO

import pytest

from soarm import cli, reproduce
from soarm.dataset.recorder import Recorder
from soarm.spec import ACTION, JOINT_FEATURE, STATE

ROOT = Path(__file__).parents[2]


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[list[str]]:
    """The commands that would have run, in a folder that looks like the repository."""
    commands: list[list[str]] = []

    def call(command: list[str], environment: dict[str, str], out: TextIO | None) -> int:
        assert command[:3] == [sys.executable, "-m", "dvc"]
        assert environment["PATH"].split(os.pathsep)[0] == str(Path(sys.executable).parent)
        commands.append(command[3:])
        return 7

    for name in ("dvc.yaml", "params.yaml"):
        (tmp_path / name).write_text((ROOT / name).read_text())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(reproduce, "_call", call)
    return commands


@pytest.mark.parametrize(
    ("words", "command"),
    [
        (["repro"], ["repro"]),
        (["train", "--force"], ["repro", "--force", "train_act"]),
        (["repro", "--profile", "ci"], ["exp", "run", "-S", "profile=ci"]),
        (
            ["rl-train", "--seed", "1", "-S", "base.reach.margin=2", "--temp"],
            ["exp", "run", "-S", "seed=1", "-S", "base.reach.margin=2", "--temp", "train_residual"],
        ),
        (["record", "--task", "push"], ["exp", "run", "-S", "task=push", "record"]),
        (["export", "--temp"], ["exp", "run", "--temp", "export"]),
        (["train", "--units", "degrees"], ["exp", "run", "-S", "dataset_units=degrees", "train_act"]),
    ],
)
def test_a_stage_runs_through_dvc_with_this_python_first(
    called: list[list[str]], words: list[str], command: list[str]
) -> None:
    status = cli.main(words)

    assert called == [command]
    assert status == 7


def test_a_dataset_is_named_from_the_root_or_absolutely(called: list[list[str]], tmp_path: Path) -> None:
    for folder in (Path("datasets/mine"), tmp_path.with_name(tmp_path.name + "-elsewhere"), Path("datasets/Anna's größte=1")):
        record(folder)
        cli.main(["train", "--dataset", str(folder)])

    cli.main(["train", "--dataset", "datasets/mine", "--temp"])  # in a copy of what git knows

    assert [words[3] for words in called] == [
        "dataset=datasets/mine",
        f"dataset={tmp_path}-elsewhere",
        r"dataset='datasets/Anna\'s größte=1'",
        f"dataset={tmp_path / 'datasets' / 'mine'}",
    ]


def record(folder: Path) -> None:
    """Record a dataset of one episode."""
    recorder = Recorder.create(folder, {STATE: JOINT_FEATURE, ACTION: JOINT_FEATURE}, 30, "so100_follower", "Lift.")
    with recorder:
        recorder.save_episode({STATE: [[0.0] * 6] * 3}, [[0.0] * 6] * 3)


def test_a_dataset_that_is_not_sound_is_refused_before_dvc_runs(
    called: list[list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    record(Path("datasets/mine"))
    Path("datasets/mine/meta/stats.json").write_text("{}")

    assert cli.main(["train", "--dataset", "datasets/mine"]) == 1
    said = capsys.readouterr().err
    assert "datasets/mine is not a sound dataset (" in said
    assert "stats.json" in said
    assert called == []


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--dataset", "nowhere"], "nowhere is no dataset: it has no meta/info.json"),
        (["--task", "juggle"], "task is 'juggle'; `tasks` holds ['pick_place', 'push', 'stack']"),
        (["--profile", "none"], "holds the profiles ['default', 'ci'"),
        (["-S", "seed"], "--set 'seed' is no change; write NAME=VALUE"),
        (["-S", "base.train_act.inputs="], "--set 'base.train_act.inputs=' is no change; write NAME=VALUE"),
        (["-S", "base.train_act.inputs=[a"], "base.train_act.inputs is '[a', which cannot be read: brackets and quotes have"),
        (["-S", "tasks.push.sim=a=b"], "as in -S \"tasks.push.sim='a=b'\""),
        (["-S", "base.train_act.inputs=a,b"], "several values; give one, or a list: -S 'base.train_act.inputs=[a,b]'"),
        (["-S", "base.reach.margn=2"], "base.reach.margn is no parameter: base.reach has ['shape', 'factors',"),
        (["-S", "base.sim.cameras.front=1"], "base.sim.cameras has []; -S '+base.sim.cameras.front=1' adds it"),
        (["-S", "base.seed.x=2"], "base.seed.x is no parameter: params.yaml has no base.seed, or nothing below it"),
        (
            ["--profile", "ci", "-S", "base.record.n_episodes=abc", "-S", "seed=1"],
            "parameters do not fit:\n  base.record.n_episodes is 'abc'; it must be a number, as 100 is\n",
        ),
    ],
)
def test_what_cannot_be_is_said_before_dvc_runs(
    called: list[list[str]], words: list[str], text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["train", *words]) == 1
    assert text in capsys.readouterr().err
    assert called == []


def test_what_the_last_stages_would_refuse_is_refused_before_the_first_runs(
    called: list[list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    changes = ["-S", "base.gauntlet.only=[nope]", "-S", "base.deploy_check.n_scenes=0", "-S", "+base.compare.speed=3"]

    assert cli.main(["repro", *changes]) == 1
    said = capsys.readouterr().err
    assert "params.yaml: gauntlet: only names the rows ['nope'], which there are not; there are [" in said
    assert "params.yaml: deploy_check.n_scenes is 0" in said
    assert "params.yaml: compare has unknown keys ['speed']" in said
    assert said.count("parameters do not fit") == 1
    assert str(Path.cwd() / "params.yaml") in said
    assert called == []
    assert cli.main(["train", *changes]) == 7  # whose own parameters are sound


@pytest.mark.parametrize(
    ("command", "change", "said_once"),
    [
        ("eval", "base.train_act.steps=0", "train_act.steps is 0"),
        ("gauntlet", "base.eval_base.n_rows=0", "eval_base.n_rows is 0"),
        ("gauntlet", "base.sim.model=nope", "sim.model is 'nope'"),
        ("train", "base.record.n_episodes=0", "record.n_episodes is 0"),
    ],
)
def test_what_stages_before_it_or_beside_it_would_refuse_is_refused(
    called: list[list[str]], capsys: pytest.CaptureFixture[str], command: str, change: str, said_once: str
) -> None:
    assert cli.main([command, "-S", change]) == 1
    assert capsys.readouterr().err.count(said_once) == 1
    assert called == []


def test_a_row_of_the_gauntlet_that_does_not_fit_the_simulator_is_refused_before_the_chain_runs(
    called: list[list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    params = Path("params.yaml")
    text = params.read_text()
    assert "physics: {latency_s: [0.033, 0.033]}" in text
    params.write_text(text.replace("physics: {latency_s: [0.033, 0.033]}", "physics: {latency: [0.033, 0.033]}"))

    assert cli.main(["gauntlet"]) == 1
    assert re.search(r"gauntlet\.rows\.\w+\.sim.*latency", capsys.readouterr().err)
    assert called == []


@pytest.mark.parametrize(
    ("words", "over"),
    [
        (["--profile", "ci", "-S", "base.record.n_episodes=9"], "ci.record.n_episodes"),
        (["-S", "base.record.n_episodes=9"], None),
        (["--profile", "ci", "-S", "ci.record.n_episodes=9"], None),
        (["--profile", "ci", "-S", "base.train_act.learning_rate=1e-3"], None),
        (["-S", "profile=ci", "-S", "base.reach.factors=[0.5]"], "ci.reach.factors"),
    ],
)
def test_a_change_that_the_profile_hides_is_said(
    called: list[list[str]], capsys: pytest.CaptureFixture[str], words: list[str], over: str | None
) -> None:
    assert cli.main(["record", *words]) == 7
    assert len(called) == 1
    name = words[-1].partition("=")[0]
    said = f"warning: {name} changes nothing: {over} is laid over it; change that\n"
    assert capsys.readouterr().err == ("" if over is None else said)


def test_outside_of_the_repository_it_says_where_to_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)

    assert cli.main(["repro"]) == 1
    assert "has no dvc.yaml; run this from the root of the repository" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["repro"], ["train"], ["repro", "-S", "seed=1"]])
def test_nothing_runs_that_would_delete_what_is_in_no_cache(
    called: list[list[str]], capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    for name in ("record", "train_act"):
        Path("data", name).mkdir(parents=True)
        Path("data", name, "mine").write_text(name)
    status = cli.main(words)
    said = capsys.readouterr().err

    assert (status, called) == (1, [])
    assert "mv data/record datasets/mine" in said
    assert "mv data/train_act elsewhere" in said
    assert cli.main(["repro", "--temp", "--profile", "ci"]) == 7  # in a copy of the repository


def test_curves_of_a_training_that_was_stopped_keep_nobody_from_going_on(called: list[list[str]]) -> None:
    path = Path("data/live/train_act/plots/metrics/loss.tsv")
    path.parent.mkdir(parents=True)
    path.write_text("step\tloss\n1\t0.5\n")

    assert cli.main(["train"]) == 7


@pytest.fixture
def reproduced(called: list[list[str]], monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """As `called`, with stages that succeed, and the metrics of the chain as it is in git."""
    call = reproduce._call
    monkeypatch.setattr(reproduce, "_call", lambda *arguments: call(*arguments) and 0)
    shutil.copytree(ROOT / "data" / "metrics", "data/metrics")
    return called


def test_an_evaluation_that_is_shared_has_its_inputs_made_first_and_its_parts_put_together_last(
    reproduced: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def make_parts(root: Path, stage: str, workers: int, address: str | None) -> int:
        reproduced.append([stage, str(workers), str(address)])
        return int(workers == 5)

    monkeypatch.setattr("soarm.spread.make_parts", make_parts)

    assert cli.main(["gauntlet", "--workers", "3", "-S", "base.gauntlet.n_scenes=50"]) == 0
    assert cli.main(["eval", "--workers", "5"]) == 1
    assert reproduced == [
        ["exp", "run", "-S", "base.gauntlet.n_scenes=50", "train_act", "train_eye", "train_residual"],
        ["gauntlet", "3", "None"],
        ["repro", "gauntlet"],
        ["repro", "train_act", "train_eye"],
        ["eval_base", "5", "None"],
    ]


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--workers", "2", "--temp"], "leave --temp and --force out"),
        (["--workers", "2", "--ray", "auto"], "--workers is for this machine"),
        (["--ray", "ray://somewhere:10001"], "it has to be a node of the cluster"),
    ],
)
def test_what_cannot_be_shared_is_said_before_dvc_runs(
    called: list[list[str]], words: list[str], text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["eval", *words]) in (1, 2)
    assert text in " ".join(capsys.readouterr().err.replace("│", " ").split())
    assert called == []


def test_a_comparison_ends_with_a_table_of_intervals(reproduced: list[list[str]], caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    status = cli.main(["rl-eval"])

    assert (status, reproduced) == (0, [["repro", "compare"]])
    assert re.search(r"success \[%\] +\d+\.\d\d +\d+\.\d\d +[+-]\d+\.\d\d \([+-]\d+\.\d\d to [+-]\d+\.\d\d\)", caplog.text)
    assert re.search(r"\d+ scenes gained, \d+ lost; McNemar p = ", caplog.text)


def test_an_evaluation_ends_with_success_and_its_interval(
    reproduced: list[list[str]], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")

    assert cli.main(["eval"]) == 0
    assert re.search(r"success +\d+\.\d % \(95 %: \d+\.\d to \d+\.\d\)", caplog.text)


@pytest.mark.parametrize(("name", "stage"), [("rl-eval", "compare"), ("train", "train_act"), ("repro", "compare")])
def test_json_is_the_stage_s_metrics(
    reproduced: list[list[str]], name: str, stage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main([name, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads(Path(f"data/metrics/{stage}.json").read_text())


def test_an_experiment_ends_with_its_metrics_and_how_to_go_on(
    reproduced: list[list[str]], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def git(*words: str) -> None:
        subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@b", *words], check=True, capture_output=True)

    caplog.set_level("INFO")
    path = Path("data/live/train_act/metrics.json")
    path.parent.mkdir(parents=True)
    path.write_text('{"l1_deg": 3.75}')
    git("init")
    git("add", "-f", str(path))
    git("commit", "-m", "an experiment")
    git("update-ref", f"refs/exps/01/{'a' * 38}/an-older-one", "HEAD")
    git("update-ref", "refs/exps/stash", "HEAD")
    monkeypatch.setattr(
        reproduce, "_call", lambda *arguments: git("update-ref", f"refs/exps/01/{'a' * 38}/mild-cow", "HEAD") or 0
    )

    assert cli.main(["train", "--temp"]) == 0
    assert caplog.messages == [
        "l1_deg       3.75\n"
        "the experiment is mild-cow: `dvc metrics diff HEAD mild-cow` compares it, `dvc exp apply mild-cow` brings its results"
    ]


def test_a_comparison_of_scenes_that_nobody_solved_is_shown(
    reproduced: list[list[str]], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    path = Path("data/metrics/compare.json")
    found = json.loads(path.read_text())
    for policy in ("base", "residual"):
        found[policy]["time_to_success_s"] = None
    found["differences"]["time_to_success_s"] = {"mean": None, "ci95": [None, None], "n_scenes": 0}
    path.write_text(json.dumps(found))

    assert cli.main(["rl-eval"]) == 0
    assert re.search(r"time to success \[s\] +- +- +- \(- to -\)", caplog.text)


def test_where_there_is_no_report_no_stage_runs_and_what_makes_it_is_said(
    reproduced: list[list[str]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", lambda url: opened.append(url) or len(opened) == 1)

    assert cli.main(["report"]) == 1
    assert cli.main(["report", "--json"]) == 1
    Path("data/compare").mkdir()
    Path("data/compare/report.html").touch()
    assert cli.main(["report"]) == 0
    assert cli.main(["report", "--open"]) == 0
    assert opened == [Path("data/compare/report.html").resolve().as_uri()]
    assert cli.main(["report", "--open"]) == 1
    said = capsys.readouterr()
    assert reproduced == []
    assert said.out.splitlines() == [str(Path("data/compare/report.html").resolve())] * 3
    assert said.err.count("there is no report yet: no data/compare/report.html here. `soarm rl-eval` makes it") == 2
    assert "no browser can be opened here" in said.err


def test_a_study_that_cannot_be_run_is_refused_before_the_chain_is_trained(
    called: list[list[str]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)

    assert cli.main(["study", "no_such"]) == 1
    assert cli.main(["study", "residual-99"]) == 1
    assert cli.main(["study", "residual-0", "--ray", "127.0.0.1:0"]) == 1
    said = capsys.readouterr().err
    assert "the study has no no_such; its groups are full, residual" in said
    assert "the study has no residual-99; " in said
    assert "there is no Ray cluster at '127.0.0.1:0' " in said
    assert called == []


def test_after_the_runs_of_the_study_comes_their_table(called: list[list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    from soarm.cluster import study

    asked: list[tuple[list[str], int, str | None]] = []

    def run_study(root: Path, wanted: list[str], workers: int, address: str | None) -> int:
        asked.append((wanted, workers, address))
        return 0

    def call(command: list[str], environment: dict[str, str], out: TextIO | None) -> int:
        called.append(command[3:])
        return 0

    monkeypatch.setattr(study, "run_study", run_study)
    monkeypatch.setattr(study, "require_possible", lambda root, wanted, address: asked.clear())
    monkeypatch.setattr(reproduce, "_call", call)

    assert cli.main(["study", "ppo", "no_penalty-0", "--workers", "3"]) == 0
    assert asked == [(["ppo", "no_penalty-0"], 3, None)]
    assert cli.main(["study", "--ray", "auto"]) == 0
    assert (asked[0][0], asked[0][2]) == ([], "auto")
    assert called[:2] == [["repro", "reach"], ["repro", "-s", "study/dvc.yaml:study_summary"]]


def test_workers_are_of_this_machine_and_not_of_a_cluster(called: list[list[str]]) -> None:
    assert cli.main(["study", "--workers", "2", "--ray", "auto"]) == 2
    assert called == []
