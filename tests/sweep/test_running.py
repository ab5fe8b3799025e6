"""Sweeps of a stage that trains in no time: pruned, stopped, killed, in two processes, in a database."""

from __future__ import annotations

import dataclasses
import json
import os
import shlex
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

optuna = pytest.importorskip("optuna", reason="optuna is not installed (the extra `sweep`)")

from optuna.trial import TrialState  # noqa: E402

from soarm import cli, params, reproduce  # noqa: E402
from soarm.errors import StageError  # noqa: E402
from soarm.sweep import optuna_store, outcome, running  # noqa: E402
from soarm.sweep.basis import Basis  # noqa: E402
from soarm.sweep.optuna_store import values_of  # noqa: E402
from soarm.sweep.running import Sweep  # noqa: E402

LR = ["learner.lr=0.001..0.1 log"]
SLOW = [*LR, "mode=slow"]


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "_LOOK_S", 0.01)
    monkeypatch.setattr(optuna_store, "_PATIENCE_S", 0.2)


def opened(toy: Any, texts: list[str] = LR, name: str = "mine", storage: str | None = None) -> Sweep:
    return Sweep.open(toy, texts, name, storage, Path.cwd())


def wait_for(is_so: Callable[[], bool]) -> None:
    give_up_s = time.monotonic() + 60.0
    while not is_so():
        assert time.monotonic() < give_up_s
        time.sleep(0.01)


def is_at_200(folder: Path) -> bool:
    path = folder / "data" / ".scratch" / "step"
    return path.exists() and path.read_text() == "200"


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_sweep_begins_with_params_yaml_and_finds_something_better(repository: Path, toy: Any) -> None:
    before = files(repository / "data")
    sweep = opened(toy)
    sweep.run(1)
    assert sweep.lines()[-3:] == [
        "the best is trial 0, which is params.yaml as it stands. What it is worth on test scenes:",
        "",
        "    dvc exp run --temp",
    ]
    status = sweep.run(4)
    trials = sweep.store.trials()
    best = outcome.best(toy, trials)

    assert status == 0
    assert [one.number for one in trials] == [0, 1, 2, 3]
    assert values_of(trials[0]) == {"learner.lr": 0.05}
    assert trials[0].intermediate_values == {step: pytest.approx(0.6 * step / 400) for step in (100, 200, 300, 400)}
    assert best is not None
    assert best.value is not None
    assert best.value > 0.6
    assert files(repository / "data") == before, "nothing of the chain's is touched"
    used = params.load(repository / "runs/sweeps/mine/2/params.yaml").section("train_residual", toy.params)
    assert used.learner.lr == values_of(trials[2])["learner.lr"]
    assert not list(repository.glob("runs/sweeps/*/*/data/.scratch"))


def test_the_same_sweep_draws_the_same_again(repository: Path, toy: Any) -> None:
    drawn = []
    for name in ("one", "two"):
        sweep = opened(toy, name=name)
        sweep.run(3)
        drawn.append([values_of(one) for one in sweep.store.trials()])

    assert drawn[0] == drawn[1]
    assert len({values["learner.lr"] for values in drawn[0]}) == 3


def test_a_trial_that_falls_behind_is_stopped(repository: Path, toy: Any) -> None:
    sweep = opened(toy)
    for lr in (0.01, 0.011, 0.012, 0.013, 0.014):
        curve = {step: (1 - abs(lr - 0.01) * 10) * step / 400 for step in (100, 200, 300, 400)}
        sweep.store.study.add_trial(
            optuna.create_trial(
                state=TrialState.COMPLETE,
                value=curve[400],
                params={"learner.lr": lr},
                distributions={"learner.lr": optuna.distributions.FloatDistribution(0.001, 0.1, log=True)},
                intermediate_values=curve,
            )
        )
    sweep = dataclasses.replace(sweep, searches=opened(toy, SLOW, "other").searches)
    sweep.run(6)
    trial = sweep.store.trials()[0]  # params.yaml as it stands, but the stage would wait for ever at step 200

    assert trial.state == TrialState.PRUNED
    assert values_of(trial)["learner.lr"] == 0.05
    assert set(trial.intermediate_values) <= {100, 200}
    assert "pruned" in outcome.table(toy, [trial], sweep.searches)[1]
    assert not (repository / "runs/sweeps/mine" / str(trial.number) / "data/.scratch").exists()


def test_ctrl_c_stops_the_trial_and_the_same_sweep_goes_on_with_it(
    repository: Path, toy: Any, caplog: pytest.LogCaptureFixture
) -> None:
    folder = repository / "runs/sweeps/mine/0"

    def interrupt() -> None:
        wait_for(lambda: is_at_200(folder))
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with caplog.at_level("INFO", "soarm"):
        assert opened(toy, SLOW).run(2) == 130
    thread.join()
    there = opened(toy, SLOW)
    assert [one.state for one in there.store.trials()] == [TrialState.RUNNING]
    assert "Type the same command again: the trial goes on from its checkpoint" in caplog.text
    (folder.parent / "go").touch()
    assert there.run(2) == 0

    assert (folder / "starts").read_text().split() == ["0", "200"]
    assert [one.state for one in there.store.trials()] == [TrialState.COMPLETE] * 2
    assert set(there.store.trials()[0].intermediate_values) == {100, 200, 300, 400}


def test_a_stage_that_outlives_a_killed_sweep_is_not_run_a_second_time(repository: Path, toy: Any) -> None:
    killed = opened(toy, SLOW)
    one = killed._next(1)
    assert one is not None
    one.attempt.start(killed.basis.changed(one.values))
    one.stack.close()  # as the death of the process does
    wait_for(lambda: is_at_200(one.attempt.folder))
    sweep = opened(toy, SLOW)

    assert sweep.run(1) == 0
    assert [found.state for found in sweep.store.trials()] == [TrialState.RUNNING]
    (one.attempt.folder.parent / "go").touch()
    wait_for(lambda: not one.attempt.is_running)
    sweep.run(1)
    assert [found.state for found in sweep.store.trials()] == [TrialState.COMPLETE]
    assert (one.attempt.folder / "starts").read_text().split() == ["0"]


@pytest.mark.parametrize("storage", [None, "sqlite:///trials.db"])
def test_two_processes_share_the_trials(repository: Path, toy: Any, storage: str | None) -> None:
    first, second = (opened(toy, storage=storage) for _ in range(2))
    begun = [sweep._next(3) for sweep in (first, second, first)]

    assert [one.trial.number for one in begun if one is not None] == [0, 1, 2]
    assert second._next(3) is None
    for one in begun:
        assert one is not None
        one.stack.close()


def test_a_trial_of_a_machine_that_is_gone_is_begun_again(repository: Path, toy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = dataclasses.replace(opened(toy), host="elsewhere")
    gone = elsewhere._next(2)
    assert gone is not None
    gone.stack.close()
    sweep = opened(toy)
    assert sweep.run(1) == 0
    assert [one.state for one in sweep.store.trials()] == [TrialState.RUNNING], "it may still be at work"
    monkeypatch.setattr(optuna_store, "GRACE_S", -1.0)
    sweep.run(1)

    (again,) = sweep.store.trials()
    assert (again.number, again.state, values_of(again)) == (1, TrialState.COMPLETE, {"learner.lr": 0.05})


def test_a_stage_that_fails_is_told_with_its_reason_and_counts(repository: Path, toy: Any) -> None:
    sweep = opened(toy, [*LR, "mode=broken"])
    status = sweep.run(9)
    trials = sweep.store.trials()

    assert status == 1
    assert [one.state for one in trials] == [TrialState.FAIL] * 3, "a full disk would have used up all nine"
    assert outcome.table(toy, trials, sweep.searches)[1].endswith("(TrainingError: the loss is no longer finite)")
    assert sweep.lines()[-1] == outcome.table(toy, trials, sweep.searches)[-1], "there is no best one"


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        (
            "data/train_act/weights",
            "others",
            r"when it began:\n  data/train_act\nPut it back, or begin another with",
        ),
        ("stages/train_residual.py", "", "stages/train_residual.py"),
    ],
)
def test_trials_that_could_not_be_compared_are_not_added(
    repository: Path, toy: Any, name: str, content: str, told: str
) -> None:
    sweep = opened(toy)
    (repository / name).write_text(content)

    with pytest.raises(StageError, match=told):
        opened(toy)
    with pytest.raises(StageError, match="inputs of train_residual have changed since the sweep was started"):
        sweep.run(1)


def test_another_search_or_another_parameter_is_another_sweep(repository: Path, toy: Any) -> None:
    opened(toy)
    with pytest.raises(StageError, match=r"--search 'learner\.lr=0\.02\.\.0\.1'\n"):
        opened(toy, ["learner.lr=0.02..0.1"])
    text = (repository / "params.yaml").read_text()
    (repository / "params.yaml").write_text(f"# a comment changes nothing\n{text}")
    opened(toy)
    (repository / "params.yaml").write_text(text.replace("seed: 0", "seed: 1"))
    with pytest.raises(StageError, match=r"  params\.yaml: seed\n"):
        opened(toy)


def test_an_input_that_is_missing_is_named_before_anything_starts(repository: Path, toy: Any) -> None:
    (repository / "data" / "train_act" / "weights").unlink()
    (repository / "data" / "train_act").rmdir()

    with pytest.raises(StageError, match="train_residual needs data/train_act, which does not exist; `dvc repro train_res"):
        opened(toy)
    assert not (repository / "runs").exists()


def test_trials_that_the_journal_does_not_know_are_never_taken_for_its_own(repository: Path, toy: Any) -> None:
    opened(toy).run(1)
    (repository / "runs/sweeps/mine/journal.log").unlink()

    with pytest.raises(StageError, match="holds trials of a sweep that its journal does not know; move that folder away"):
        opened(toy)


@pytest.mark.parametrize(
    ("storage", "told"),
    [
        ("params.yaml", r"params\.yaml is no journal of a sweep, or cannot be written"),
        ("stages", "stages is no journal of a sweep, or cannot be written"),
        ("nosql://me:secret@host/x", r"the database nosql://host/x cannot be used .*--storage takes a file, or a URL"),
        ("sqlite:////nowhere/x.db", "the database sqlite:////nowhere/x.db cannot be used"),
    ],
)
def test_a_storage_that_cannot_be_used_is_said_without_its_password(
    repository: Path, toy: Any, storage: str, told: str
) -> None:
    with pytest.raises(StageError, match=told) as caught:
        opened(toy, storage=storage)
    assert "secret" not in str(caught.value)


def test_the_command_of_a_trial_gives_dvc_the_parameters_that_it_had(repository: Path, toy: Any) -> None:
    from dvc.utils.hydra import apply_overrides  # type: ignore[attr-defined]

    data = yaml.safe_load((repository / "params.yaml").read_text())
    data["default"]["train_residual"] = {"learner": {"gamma": 0.8}}
    (repository / "params.yaml").write_text(yaml.safe_dump(data))
    basis = Basis(repository, "train_residual")
    values = {"learner.lr": 3.01e-05, "learner.gamma": 0.7, "mode": "quick"}
    typed = outcome.command(basis, values)
    sets = shlex.split(typed)[5::2]

    assert typed.startswith("dvc exp run --temp -S base.train_residual.learner.lr=3.01e-05 -S default.train_residual.lear")
    assert len(sets) == 2, "what is as in params.yaml need not be said"
    reproduce._check_values(repository / "params.yaml", ("base", "tasks.toy", "default"), sets)
    apply_overrides(repository / "params.yaml", sets)
    by_dvc = params.load(repository / "params.yaml").section("train_residual", toy.params)
    (repository / "params.yaml").write_text(basis.changed(values))
    assert params.load(repository / "params.yaml").section("train_residual", toy.params) == by_dvc
    assert (by_dvc.learner.lr, by_dvc.learner.gamma) == (3.01e-05, 0.7)


def test_what_mattered_is_told_from_ten_trials_on(repository: Path, toy: Any) -> None:
    sweep = opened(toy, [*LR, "learner.gamma=0.5..0.99"])
    spaces = {name: optuna.distributions.FloatDistribution(0.001, 1.0) for name in ("learner.lr", "learner.gamma")}
    for n in range(12):
        assert (outcome.importances(sweep.store.study) == {}) == (n < 10)
        drawn = {"learner.lr": 0.001 + n / 12, "learner.gamma": 0.001 + (5 * n % 12) / 12}
        sweep.store.study.add_trial(optuna.create_trial(value=n / 12, params=drawn, distributions=spaces))

    shares = outcome.importances(sweep.store.study)
    assert shares["learner.lr"] > 0.6
    assert any(line.startswith("what mattered: learner.lr ") for line in sweep.lines())


def test_the_command_tells_a_program_or_a_person(
    repository: Path, toy: Any, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    words = ["sweep", "train_residual", "--search", LR[0], "--name", "mine"]
    assert cli.main([*words, "--trials", "2", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    with caplog.at_level("INFO", "soarm"):
        assert cli.main([*words, "--show"]) == 0

    assert [trial["state"] for trial in found["trials"]] == ["done", "done"]
    assert found["best"] in (0, 1)
    assert found["command"].startswith("dvc exp run --temp")
    assert f"the best is trial {found['best']}" in caplog.text
    assert f"    {found['command']}" in caplog.text


def test_a_name_that_is_no_folder_s_is_refused(repository: Path, toy: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["sweep", "train_residual", "--search", LR[0], "--name", "../x"]) == 2
    assert "--name is '../x'; it must be letters, digits and ._-" in capsys.readouterr().err


def test_showing_begins_no_sweep(repository: Path, toy: Any) -> None:
    with pytest.raises(StageError, match=r"there is no sweep mine to show: .*journal.log is missing; begin it without --show"):
        Sweep.open(toy, LR, "mine", None, Path.cwd(), begin=False)
    with pytest.raises(StageError, match=r"sqlite:///trials.db has no sweep mine to show"):
        Sweep.open(toy, LR, "mine", "sqlite:///trials.db", Path.cwd(), begin=False)
    opened(toy)

    assert Sweep.open(toy, LR, "mine", None, Path.cwd(), begin=False).store.trials()


def test_searches_may_be_typed_in_another_order(repository: Path, toy: Any) -> None:
    opened(toy, [*LR, "mode=broken"])

    assert opened(toy, ["mode=broken", *LR]).searches == opened(toy, [*LR, "mode=broken"]).searches
    with pytest.raises(StageError, match=r"when it began:\n  now: --search .*\n  then: --search .*mode=broken"):
        opened(toy)
