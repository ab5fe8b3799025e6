"""A specification survives JSON, and two that disagree are told apart by name."""

from __future__ import annotations

import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from soarm.errors import SpecMismatchError
from soarm.spec import (
    ACTION,
    ENVIRONMENT_STATE,
    IMAGES,
    JOINT_FEATURE,
    STATE,
    UNKNOWN_UNIT,
    Feature,
    PolicySpec,
    content_hash,
    nameless,
    require_fitting,
    require_same,
)
from soarm.tasks.pick_place import TASK

SPEC = PolicySpec(
    features={STATE: JOINT_FEATURE, ENVIRONMENT_STATE: TASK.objects, ACTION: JOINT_FEATURE},
    control_hz=30,
    chunk_size=50,
    n_action_steps=25,
    residual_scale=(1.0, 2.0, 3.0, 4.0, 5.0, 6.0),
    dataset_hash="abc",
    git_rev="one",
)


@given(
    control_hz=st.integers(1, 100),
    chunk_size=st.none() | st.integers(1, 100),
    coeff=st.none() | st.floats(-1, 1),
    scale=st.none() | st.tuples(*[st.floats(0, 10)] * 6),
    shape=st.lists(st.integers(1, 9), max_size=3).map(tuple),
)
def test_a_specification_survives_json(
    control_hz: int,
    chunk_size: int | None,
    coeff: float | None,
    scale: tuple[float, ...] | None,
    shape: tuple[int, ...],
) -> None:
    spec = PolicySpec({"x": Feature(shape, ("a",), ("m",))}, control_hz, chunk_size, None, coeff, scale)

    assert PolicySpec.from_dict(json.loads(json.dumps(spec.to_dict()))) == spec


def test_an_image_survives_json_and_a_vector_is_written_as_it_always_was() -> None:
    spec = dataclasses.replace(SPEC, features={**SPEC.features, "observation.images.front": Feature.image(96, 128)})

    written = json.loads(json.dumps(spec.to_dict()))

    assert PolicySpec.from_dict(written) == spec
    assert written["features"]["observation.images.front"] == {
        "shape": [96, 128, 3],
        "names": ["height", "width", "channels"],
        "units": [],
        "kind": "image",
        "dtype": "uint8",
    }
    assert set(written["features"][STATE]) == {"shape", "names", "units"}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"kind": "sound"}, r"feature x: its kind is 'sound' of 'uint8'; legal are {'vector': 'float32', 'image': 'uint8'}"),
        ({"kind": ["image"]}, r"its kind is \['image'\]"),
        ({"dtype": "float32"}, r"its kind is 'image' of 'float32'"),
        ({"shape": [96, 128]}, r"shape is \[96, 128\]; that of an image is height, width, 3"),
        ({"colour": 1}, r"it must be an object with shape, names, units, and kind and dtype of an image"),
    ],
)
def test_a_feature_of_no_legal_kind_is_refused(change: dict[str, object], told: str) -> None:
    data = SPEC.to_dict()
    data["features"]["x"] = Feature.image(96, 128).to_dict() | change

    with pytest.raises(SpecMismatchError, match=told):
        PolicySpec.from_dict(data)


def test_keys_of_another_version_are_refused() -> None:
    data = SPEC.to_dict()
    data["colour"] = data.pop("control_hz")

    with pytest.raises(SpecMismatchError, match=r"unknown keys \['colour'\], missing keys \['control_hz'\]"):
        PolicySpec.from_dict(data)


def test_equal_specifications_pass() -> None:
    require_same(SPEC, SPEC, expected_name="one", found_name="other")


@pytest.mark.parametrize("change", [{"git_rev": "two"}, {"dataset_hash": None}, {"chunk_size": None}])
def test_the_revision_and_what_one_side_leaves_open_are_not_compared(change: dict[str, object]) -> None:
    require_same(SPEC, dataclasses.replace(SPEC, **change), expected_name="one", found_name="other")


def test_every_difference_is_listed_with_both_values_and_both_names() -> None:
    other = dataclasses.replace(SPEC, control_hz=50, dataset_hash="xyz")

    with pytest.raises(SpecMismatchError, match="data/b does not fit data/a") as caught:
        require_same(SPEC, other, expected_name="data/a", found_name="data/b")

    assert "control_hz: 30 in data/a, 50 in data/b" in str(caught.value)
    assert "dataset_hash: 'abc' in data/a, 'xyz' in data/b" in str(caught.value)
    assert "dvc repro" in str(caught.value)


def test_a_difference_may_be_ignored_by_name() -> None:
    other = dataclasses.replace(SPEC, control_hz=50)

    require_same(SPEC, other, expected_name="one", found_name="other", ignore=["control_hz"])


def test_a_feature_that_is_missing_or_different_is_named() -> None:
    features = {STATE: dataclasses.replace(JOINT_FEATURE, units=("rad",) * 6), ACTION: JOINT_FEATURE}
    other = dataclasses.replace(SPEC, features=features)

    with pytest.raises(SpecMismatchError) as caught:
        require_same(SPEC, other, expected_name="one", found_name="other")

    assert f"feature {ENVIRONMENT_STATE}: only in one, not in other" in str(caught.value)
    assert f"feature {STATE}: " in str(caught.value)
    assert "'rad'" in str(caught.value)


def test_the_hash_of_a_content_does_not_change_between_versions() -> None:
    assert content_hash("soarm") == content_hash(b"soarm") == "c72c4ccd825851d1"


def of(*, control_hz: int = 30, **changes: Feature | None) -> PolicySpec:
    """Return the specification of the task with some features changed, or taken out."""
    keys = {"state": STATE, "objects": ENVIRONMENT_STATE, "action": ACTION}
    features = {**TASK.features, **{keys[name]: feature for name, feature in changes.items()}}
    return PolicySpec({key: feature for key, feature in features.items() if feature is not None}, control_hz)


REVERSED = dataclasses.replace(JOINT_FEATURE, names=JOINT_FEATURE.names[::-1], units=JOINT_FEATURE.units[::-1])
TWELVE = Feature((12,), tuple(f"{side}_{name}" for side in ("left", "right") for name in JOINT_FEATURE.names), ("deg",) * 12)
NAMELESS = Feature((7,), nameless(ENVIRONMENT_STATE, 7), (UNKNOWN_UNIT,) * 7)


@pytest.mark.parametrize(
    ("found", "told"),
    [
        (of(action=REVERSED), r"action: its elements are in another order, gripper\.pos, .*must be shoulder_pan\.pos"),
        (of(state=TWELVE), r"observation\.state has size 12 \(left_shoulder_pan\.pos, .*\); it must be 6"),
        (of(control_hz=15), r"its rate is 15 Hz; the simulator runs at sim\.control_hz 30"),
        (of(objects=Feature((9,), nameless("o", 9), ("m",) * 9)), r"environment_state has size 9 .*; it must be 7"),
        (of(objects=dataclasses.replace(TASK.objects, units=("mm",) * 7)), r"environment_state is in mm, .*must be in m, "),
        (of(state=dataclasses.replace(JOINT_FEATURE, units=("rad",) * 6)), r"observation\.state is in rad, "),
        (
            of(action=dataclasses.replace(JOINT_FEATURE, units=(UNKNOWN_UNIT,) * 6)),
            r"action does not say .*dataset_units: degrees",
        ),
        (of(action=None), r"action is missing; it holds \['observation\.environment_state', 'observation\.state'\]"),
        (of(objects=None), r"holds neither observation\.environment_state .* nor observation\.images\.<camera>: .*keep it"),
    ],
)
def test_what_is_not_of_the_arm_or_the_task_is_refused_in_words(found: PolicySpec, told: str) -> None:
    with pytest.raises(SpecMismatchError, match=r"datasets/theirs: .*" + told) as caught:
        require_fitting({"datasets/theirs": found}, TASK.spec(30))

    assert "dvc repro record" not in str(caught.value)
    assert "Nothing was changed" in str(caught.value)


def test_an_artefact_of_another_task_is_refused_and_one_that_names_none_is_not() -> None:
    with pytest.raises(SpecMismatchError, match=r"mine: its task is stack; `task` in params\.yaml is pick_place"):
        require_fitting({"mine": dataclasses.replace(SPEC, task="stack")}, TASK.spec(30))
    require_fitting({"mine": dataclasses.replace(SPEC, task=None)}, TASK.spec(30))


def test_a_task_is_written_down_only_where_it_is_not_the_default() -> None:
    assert "task" not in SPEC.to_dict()
    other = dataclasses.replace(SPEC, task="stack")

    assert PolicySpec.from_dict(other.to_dict()) == other


def test_every_difference_of_every_artefact_is_listed_at_once() -> None:
    dataset = dataclasses.replace(of(control_hz=15, action=REVERSED, objects=None), dataset_hash="a")
    checkpoint = dataclasses.replace(of(state=TWELVE), dataset_hash="b")
    with pytest.raises(SpecMismatchError) as caught:
        require_fitting({"mine": dataset, "data/train_act": checkpoint}, TASK.spec(30))

    lines = str(caught.value).splitlines()[1:-1]
    assert [line.strip().partition(": ")[0] for line in lines] == ["mine"] * 3 + ["data/train_act", "dataset_hash"]


def test_what_fits_passes_and_so_does_an_environment_state_of_the_right_size_without_names() -> None:
    require_fitting({"one": SPEC, "other": dataclasses.replace(SPEC, git_rev="two")}, TASK.spec(30))
    require_fitting({"theirs": of(objects=NAMELESS), "trained on it": of(objects=NAMELESS)}, TASK.spec(30))


FRONT = Feature.image(48, 64)


def seeing(front: Feature = FRONT, **changes: object) -> PolicySpec:
    """Return the specification of what has a camera and is not told where the objects are."""
    features = {STATE: JOINT_FEATURE, f"{IMAGES}.front": front, ACTION: JOINT_FEATURE}
    return dataclasses.replace(PolicySpec(features, 30), **changes)


def test_what_has_a_camera_needs_no_environment_state_and_what_is_trained_on_it_may_leave_features_out() -> None:
    both = dataclasses.replace(SPEC, features={**TASK.features, f"{IMAGES}.front": FRONT}, chunk_size=None)
    drawn = dataclasses.replace(TASK.spec(30), features=both.features)

    require_fitting({"theirs": seeing()}, TASK.spec(30))
    require_fitting({"mine": both, "data/train_act": SPEC}, TASK.spec(30))
    require_fitting({"mine": both, "data/train_act": seeing(chunk_size=25)}, drawn)


def test_a_policy_that_looks_at_a_camera_which_the_simulator_does_not_draw_is_told_how_to_go_on() -> None:
    policy = {"data/train_act": seeing(chunk_size=25)}
    with pytest.raises(SpecMismatchError, match=r"looks at observation\.images\.front \(48, 64, 3\).*sim\.cameras.*export-p"):
        require_fitting(policy, TASK.spec(30))
    drawn = dataclasses.replace(TASK.spec(30), features={**TASK.features, f"{IMAGES}.front": Feature.image(96, 96)})
    with pytest.raises(SpecMismatchError, match=r"images\.front has size 48, 64, 3 .*; it must be 96, 96, 3"):
        require_fitting(policy, drawn)


def test_artefacts_that_fit_the_arm_must_fit_each_other() -> None:
    with pytest.raises(SpecMismatchError, match="chunk_size: 50 in data/train_act, 25 in data/train_residual"):
        other = dataclasses.replace(SPEC, chunk_size=25)
        require_fitting({"data/train_act": SPEC, "data/train_residual": other}, TASK.spec(30))
