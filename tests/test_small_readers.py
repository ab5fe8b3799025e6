"""Every reader of a small file, given anything, returns an object or raises the error that is meant for it, never another."""

from __future__ import annotations

import copy
import hashlib
import json
import math
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from soarm import arm, cli, params
from soarm.base import load_base
from soarm.cli import look
from soarm.dataset import journal
from soarm.dataset.reader import Dataset
from soarm.errors import (
    BundleError,
    CalibrationError,
    CheckpointError,
    DatasetError,
    FaultError,
    LogError,
    OnlineError,
    ProofError,
    SmallFileError,
    SoarmError,
    SpecMismatchError,
    StageError,
    TwinError,
)
from soarm.hardware.calibration import Calibration
from soarm.hardware.config import ArmConfig
from soarm.hardware.lerobot_file import read_lerobot
from soarm.online import folder
from soarm.online.steps import read_all
from soarm.proof.folder import ProofFolder
from soarm.report import desk
from soarm.residual import actor, reach
from soarm.runtime import log
from soarm.runtime.bundle import Bundle
from soarm.runtime.limits import Limits
from soarm.runtime.training_arm import TrainingArm
from soarm.smallfile import read_bytes
from soarm.spec import ACTION, JOINT_FEATURE, STATE, PolicySpec
from soarm.sweep.attempt import read_metric
from soarm.table_camera.table import Table
from soarm.twin.leading import Motion

HUGE = int("7" * 400)
NONSENSE = (math.nan, math.inf, -math.inf, -1, 0, 1e30, HUGE, "30", "", None, True, [], {}, [1, 2, 3], {"a": 1})
CONTENTS = (
    b"",
    b" \n\n",
    b"\0\0\0\0",
    b"\xff\xfe\x00",
    "{}".encode("utf-16"),
    b"\xef\xbb\xbf{}",
    b"{",
    b'{"a": 1}}',
    b"{}",
    b"[]",
    b"[1, 2, 3]",
    b"null",
    b"true",
    b"3",
    b"NaN",
    b'"text"',
    b'"\\ud800"',
    b'{"\\ud800": "\\ud800"}',
    b'{"a": NaN, "b": Infinity}',
    b'{"a": 1e999}',
    b'{"a": ' + b"7" * 400 + b"}",
    b'{"a": ' + b"7" * 5000 + b"}",
    b'{"joints": 1, "joints": 2}',
    b'{"a":' * 50_000,
    b"[" * 50_000 + b"]" * 50_000,
    b'{"joints": [[[[[[[[]]]]]]]], "version": 1}',
    b" " * (17 << 20),
)


class Reader(NamedTuple):
    """A reader of a file, the errors it may raise, and an object that it takes."""

    read: Callable[[Path], Any]
    errors: tuple[type[SoarmError], ...]
    good: Any = None


def _spec() -> dict[str, Any]:
    features = {STATE: JOINT_FEATURE, ACTION: JOINT_FEATURE}
    return PolicySpec(features, 30, 5, 3, residual_scale=(1.0,) * 6, dataset_hash="0" * 16).to_dict()


def _gauntlet_line() -> dict[str, Any]:
    words, numbers = (
        ("row", "label", "policy"),
        ("success_rate", "ci95_low", "ci95_high", "n_scenes", "gained", "lost", "mcnemar_p"),
    )
    return dict.fromkeys(words, "late") | dict.fromkeys(numbers, 1)


def _calibration() -> dict[str, Any]:
    # Without its hash, which would refuse every change before it is looked at.
    return {"version": 1, "joints": json.loads(json.dumps([vars(joint) for joint in Calibration.nominal().joints]))}


def _table() -> dict[str, Any]:
    png = (
        "iVBORw0KGgoAAAANSUhEUgAAABAAAAAQCAAAAAA6mKC9AAAALElEQVQYGVXBMQEAAACD"
        "IO1fzFi7B8YznvGMZzzjGc94xjOe8YxnPOMZz3gDDEEMkapUD8kAAAAASUVORK5CYII="
    )
    return {
        "version": 1,
        "camera": {
            "width_px": 16,
            "height_px": 16,
            "focal_px": 20.0,
            "turn": [3.0, 0.1, 0.0],
            "shift_m": [0.0, 0.0, 0.7],
            "radial_m": 0.001,
        },
        "plane": {"level": 0.0, "right": 0.0, "back": 0.0, "out": 0.0},
        "colours": {"cube": {"hue_deg": 216.0}},
        "test": {"n": 4, "median_m": 0.001, "largest_m": 0.002},
        "arm": "abc",
        "reference_png": png,
    }


def _lerobot() -> dict[str, Any]:
    entry = {"drive_mode": 0, "homing_offset": 5, "range_min": 1000, "range_max": 3000}
    return {joint.name: {"id": joint.servo_id, **entry} for joint in arm.JOINTS}


def _beside(name: str, read: Callable[[Path], Any], **others: bytes) -> Callable[[Path], Any]:
    """Return a reader of a folder in which the file has this name."""

    def at(path: Path) -> Any:
        folder = path.parent / "folder"
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).unlink(missing_ok=True)  # a link of the time before: what is written through it may never end
        for other, content in others.items():
            (folder / other.replace("_", ".")).write_bytes(content)
        (folder / name).unlink(missing_ok=True)
        (folder / name).symlink_to(path)
        return read(folder)

    return at


_WHICH = b'{"which": ["base", "residual", "residual", "base"]}'


def _plan() -> dict[str, Any]:
    spots = [{"number": i, "letter": "A", "places": {"cube": [0, -0.2, 15], "bin": [0.15, -0.2]}} for i in (1, 2)]
    fixed = {"task": "pick_place", "seed": 0, "seconds": 10, "bundle": {"act.onnx": "0"}}
    return {**fixed, "spots": spots, "trials": [2, 2, 1, 1], "seal": hashlib.sha256(_WHICH).hexdigest()}


_PLANNED = {"assignment_json": _WHICH, "plan_json": json.dumps(_plan()).encode()}


def _trial() -> dict[str, Any]:
    ran = {"cause": "done", "ended_well": True, "success_s": None, "seconds": 2, "ticks": 9, "clamped": 0, "least_volts": 7.4}
    ran |= {"reasons": {"RANGE": 1}, "celsius": {"gripper": [30, 31, 31]}}
    return {"attempts": [{"log": "001-1.log", "began": "now", "ran": ran, "outcome": "success", "before": []}]}


READERS = {
    "calibration": Reader(Calibration.load, (CalibrationError,), _calibration()),
    "lerobot": Reader(read_lerobot, (CalibrationError,), _lerobot()),
    "settings": Reader(
        ArmConfig.load,
        (FaultError,),
        {
            "part": "12",
            "gains": {"p": [16] * 6},
            "park": [0, -90, 80, 60, 0, 5],
            "stall_a": 0.7,
            "recoveries": 2,
            "stop_c": 65,
        },
    ),
    "limits": Reader(
        lambda path: Limits.load(path, arm.LOWER, arm.UPPER),
        (FaultError,),
        {"velocity": 90, "acceleration": 5000, "lead": [1, 2, 3, 4, 5, 6], "table_m": -0.01},
    ),
    "metrics of a trial": Reader(lambda path: read_metric(path, "val_l1_deg"), (StageError,), {"val_l1_deg": 1.5}),
    "specification": Reader(_beside("spec.json", look.read_spec), (StageError, SpecMismatchError), _spec()),
    "checksums": Reader(_beside("checksums.json", Bundle.open), (BundleError,), {"spec.json": "0", "act.onnx": "1"}),
    "training arm": Reader(
        lambda path: TrainingArm.from_json(read_bytes(path)),
        (SmallFileError,),
        json.loads(TrainingArm(30, (17.0, 19.0), (3.0, 3.5), (0.0, 0.0), (0.0,) * 6).to_json()),
    ),
    "log": Reader(log.read, (LogError,)),
    "steps": Reader(read_all, (OnlineError,), {"format": "soarm-online-steps", "version": 1, "dim": 4, "about": {}}),
    "run of an arm": Reader(
        _beside("run.json", folder.opened),
        (OnlineError,),
        {
            "online": params.load(params.packaged(), "pick_place").sections["online"],
            "fresh": False,
            "demonstrations": None,
            "seed": 0,
            "residual": "abc",
        },
    ),
    "table": Reader(Table.load, (CalibrationError,), _table()),
    "motion": Reader(Motion.load, (TwinError,), {"t_s": [0.0, 1.0], "q": [[0] * 6, [1] * 6]}),
    "checkpoint": Reader(
        _beside("config.json", load_base, model_safetensors=b""),
        (CheckpointError,),
        {"type": "soarm.act", "network": {}, "spec": _spec()},
    ),
    "residual": Reader(
        _beside("config.json", actor.load, actor_safetensors=b""),
        (CheckpointError, SpecMismatchError),
        {
            "hidden": [8],
            "layer_norm": True,
            "observation": {"masked_blocks": ["phase"], "tanh_features": True},
            "spec": _spec(),
        },
    ),
    "bound": Reader(_beside(reach.BOUND_FILE, reach.load_bound), (StageError,), {"bound": [1.0] * 6}),
    "gauntlet": Reader(_beside(desk.TABLE, desk.load), (StageError,), [_gauntlet_line()]),
    "plan": Reader(_beside("plan.json", ProofFolder.open, assignment_json=_WHICH), (ProofError,), _plan()),
    "trial": Reader(_beside("trials/001.json", ProofFolder.open, **_PLANNED), (ProofError,), _trial()),
    "assignment": Reader(_beside("assignment.json", ProofFolder.open, **_PLANNED), (ProofError,), json.loads(_WHICH)),
    "conditions": Reader(
        _beside("conditions.json", lambda path: ProofFolder.open(path).conditions(), **_PLANNED),
        (ProofError,),
        {"conditions": {"arm": "twin"}},
    ),
    "looks": Reader(
        _beside("unblinded.json", lambda path: ProofFolder.open(path).looks(), **_PLANNED),
        (ProofError,),
        {"looks": [{"at": "now", "trials": 3}]},
    ),
    "info": Reader(_beside("meta/info.json", Dataset.open), (DatasetError,)),
    "journal": Reader(_beside(f".recording/{journal.HEADER}", lambda root: journal.header(root)), (DatasetError,)),
}


def hold(reader: Reader, path: Path) -> None:
    """Read a file; let nothing pass but an object and an error that is meant for it."""
    try:
        reader.read(path)
    except reader.errors as error:
        text = str(error)
    else:
        text = ""
    assert len(text) < 2500, "an error shows the beginning of a value, not all of a file"
    assert text.encode("utf-8").decode("utf-8") == text, "a terminal can show it"


def leaves(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the place of every value in an object, and of every list and object in it."""
    if at:
        yield at
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from leaves(inner, (*at, key))


@pytest.mark.parametrize("name", READERS)
def test_a_reader_takes_any_content_or_refuses_it_with_its_own_error(tmp_path: Path, name: str) -> None:
    path = tmp_path / "file"
    for content in CONTENTS:
        path.write_bytes(content)
        hold(READERS[name], path)


@pytest.mark.parametrize("name", READERS)
def test_a_reader_refuses_what_is_no_file(tmp_path: Path, name: str) -> None:
    pipe, link = tmp_path / "pipe", tmp_path / "link"
    os.mkfifo(pipe)
    link.symlink_to("nowhere")

    for path in (tmp_path, pipe, link, Path("/dev/zero")):
        at = tmp_path / "below" / "file"
        at.parent.mkdir(exist_ok=True)
        at.unlink(missing_ok=True)
        at.symlink_to(path)
        with pytest.raises(READERS[name].errors):
            READERS[name].read(at)


@pytest.mark.parametrize("name", [name for name, reader in READERS.items() if reader.good is not None])
def test_a_reader_takes_any_value_at_any_place_or_refuses_it_with_its_own_error(tmp_path: Path, name: str) -> None:
    reader, path = READERS[name], tmp_path / "file"
    for i, place in enumerate(leaves(reader.good)):
        for value in NONSENSE[i % 5 :: 5]:  # a fifth at each place, another one at the next
            changed = copy.deepcopy(reader.good)
            inner = changed
            for key in place[:-1]:
                inner = inner[key]
            inner[place[-1]] = value
            path.write_text(json.dumps(changed))
            hold(reader, path)


@pytest.mark.parametrize("value", ["1", 300, -1, math.nan, 1.0, True, None, [1]])
def test_a_servo_id_is_a_whole_number_that_a_servo_can_have(tmp_path: Path, value: object) -> None:
    data = _calibration()
    data["joints"][2]["servo_id"] = value
    (tmp_path / "arm.json").write_text(json.dumps(data))

    with pytest.raises(CalibrationError, match=r"elbow_flex .*servo_id is .* must be|holds NaN"):
        Calibration.load(tmp_path / "arm.json")


def test_all_faults_of_a_calibration_are_named_at_once(tmp_path: Path) -> None:
    data = _calibration()
    data["joints"][0]["servo_id"] = 300
    data["joints"][1]["sign"] = 2
    data["joints"][3]["ticks_per_unit"] = "11"
    (tmp_path / "arm.json").write_text(json.dumps(data))

    message = r"(?s)servo_id is 300, it must be in 0\.\.253.*sign is 2, it must be 1 or -1.*ticks_per_unit is '11'"
    with pytest.raises(CalibrationError, match=message):
        Calibration.load(tmp_path / "arm.json")


def test_all_faults_of_settings_and_of_limits_are_named_with_their_bounds(tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    path.write_text(
        '{"warn_c": "55", "park_speed": NaN, "park": [0, 0], "stall_a": -1, "recoveries": -2, "stop_after_misses": 99999, '
        '"gains": {"p": 7}}'
    )
    message = (
        r"(?s)gains.p is 7 of type int; it must be a list of 6, each int.*warn_c is '55' of type str.*99999.*at most 1000"
        r".*stall_a is -1.*at most 10.*park is \[0, 0\].*-360\.\.360.*park_speed is nan.*at most 300.*recoveries is -2; .* 0"
    )
    with pytest.raises(FaultError, match=message):
        ArmConfig.load(path)

    path.write_text('{"velocity": "fast", "acceleration": 1e30, "lead": [1, 2, 3, 4, 5, NaN], "table_m": 50}')
    message = r"velocity is 'fast'.*acceleration is 1e\+30.*to 1e\+06.*lead is \[1.*6 finite.*table_m is 50.*-1\.\.1"
    with pytest.raises(FaultError, match=message):
        Limits.load(path, arm.LOWER, arm.UPPER)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"control_hz": 0}, r"control_hz is 0; it must be a whole number in 1\.\.1000"),
        ({"control_hz": -1}, "control_hz is -1"),
        ({"control_hz": 10**9}, "control_hz is 1000000000"),
        ({"control_hz": "30"}, "control_hz is '30'"),
        ({"control_hz": None}, "control_hz is None"),
        ({"n_action_steps": 0}, "n_action_steps is 0"),
        ({"n_action_steps": 6}, "n_action_steps is 6; it must not exceed chunk_size, which is 5"),
        ({"chunk_size": 2.5}, "chunk_size is 2.5"),
        ({"temporal_ensemble_coeff": math.nan}, "temporal_ensemble_coeff is nan"),
        ({"residual_scale": [1.0, 2.0, 3.0]}, r"residual_scale is \[1.0, 2.0, 3.0\]; it must be 6 numbers in 0\.\.360"),
        ({"residual_scale": [1.0] * 5 + [math.nan]}, "residual_scale is"),
        ({"residual_scale": [-1.0] * 6}, "residual_scale is"),
        ({"residual_scale": 3}, "residual_scale is 3"),
        ({"dataset_hash": 7}, "dataset_hash is 7"),
        ({"features": [1]}, r"features is \[1\]"),
        ({"features": {"action": {"shape": [0], "names": "abc", "units": []}}}, r"(?s)shape is \[0\].*names is 'abc'"),
        ({"features": {"action": {"shape": [6]}}}, "feature action: it is"),
    ],
)
def test_a_specification_with_a_wrong_value_is_refused_by_its_name(change: dict[str, Any], fault: str) -> None:
    with pytest.raises(SpecMismatchError, match=fault):
        PolicySpec.from_dict(_spec() | change)


@pytest.mark.parametrize(
    "words",
    [
        ("import-calibration", "{}", "{}.out"),
        ("export-calibration", "{}", "{}.out"),
        ("doctor", "--port", "{}", "--calibration", "{}"),
        ("check-pose", "--port", "none", "--calibration", "{}"),
        ("check", "{}"),
        ("drive", "{}", "--port", "none", "--calibration", "{}", "--place", "cube=0,0,0", "--place", "bin=0,0"),
        ("replay-log", "{}"),
        ("control", "--from-log", "{}", "--dataset", "{}.data"),
        (
            "control",
            "--follower",
            "sim",
            "--leader",
            "replay",
            "--replay",
            "{}",
            "--dataset",
            "{}.data",
            "--params",
            "{params}",
        ),
        ("twin", "--port", "{}.port", "--calibration", "{}", "--params", "{params}"),
        ("info", "{}"),
        ("show-log", "{}"),
        ("identify", "{}"),
    ],
    ids=lambda words: words[0],
)
def test_a_command_given_such_a_file_says_so_and_fails(
    tmp_path: Path, words: tuple[Any, ...], caplog: Any, capsys: Any
) -> None:
    params = str(Path(__file__).parents[1] / "params.yaml")
    for i, content in enumerate((b"", b'{"a":' * 50_000, b"\xff\xfe", b'{"version": 1, "joints": [NaN]}')):
        path = tmp_path / f"file{i}"
        path.write_bytes(content)

        status = cli.main([word.format(path, params=params) for word in words])

        assert status == 1
        assert str(path) in caplog.text + capsys.readouterr().err
