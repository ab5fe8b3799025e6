"""Do policies go from LeRobot to soarm and back with the same actions, and does lerobot-eval run one in our simulator?

    PYTHONPATH=. python -W ignore benchmarks/check_lerobot_policy.py data/train_act

Run in an environment with LeRobot 0.4.4 (Python 3.11) or 0.6.1 (Python 3.12), and MuJoCo (docs/lerobot.md), from the root of
this repository. Takes a base of ours; others, which look at pictures, are made on the spot. Prints one line per check; ends
with status 1 at the first that fails.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

import numpy as np
from lerobot_vectors import CASES, record

from soarm import arm, params
from soarm.act.params import TrainActParams
from soarm.act.training import train
from soarm.base import load_base, save_base
from soarm.dataset.reader import Dataset
from soarm.dataset.recorder import Recorder
from soarm.lerobot.reading import joints_in_degrees, read_policy
from soarm.lerobot.writing import write_policy
from soarm.spec import ACTION, ENVIRONMENT_STATE, IMAGES, JOINT_FEATURE, STATE, Feature
from soarm.tasks.pick_place import TASK

MOST = 1e-5
"""Largest difference allowed [standard deviations of the actions]."""


def main() -> None:
    """Run every check."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    print(f"lerobot {version('lerobot')}")
    with tempfile.TemporaryDirectory() as scratch:
        for case, inputs in CASES.items():
            comes_in(Path(scratch, case), inputs)
        for name, objects in (("cameras", False), ("cameras_and_objects", True)):
            goes_out(looking(Path(scratch, name), objects), Path(scratch, f"{name}_out"))
        goes_out(Path(sys.argv[1]), Path(scratch, "out"))
        lerobot_evaluates(Path(scratch, "out"), Path(scratch, "eval"))


def comes_in(folder: Path, inputs: tuple[str, ...]) -> None:
    """Read a policy that LeRobot wrote just now, and compare its chunks."""
    record(folder, inputs)
    act = read_policy(folder, joints_in_degrees(folder, 30, "pick_place"))
    with np.load(folder / "vectors.npz") as file:
        vectors = dict(file)
    gap = (act.predict_chunks(vectors) - vectors["chunk"]) / np.array(act.statistics.std["action"])
    require(f"in: {', '.join(inputs)}", float(np.abs(gap).max()))


def looking(folder: Path, objects: bool) -> Path:
    """Record a dataset with two cameras, train a small ACT on it for a moment, and return the checkpoint.

    Args:
        folder: Of the dataset; the checkpoint lies in it.
        objects: Whether it observes object poses beside joints and pictures.
    """
    pictures = {f"{IMAGES}.{name}": Feature.image(48, 64) for name in ("front", "wrist")}
    features = {
        STATE: JOINT_FEATURE,
        ACTION: JOINT_FEATURE,
        **({ENVIRONMENT_STATE: TASK.objects} if objects else {}),
        **pictures,
    }
    rng = np.random.default_rng(0)
    with Recorder.create(folder, features, 30, "so101_follower", "Lift the cube.") as recorder:
        for _ in range(4):
            seen = {
                key: rng.integers(0, 256, (12, *one.shape), np.uint8)
                if one.kind == "image"
                else rng.normal(0, 20, (12, *one.shape))
                for key, one in features.items()
            }
            recorder.save_episode(seen, seen.pop(ACTION))
    network = {"vision_backbone": "resnet18", "perception": None, "dim_model": 64, "chunk_size": 8, "n_action_steps": 4}
    short = {"steps": 4, "batch_size": 8, "warmup_steps": 1, "val_windows": 8, "log_every": 4, "checkpoint_every": 4}
    section = params.load(Path("params.yaml")).section("train_act", TrainActParams)
    chosen = params.changed(section, {**short, "network": network}, "train_act")
    result = train(Dataset.open(folder), chosen, seed=0, scratch=folder / "scratch", log=lambda step, metrics: None)
    (folder / "checkpoint").mkdir()
    save_base(result.model, folder / "checkpoint")
    return folder / "checkpoint"


def goes_out(checkpoint: Path, folder: Path) -> None:
    """Write a base of ours, let LeRobot load it, and compare its chunks on random observations."""
    import torch
    from lerobot.policies.act.modeling_act import ACTPolicy
    from lerobot.policies.factory import make_pre_post_processors

    base = load_base(checkpoint)
    write_policy(base, folder)
    policy = ACTPolicy.from_pretrained(folder).eval()
    before, after = make_pre_post_processors(policy.config, pretrained_path=str(folder))
    rng, n = np.random.default_rng(0), 500
    seen = {}
    for key in base.inputs:
        shape = (n, *base.spec.features[key].shape)
        low, high = (arm.LOWER, arm.UPPER) if key == STATE else (-0.4, 0.4)
        is_picture = base.spec.features[key].kind == "image"
        seen[key] = rng.integers(0, 256, shape, np.uint8) if is_picture else rng.uniform(low, high, shape).astype(np.float32)
    tensors = {key: torch.from_numpy(values) for key, values in seen.items()}
    batch = {key: x.permute(0, 3, 1, 2) / 255 if x.dtype == torch.uint8 else x for key, x in tensors.items()}
    theirs = after(policy.predict_action_chunk(before(batch))).numpy()
    scale = after(torch.ones(1, 6)).numpy() - after(torch.zeros(1, 6)).numpy()
    require(f"out: {', '.join(base.inputs)}", float(np.abs((base.predict_chunks(seen) - theirs) / scale).max()))


def lerobot_evaluates(policy: Path, folder: Path) -> None:
    """Let lerobot-eval run a policy in our simulator, a second long."""
    command = [sys.executable, "-m", "lerobot.scripts.lerobot_eval", "--env.discover_packages_path=lerobot_env_soarm"]
    command += ["--env.type=soarm", "--env.time_limit_s=1", f"--policy.path={policy}", "--policy.device=cpu"]
    command += ["--eval.n_episodes=1", "--eval.batch_size=1", "--eval.use_async_envs=false", f"--output_dir={folder}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode or not (folder / "eval_info.json").is_file():
        sys.exit(f"FAILED lerobot-eval\n{(done.stdout + done.stderr)[-3000:]}")
    print("ok  lerobot-eval: an episode in our simulator")


def require(what: str, gap: float) -> None:
    """Print a difference, or stop where it is too large."""
    if not gap <= MOST:
        sys.exit(f"FAILED {what}: {gap:.2g} standard deviations; allowed are {MOST}")
    print(f"ok  {what}: the same actions to {gap:.1e} standard deviations")


if __name__ == "__main__":
    main()
