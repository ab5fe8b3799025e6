"""Does the real LeRobot read, train on and append to our datasets, and do we read and convert its?

Run in an environment with LeRobot, 0.4.4 (Python 3.11) or 0.6.1 (Python 3.12):

    PYTHONPATH=. python benchmarks/check_lerobot.py              both directions, on datasets made on the spot
    PYTHONPATH=. python benchmarks/check_lerobot.py --train      and two steps of lerobot-train with ACT
    PYTHONPATH=. python benchmarks/check_lerobot.py --dataset D  and the dataset D as well (it is not changed)
    ... --fixture tests/dataset/fixtures/lerobot-0.4.4.zip       keep the dataset that LeRobot wrote, for our tests

docs/dataset.md says how to make that environment. Prints one line per check; ends with status 1 at the first that fails.
"""

# ruff: noqa: E402 - LeRobot reads its cache folder when it is imported, so that is set before

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

_SCRATCH = tempfile.mkdtemp(prefix="check_lerobot_")  # LeRobot copies what it opens into its cache: not the user's
os.environ.update(HF_HUB_OFFLINE="1", HF_HOME=_SCRATCH, HF_DATASETS_CACHE=f"{_SCRATCH}/datasets", SVT_LOG="1")

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
from lerobot.configs.train import TrainPipelineConfig
from lerobot.datasets.dataset_tools import delete_episodes, merge_datasets
from lerobot.datasets.lerobot_dataset import LeRobotDataset
from lerobot.motors import Motor, MotorCalibration, MotorNormMode
from lerobot.motors.feetech import FeetechMotorsBus

from soarm import arm, spec
from soarm.dataset import edit
from soarm.dataset.conversion import convert
from soarm.dataset.layout import ROBOT_TYPE
from soarm.dataset.reader import Dataset
from soarm.dataset.recorder import Recorder
from soarm.tasks.pick_place import TASK

FPS = 30
CHUNK = 8
TASKS = ("Put the cube into the bin.", "Lift the cube.")
FEATURES = {spec.STATE: spec.JOINT_FEATURE, spec.ENVIRONMENT_STATE: TASK.objects, spec.ACTION: spec.JOINT_FEATURE}
CAMERA = "observation.images.front"
FILMED = {**FEATURES, CAMERA: spec.Feature.image(48, 64), "observation.images.wrist": spec.Feature.image(48, 64)}
MOST_GREY = 2.0
"""Largest difference allowed between the pictures that LeRobot and we decode [of 255]: each turns YUV into RGB by itself."""
EPISODE_LENGTHS = (13, 9, 21)
EVAL_FREQ = "env_eval_freq" if "env_eval_freq" in TrainPipelineConfig.__dataclass_fields__ else "eval_freq"
"""What 0.6 calls how often the policy is tried in an environment."""
RANGES = [(800, 3200), (830, 3190), (900, 3001), (1000, 3100), (0, 4095), (2000, 3400)]
"""Of a follower's joints, as LeRobot calibrates them [ticks]."""


def main() -> None:
    """Run every check."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", action="store_true")
    parser.add_argument("--dataset", type=Path)
    parser.add_argument("--fixture", type=Path)
    args = parser.parse_args()
    datasets.disable_progress_bars()  # type: ignore[attr-defined]  # of the package, not of the folder at the root
    print(f"lerobot {version('lerobot')}")
    scratch = Path(_SCRATCH)
    try:
        filmed = record_ours(scratch / "filmed", FILMED)
        lerobot_reads(filmed)
        edit.delete_episodes(filmed, [1], scratch / "fewer")
        lerobot_reads(edit.merge([filmed, scratch / "fewer"], scratch / "both").path)
        if args.train:
            lerobot_trains(filmed, scratch / "train_filmed")
        ours = record_ours(scratch / "ours", FEATURES)
        lerobot_reads(ours)
        if args.train:
            lerobot_trains(ours, scratch / "train")
        lerobot_edits(ours, scratch)
        lerobot_appends(ours)
        theirs = record_theirs(scratch / "theirs", with_camera=False)
        we_read(theirs)
        we_append(theirs, scratch / "copy")
        camera = record_theirs(scratch / "camera", with_camera=True)
        we_read(camera)
        we_convert(camera, scratch)
        if args.fixture:
            shutil.make_archive(str(args.fixture.with_suffix("")), "zip", theirs)
            print(f"kept {args.fixture}")
        if args.dataset:
            lerobot_reads(args.dataset)
            if args.train:
                lerobot_trains(args.dataset, scratch / "train_dataset")
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def tape(length: int, seed: int) -> dict[str, np.ndarray]:
    """Return an episode of smooth random values in the range of the arm."""
    rng = np.random.default_rng(seed)
    phase = np.linspace(0.0, 2.0, length)[:, None] + rng.uniform(0, 6, size=(1, 19))
    values = (40.0 * np.sin(phase)).astype(np.float32)
    return {spec.STATE: values[:, :6], spec.ENVIRONMENT_STATE: values[:, 6:13] / 100, spec.ACTION: values[:, 13:]}


def record_ours(path: Path, features: dict[str, spec.Feature]) -> Path:
    """Record three episodes of two tasks with soarm."""
    recorder = Recorder.create(path, features, FPS, ROBOT_TYPE, TASKS[0])
    for seed, length in enumerate(EPISODE_LENGTHS):
        values = tape(length, seed)
        for key, feature in features.items():
            if feature.kind == "image":
                values[key] = ramps(length, seed, *feature.shape[:2])
        action = values.pop(spec.ACTION)
        recorder.save_episode(values, action, task=TASKS[seed % 2])
    recorder.finalize({"train": range(2), "val": range(2, 3)})
    return path


def ramps(length: int, seed: int, height_px: int, width_px: int) -> np.ndarray:
    """Return pictures of an episode, uint8 (T, H, W, 3): ramps of colour that move."""
    rows, columns = np.mgrid[:height_px, :width_px]
    steps = np.arange(length)[:, None, None, None]
    ramp = np.stack([2 * columns, 3 * rows, columns + rows], axis=-1)[None]
    return ((ramp + 4 * steps + 60 * seed) % 256).astype(np.uint8)


def record_theirs(path: Path, *, with_camera: bool) -> Path:
    """Record the same episodes with LeRobot."""
    features: dict[str, Any] = {
        key: {"dtype": "float32", "shape": feature.shape, "names": list(feature.names)} for key, feature in FEATURES.items()
    }
    if with_camera:
        features[CAMERA] = {"dtype": "video", "shape": (64, 64, 3), "names": ["height", "width", "channels"]}
    dataset = LeRobotDataset.create("local/theirs", FPS, features, root=path, robot_type=ROBOT_TYPE, use_videos=with_camera)
    append_theirs(dataset, EPISODE_LENGTHS, with_camera=with_camera)
    dataset.finalize()
    return path


def append_theirs(dataset: LeRobotDataset, lengths: tuple[int, ...], *, with_camera: bool = False) -> None:
    """Add episodes with LeRobot's recorder."""
    for seed, length in enumerate(lengths):
        values = tape(length, seed)
        for i in range(length):
            frame: dict[str, Any] = {key: column[i] for key, column in values.items()} | {"task": TASKS[seed % 2]}
            if with_camera:
                frame[CAMERA] = np.full((64, 64, 3), 5 * i, dtype=np.uint8)
            dataset.add_frame(frame)
        dataset.save_episode()


def lerobot_reads(path: Path) -> None:
    """Hold every row, task, statistic and window that LeRobot gives against ours."""
    ours = Dataset.open(path)
    windows = {spec.ACTION: [i / ours.fps for i in range(CHUNK)]}
    theirs = LeRobotDataset("local/ours", root=path, delta_timestamps=windows, video_backend="pyav")
    same("lerobot: episodes and frames", (theirs.num_episodes, theirs.num_frames), (ours.n_episodes, ours.n_frames))
    same("lerobot: fps, robot", (theirs.fps, theirs.meta.robot_type), (ours.fps, ours.robot_type))
    same("lerobot: names", {key: theirs.features[key]["names"] for key in ours.features},
         {key: list(feature.names) for key, feature in ours.features.items()})  # fmt: skip
    ends = np.repeat(ours.episode_starts[1:], np.diff(ours.episode_starts))
    grey = 0.0
    for i in range(ours.n_frames):
        item = theirs[i]
        window = np.minimum(np.arange(i, i + CHUNK), ends[i] - 1)
        for key in ours.columns:
            wanted = ours.columns[key][window] if key == spec.ACTION else ours.columns[key][i]
            equal(f"{key} of frame {i}", item[key].numpy(), wanted)
        equal(f"padding of frame {i}", item[f"{spec.ACTION}_is_pad"].numpy(), np.arange(i, i + CHUNK) >= ends[i])
        for key in ours.cameras:
            seen = ours.pictures[key].gather(np.array([i]))[0].transpose(2, 0, 1)
            grey = max(grey, float(np.abs(255 * item[key].numpy() - seen).max()))
        if item["task"] != ours.tasks[ours.task_index[i]]:
            fail(f"task of frame {i}", item["task"], ours.tasks[ours.task_index[i]])
    print(f"ok  lerobot: {ours.n_frames} rows, windows of {CHUNK}, padding and tasks are the same")
    if ours.cameras:
        if grey > MOST_GREY:
            fail(f"pictures of {', '.join(ours.cameras)}", grey, f"at most {MOST_GREY} of 255")
        print(f"ok  lerobot: pictures of {', '.join(ours.cameras)} are the same to {grey:.2f} of 255")
    for key in ours.columns:
        for name, value in ours.stats[key].items():
            equal(f"stats {key} {name}", theirs.meta.stats[key][name], value)
    print("ok  lerobot: statistics are the same")


def lerobot_trains(path: Path, folder: Path) -> None:
    """Train LeRobot's ACT for two steps, small."""
    small = ["dim_model=32", "n_heads=2", "dim_feedforward=64", "n_encoder_layers=1", "n_vae_encoder_layers=1"]
    settings = [
        "type=act",
        "device=cpu",
        "push_to_hub=false",
        "pretrained_backbone_weights=null",
        f"chunk_size={CHUNK}",
        f"n_action_steps={CHUNK}",
        *small,
    ]
    command = [sys.executable, "-m", "lerobot.scripts.lerobot_train", "--dataset.repo_id=local/ours", f"--dataset.root={path}"]
    command += ["--dataset.video_backend=pyav", f"--output_dir={folder}", "--steps=2", "--batch_size=4", "--num_workers=0"]
    command += [f"--{EVAL_FREQ}=0", "--log_freq=1", "--wandb.enable=false", *(f"--policy.{setting}" for setting in settings)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode or not list(folder.rglob("model.safetensors")):
        fail("lerobot-train", (result.stdout + result.stderr)[-3000:], "a checkpoint")
    print("ok  lerobot: two steps of ACT, checkpoint written")


def lerobot_edits(path: Path, scratch: Path) -> None:
    """Delete from and merge ours with LeRobot's tools, which need the statistics of every episode, and read the results."""
    whole = LeRobotDataset("local/ours", root=path)
    shorter = delete_episodes(whole, [1], output_dir=scratch / "deleted", repo_id="local/deleted")
    merged = merge_datasets([whole, shorter], output_repo_id="local/merged", output_dir=scratch / "merged")
    n_deleted = EPISODE_LENGTHS[0] + EPISODE_LENGTHS[2]
    same("lerobot: frames after delete and merge", (len(shorter), len(merged)), (n_deleted, n_deleted + sum(EPISODE_LENGTHS)))
    for name in ("deleted", "merged"):
        equal(
            "the last action",
            Dataset.open(scratch / name).columns[spec.ACTION][-1],
            tape(EPISODE_LENGTHS[2], 2)[spec.ACTION][-1],
        )
    print("ok  ours: what LeRobot's tools made of it opens")


def lerobot_appends(path: Path) -> None:
    """Add an episode to ours with LeRobot and read it with ours."""
    before = Dataset.open(path)
    edit.set_splits(path, {"train": range(before.n_episodes)})
    dataset = reopen("local/ours", path)
    append_theirs(dataset, (11,))
    dataset.finalize()
    after = Dataset.open(path)
    same("ours: units after LeRobot appended", after.features[spec.ACTION].units, arm.UNITS)
    same("ours: after LeRobot appended", (after.n_episodes, after.n_frames), (before.n_episodes + 1, before.n_frames + 11))
    equal("appended actions", after.episode(before.n_episodes).values[spec.ACTION], tape(11, 0)[spec.ACTION])
    same("ours: task of the appended episode", after.task(before.n_episodes), TASKS[0])


def we_read(path: Path) -> None:
    """Hold what LeRobot recorded against what it was given."""
    dataset = Dataset.open(path)
    same("ours: lengths of LeRobot's episodes", tuple(np.diff(dataset.episode_starts).tolist()), EPISODE_LENGTHS)
    for seed, length in enumerate(EPISODE_LENGTHS):
        for key, values in tape(length, seed).items():
            equal(f"{key} of episode {seed}", dataset.episode(seed).values[key], values)
        same(f"ours: task of episode {seed}", dataset.task(seed), TASKS[seed % 2])
    same("ours: units of the joints", dataset.features[spec.ACTION].units, ("unknown",) * arm.N_JOINTS)
    same("ours: units of the objects", dataset.features[spec.ENVIRONMENT_STATE].units, TASK.objects.units)
    print(f"ok  ours: LeRobot's rows are the same; cameras: {dataset.cameras}")


def we_append(path: Path, copy: Path) -> None:
    """Append with soarm to a copy of what LeRobot recorded, and let LeRobot read the result."""
    shutil.copytree(path, copy)
    values = tape(7, 5)
    action = values.pop(spec.ACTION)
    with Recorder.resume(copy) as recorder:
        recorder.save_episode(values, action)
    lerobot_reads(copy)


def we_convert(path: Path, scratch: Path) -> None:
    """Convert a recording of -100..100 to degrees, and hold it against what LeRobot's own bus says of the same ticks."""
    low, high = np.array(RANGES).T
    ticks = np.random.default_rng(0).integers(low, high, (sum(EPISODE_LENGTHS), arm.N_JOINTS))
    normalised = scratch / "normalised"
    shutil.copytree(path, normalised)
    rewrite(normalised, lerobot_says(ticks, MotorNormMode.RANGE_M100_100))
    entry = {name: vars(joint) for name, joint in calibration().items()}
    (scratch / "follower.json").write_text(json.dumps(entry))
    made = convert(normalised, scratch / "degrees", scratch / "follower.json")
    gap = np.abs(made.columns[spec.STATE] - lerobot_says(ticks, MotorNormMode.DEGREES)).max()
    same("ours: converted to LeRobot's degrees within 2e-5", bool(gap < 2e-5), True)
    theirs = LeRobotDataset("local/degrees", root=scratch / "degrees", video_backend="pyav")
    equal("state of the converted dataset", theirs[5][spec.STATE].numpy(), made.columns[spec.STATE][5])
    same("lerobot: film of the converted dataset", tuple(theirs[5][CAMERA].shape), (3, 64, 64))


def calibration() -> dict[str, MotorCalibration]:
    """Return a follower's calibration; the elbow turns the other way."""
    return {name: MotorCalibration(i + 1, int(name == "elbow_flex"), 0, *RANGES[i]) for i, name in enumerate(arm.JOINT_NAMES)}


def lerobot_says(ticks: np.ndarray, mode: MotorNormMode) -> np.ndarray:
    """Return what LeRobot's bus makes of encoder positions, (N, 6), with the body's joints in `mode`."""
    modes = [mode] * arm.GRIPPER + [MotorNormMode.RANGE_0_100]
    motors = {name: Motor(i + 1, "sts3215", modes[i]) for i, name in enumerate(arm.JOINT_NAMES)}
    bus = FeetechMotorsBus("nowhere", motors, calibration())
    rows = [bus._normalize({i + 1: int(value) for i, value in enumerate(row)}) for row in ticks]
    return np.array([list(row.values()) for row in rows])


def rewrite(path: Path, states: np.ndarray) -> None:
    """Put other states and actions into a dataset of one data file, and describe them anew."""
    file = path / "data/chunk-000/file-000.parquet"
    table = pq.read_table(file)
    for key in (spec.STATE, spec.ACTION):
        place = table.column_names.index(key)
        rows = pa.array(states.astype(np.float32).tolist(), table.field(place).type)
        table = table.set_column(place, table.field(place), rows)
    pq.write_table(table, file)
    edit.recompute_statistics(path)


def reopen(name: str, path: Path) -> LeRobotDataset:
    """Return a dataset that episodes can be added to: what is loaded is read-only since 0.6."""
    resume = getattr(LeRobotDataset, "resume", None)
    return LeRobotDataset(name, root=path) if resume is None else resume(name, root=path)


def same(what: str, found: object, expected: object) -> None:
    """Print that two values are equal, or stop."""
    if found != expected:
        fail(what, found, expected)
    print(f"ok  {what}: {found}" if not isinstance(found, dict) else f"ok  {what}")


def equal(what: str, found: Any, expected: Any) -> None:
    """Stop unless two arrays hold the same values."""
    if not np.array_equal(np.asarray(found), np.asarray(expected)):
        fail(what, found, expected)


def fail(what: str, found: object, expected: object) -> None:
    """Say what differs and end."""
    sys.exit(f"FAILED {what}\n  found    {found}\n  expected {expected}")


if __name__ == "__main__":
    main()
