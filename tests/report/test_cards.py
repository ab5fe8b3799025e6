"""Cards: what the Hugging Face Hub reads of them, and that every number comes from the values handed in."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest
import yaml

from soarm.evaluation.statistics import Interval, PairedTable
from soarm.evaluation.summary import Summary
from soarm.report.cards import NOT_ON_AN_ARM, Evaluation, Network, Training, dataset_card, model_card
from soarm.tasks.registry import TASKS

NETWORKS: tuple[Network, ...] = ("act", "residual", "bundle")
TRAINING = Training(
    dataset="data/record",
    dataset_hash="0123abcd",
    n_episodes=17,
    n_frames=1701,
    fps=30,
    params={"train_act": {"steps": 4711, "network": {"hidden": (12, 13)}}, "train_residual": {"env_steps": 815}},
    profile="odd",
    seed=23,
    git_rev="fedc",
)


def side(task_name: str, rate: float) -> Summary:
    failures = dict.fromkeys(TASKS[task_name].failures, 0) | {TASKS[task_name].failures[-1]: 3}
    return Summary(40, rate, Interval(rate - 0.1, rate + 0.05), 0.0, rate, math.nan, 1.0, 1.0, 1.0, failures, {})


def evaluated(task_name: str) -> Evaluation:
    return Evaluation(side(task_name, 0.25), side(task_name, 0.75), PairedTable(9, 1, 21, 9))


def front(card: str) -> dict[str, Any]:
    _, head, _ = card.split("---\n", 2)
    found: dict[str, Any] = yaml.safe_load(head)
    return found


@pytest.mark.parametrize("task_name", sorted(TASKS))
@pytest.mark.parametrize("network", NETWORKS)
def test_a_model_card_says_all_that_was_handed_in(network: Network, task_name: str) -> None:
    task = TASKS[task_name]
    spec = dataclasses.replace(task.spec(30), chunk_size=25, n_action_steps=10, statistics_hash="beef")
    spec = spec if network == "act" else dataclasses.replace(spec, residual_scale=(1.0, 2.0, 3.0, 4.0, 5.0, 66.6))

    card = model_card(network, task, spec, TRAINING, evaluated(task_name), {"tick_ms": 0.25})

    head = front(card)
    (result,) = head["model-index"][0]["results"]
    assert head["license"] == "apache-2.0"
    assert {"LeRobot", "so100", task_name} <= set(head["tags"])
    assert result["metrics"][0]["value"] == (0.25 if network == "act" else 0.75)
    for part in (
        task.instruction,
        "17 episodes, 1701 frames",
        "0123abcd",
        "beef",
        "fedc",
        "gains 21 and loses 1",
        NOT_ON_AN_ARM,
    ):
        assert part in card
    for part in (
        "ACT alone | 25.0% | 15.0% to 30.0% | never reached",
        "tick_ms | 0.25",
        "seed 23",
        "`odd`",
        "40 held-out scenes",
    ):
        assert part in card
    assert ("steps: 4711" in card) == (network != "residual")
    assert ("env_steps: 815" in card) == (network != "act")
    assert ("gripper 66.6 percent" in card) == (network != "act")
    for element in task.objects.names:
        assert f"{element} [" in card


def test_a_policy_that_was_not_compared_has_no_number_of_success() -> None:
    task = TASKS["push"]

    card = model_card("act", task, dataclasses.replace(task.spec(30), chunk_size=5, n_action_steps=5), TRAINING)

    assert "model-index" not in front(card)
    assert "Not evaluated yet" in card
    assert "McNemar" not in card


@pytest.mark.parametrize("task_name", sorted(TASKS))
def test_a_dataset_card_is_the_same_for_the_same_data(task_name: str) -> None:
    task, info = TASKS[task_name], {"total_episodes": 7, "total_frames": 70, "fps": 10, "codebase_version": "v3.0"}

    cards = {dataset_card(task, task.features, info, {"speed": (0.1, 0.3)}, 9, "so100_follower") for _ in range(2)}

    (card,) = cards
    assert "solved 7 of 9 scenes" in card
    assert "70 frames at 10 Hz (7 s)" in card
    assert "speed: [0.1, 0.3]" in card
    assert front(card)["configs"] == [{"config_name": "default", "data_files": "data/*/*.parquet"}]


def test_the_hub_reads_what_the_card_says_of_success() -> None:
    hub = pytest.importorskip("huggingface_hub")
    task = TASKS["pick_place"]
    spec = dataclasses.replace(task.spec(30), chunk_size=25, n_action_steps=10, residual_scale=(1.0,) * 6)

    read = hub.ModelCard(model_card("bundle", task, spec, TRAINING, evaluated("pick_place"))).data

    assert [one.metric_value for one in read.eval_results] == [0.75, 0.65, 0.8]
