"""The cards beside a bundle: whose results they show, and which files they are."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from soarm.evaluation.evaluator import policy_hash
from soarm.report import bundle_cards
from soarm.report.cards import Training
from soarm.spec import Feature
from soarm.tasks.registry import TASKS

TRAINING = Training("data/record", "0123", 1, 2, 30, {"train_act": {}, "train_residual": {}}, "ci", 0, "fedc")


@pytest.fixture
def folders(tmp_path, base, residual):
    """Folders of a base, of a residual and of their comparison."""
    made = [tmp_path / name for name in ("base", "residual", "compare")]
    for folder in made:
        folder.mkdir()
        (folder / "weights").write_text(folder.name)
    for name, rows, folder in (("base", base, made[0]), ("residual", residual, made[1])):
        dataclasses.replace(rows, provenance={"policy": policy_hash(folder)}).save(made[2], name)
    return made


def test_what_compare_found_of_these_policies_is_on_their_cards(folders):
    found = bundle_cards.evaluation(folders[2], *folders[:2])

    assert found is not None
    assert (found.base.success_rate, found.residual.success_rate) == (0.5, 0.75)
    assert (found.table.residual_only, found.table.base_only) == (3, 1)


def test_what_it_found_of_others_is_not(folders):
    (folders[1] / "weights").write_text("trained again")

    assert bundle_cards.evaluation(folders[2], *folders[:2]) is None
    assert bundle_cards.evaluation(None, *folders[:2]) is None


def test_a_network_s_card_lies_beside_its_file(tmp_path: Path) -> None:
    task = TASKS["stack"]
    spec = dataclasses.replace(task.spec(30), chunk_size=5, n_action_steps=5, residual_scale=(1.0,) * 6)

    bundle_cards.write(tmp_path, task, spec, TRAINING, None, {})

    assert sorted(path.name for path in tmp_path.iterdir()) == ["README.md", "act.md", "residual.md"]
    assert "The residual's bound" not in (tmp_path / "act.md").read_text()
    assert "The residual's bound" in (tmp_path / "residual.md").read_text()


def test_the_cards_of_a_bundle_with_an_eye_say_that_it_looks_and_ask_for_its_cameras(tmp_path: Path) -> None:
    task = TASKS["pick_place"]
    spec = dataclasses.replace(task.spec(30), chunk_size=5, n_action_steps=5, residual_scale=(1.0,) * 6)

    bundle_cards.write(tmp_path, task, spec, TRAINING, None, {}, ["front", "wrist"])

    for name in bundle_cards.FILES.values():
        card = (tmp_path / name).read_text()
        assert "An eye says where things lie (cube and bin), from pictures of front, wrist" in card
        assert "--camera front=DEVICE --camera wrist=DEVICE" in card
        assert "no pictures" not in card
        assert "--objects" not in card
    assert "`eye.onnx`" in (tmp_path / "README.md").read_text()


def test_the_cards_of_a_base_that_looks_itself_ask_for_its_cameras_alone(tmp_path: Path) -> None:
    task = TASKS["pick_place"]
    features = {key: one for key, one in task.spec(30).features.items() if key != "observation.environment_state"}
    features |= {"observation.images.front": Feature.image(32, 48)}
    spec = dataclasses.replace(task.spec(30), features=features, chunk_size=5, n_action_steps=5, residual_scale=(1.0,) * 6)

    bundle_cards.write(tmp_path, task, spec, TRAINING, None, {})

    card = (tmp_path / "README.md").read_text()
    assert "It observes pictures of front." in card
    assert "--calibration arm.json --camera front=DEVICE\n" in card
