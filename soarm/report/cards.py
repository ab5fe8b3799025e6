"""Cards of a dataset and of trained policies: Markdown with YAML in front of it, in the form of the Hugging Face Hub.

A card says what the thing is, what goes in and comes out, how it was made, how well it did and what it must not be used for.
Every number in it is one of the values handed in. Knows Markdown; reads and writes no file.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from importlib import metadata
from typing import TYPE_CHECKING, Any, Literal

import yaml

from soarm.arm import JOINT_NAMES, UNITS
from soarm.report.markdown import code, document, interface, table
from soarm.spec import ENVIRONMENT_STATE, Feature, PolicySpec, cameras_of
from soarm.tasks.task import Task

if TYPE_CHECKING:  # a recording needs no evaluation
    from soarm.evaluation.statistics import PairedTable
    from soarm.evaluation.summary import Summary

Network = Literal["act", "residual", "bundle"]
Values = Mapping[str, Any]

NOT_ON_AN_ARM = "It has not been tested on a real arm yet: every number here is from simulation."
_TAGS = ("LeRobot", "robotics", "so100", "so-arm100")
_TITLES: Mapping[Network, str] = {
    "act": "ACT, the base policy",
    "residual": "residual TD3+BC on a frozen ACT",
    "bundle": "ONNX bundle of ACT and its residual",
}
_WHAT: Mapping[Network, str] = {
    "act": "ACT (Action Chunking with Transformers) predicts {chunk_size} actions at a time, of which {n_action_steps} are "
    "executed before it is asked again. It imitates demonstrations and drives the arm by itself.",
    "residual": "The residual is a small network that corrects the action of a frozen ACT at every control step: "
    "`executed = clip(base + scale * residual)`. It was trained with TD3+BC in simulation and is of no use without its base.",
    "bundle": "The bundle holds both networks in ONNX, the specification, the arm they were trained on, and checksums: all "
    "that a robot host needs, without torch. ACT predicts {chunk_size} actions at a time and plays {n_action_steps} of them; "
    "the residual corrects each.",
}
_METHOD_TAGS: Mapping[Network, tuple[str, ...]] = {
    "act": ("act", "imitation-learning"),
    "residual": ("residual-rl", "td3", "reinforcement-learning"),
    "bundle": ("act", "residual-rl", "onnx"),
}


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """What `compare` found of these two policies, on the same held-out scenes.

    Attributes:
        base: Summary of ACT alone.
        residual: Summary of ACT with the residual.
        table: Scenes by who solved them.
    """

    base: Summary
    residual: Summary
    table: PairedTable


@dataclasses.dataclass(frozen=True)
class Training:
    """What policies were trained from and with.

    Attributes:
        dataset: The folder of the demonstrations, relative to the repository, or its name.
        dataset_hash: Hash of their content.
        n_episodes: How many there are.
        n_frames: Frames of all of them.
        fps: Their rate [Hz].
        params: Section of params.yaml -> its values, with task and profile applied.
        profile: Name of the profile.
        seed: Seed of the run.
        git_rev: Revision of the code.
    """

    dataset: str
    dataset_hash: str
    n_episodes: int
    n_frames: int
    fps: int
    params: Mapping[str, Values]
    profile: str
    seed: int
    git_rev: str


def model_card(
    network: Network,
    task: Task,
    spec: PolicySpec,
    training: Training,
    evaluation: Evaluation | None = None,
    measured: Values | None = None,
    eye: Sequence[str] = (),
) -> str:
    """Return the card of ACT, of the residual, or of the bundle of both.

    Args:
        network: Which of them.
        task: What it was trained for.
        spec: Its specification; of a residual and a bundle with `residual_scale`.
        training: What it was trained from and with.
        evaluation: What `compare` found; None where these policies have not been compared.
        measured: Other numbers to show, by name with the unit in it ("tick_ms").
        eye: Cameras of the eye that says where the objects are; none where something else says it.
    """
    name = f"soarm-{task.name.replace('_', '-')}-{network}"
    front = {
        "license": _licence(),
        "library_name": "soarm",
        "pipeline_tag": "robotics",
        "tags": [*_TAGS, *_METHOD_TAGS[network], task.name],
        "datasets": [training.dataset],
        **({} if evaluation is None else {"model-index": [_index(name, network, task, evaluation)]}),
    }
    numbers = {} if spec.chunk_size is None else {"chunk_size": spec.chunk_size, "n_action_steps": spec.n_action_steps}
    return document(
        front,
        f"{_TITLES[network]}: {task.name}",
        [
            _WHAT[network].format(**numbers) + (_EYE if eye and network == "bundle" else ""),
            f"Task: {task.instruction} Robot: SO-ARM100 (SO-101), six servos, commanded {spec.control_hz} times a second. "
            f"{NOT_ON_AN_ARM}",
        ],
        {
            "Observation and action": interface(spec.features, spec.control_hz) + _bound(spec),
            "Training data": [_training_data(training)],
            "Training": _training(network, training),
            "Evaluation": [
                *_evaluation(task, evaluation),
                *([table(("measured", "value"), measured.items())] if measured else []),
            ],
            "How to run it": [code("bash", _COMMANDS[network].format(seen=_seen(spec, eye)))],
            "Intended use": [
                f"For research on imitation and residual reinforcement learning with this arm, on this task ({task.name}) and "
                f"with an arm and objects ({task.subject}) like those it was trained with. Not for anything where a wrong "
                "motion can hurt somebody."
            ],
            "Limits": _limits(task, spec, eye),
            "Safety": [_SAFETY],
            "Provenance": [_provenance(training, spec)],
        },
    )


def dataset_card(
    task: Task,
    features: Mapping[str, Feature],
    info: Values,
    params: Values,
    n_tries: int,
    robot_type: str,
    scripted: bool = True,
) -> str:
    """Return the card of simulated demonstrations: the README.md of a LeRobot dataset. It names no revision and no time.

    Args:
        task: What was demonstrated.
        features: Key -> Feature of the dataset.
        info: Its meta/info.json.
        params: How the demonstrator moves, for the reader: values of params.yaml, and of a policy which one it is.
        n_tries: How many episodes were tried; those that failed were not kept.
        robot_type: LeRobot's name of the robot.
        scripted: Whether a script demonstrated, and not a trained policy.
    """
    n_episodes, n_frames, fps = info["total_episodes"], info["total_frames"], info["fps"]
    front = {
        "license": _licence(),
        "task_categories": ["robotics"],
        "tags": [*_TAGS, "imitation-learning", "simulation", task.name],
        "configs": [{"config_name": "default", "data_files": "data/*/*.parquet"}],
    }
    who = "a scripted demonstrator" if scripted else "a trained policy"
    load = 'from lerobot.datasets.lerobot_dataset import LeRobotDataset\ndataset = LeRobotDataset("local", root="FOLDER")'
    return document(
        front,
        f"{'Scripted demonstrations' if scripted else 'Demonstrations of a policy'}: {task.name}",
        [
            f"{n_episodes} episodes, {n_frames} frames at {fps} Hz ({n_frames / fps:.0f} s) of {who} in "
            f"MuJoCo, in LeRobot's format {info['codebase_version']}. Robot: {robot_type}. Task: {task.instruction}",
            f"The demonstrator solved {n_episodes} of {n_tries} scenes it tried; only successful episodes are kept. It knows "
            "where everything lies, and no human drove an arm.",
        ],
        {
            "Observation and action": interface(features, fps),
            "How it was made": [
                "Made by soarm's stage `record` with these parameters; where there are two, each episode draws between them:",
                code("yaml", _yaml(params)),
                *([_NOISE] if "noise_deg" in params else []),
            ],
            "Dataset structure": ["[meta/info.json](meta/info.json):", code("json", json.dumps(dict(info), indent=2))],
            "How to load it": [code("bash", "soarm info FOLDER"), code("python", load)],
            "Intended use": ["To train ACT and residuals for this task in simulation, and as an example of the format."],
            "Limits": [
                f"{_pictures_of(features)} Objects are given as positions, which a real robot has to measure. The motions are "
                f"those of a {'script' if scripted else 'policy'} and vary less than a person's."
            ],
        },
    )


_COMMANDS: Mapping[Network, str] = {
    "act": "soarm drive BUNDLE --which base --port PORT --calibration arm.json {seen}",
    "residual": "soarm drive BUNDLE --port PORT --calibration arm.json {seen}",
    "bundle": "python -m soarm.runtime check BUNDLE\nsoarm drive BUNDLE --port PORT --calibration arm.json {seen}",
}
_EYE = " `eye.onnx` says where the objects are; `cameras.json` how its cameras were mounted."
_NOISE = (
    "The noise was added to what was executed. The recorded actions are what the demonstrator chose, without it: they lead "
    "back to its path (noise injection, arXiv 1703.09327)."
)
_SAFETY = (
    "On an arm every action passes soarm's safety chain (range, lead, speed, acceleration, height above the table), which "
    "cuts what exceeds its limits. It is no substitute for a person: keep hands out of reach and the switch of the supply at "
    "hand, and try the bundle on the simulated arm first."
)


def _bound(spec: PolicySpec) -> list[str]:
    if spec.residual_scale is None:
        return []
    bounds = zip(JOINT_NAMES, spec.residual_scale, UNITS, strict=True)
    return ["The residual's bound: " + ", ".join(f"{joint} {bound:.1f} {unit}" for joint, bound, unit in bounds) + "."]


def _training_data(training: Training) -> str:
    return (
        f"`{training.dataset}`: {training.n_episodes} episodes, {training.n_frames} frames at {training.fps} "
        f"Hz ({training.n_frames / training.fps:.0f} s), content hash `{training.dataset_hash}`."
    )


def _training(network: Network, training: Training) -> list[str]:
    sections = {"act": ["train_act"], "residual": ["train_residual"], "bundle": ["train_act", "train_residual"]}[network]
    text = _yaml({name: training.params[name] for name in sections})
    return [f"Profile `{training.profile}`, seed {training.seed}; the parameters, as in params.yaml:", code("yaml", text)]


def _evaluation(task: Task, found: Evaluation | None) -> list[str]:
    if found is None:
        return ["Not evaluated yet: `dvc repro compare` runs both policies on the same held-out scenes."]
    sides = (("ACT alone", found.base), ("ACT with the residual", found.residual))
    rows = [
        (name, f"{one.success_rate:.1%}", f"{one.success_ci95.low:.1%} to {one.success_ci95.high:.1%}", _worst(task, one))
        for name, one in sides
    ]
    split = found.table
    return [
        f"{found.base.n_scenes} held-out scenes in simulation, each run once by both policies; intervals are Wilson's, 95 %.",
        table(("policy", "success", "interval", "most frequent failure"), rows),
        f"On these scenes the residual gains {split.residual_only} and loses {split.base_only} (exact McNemar test, "
        f"p = {split.mcnemar_p:.2g}). This compares these two trained policies; what the method does on average takes "
        "several training seeds.",
    ]


def _worst(task: Task, one: Summary) -> str:
    failure, count = max(one.failures.items(), key=lambda item: item[1])
    return f"{task.outcomes[failure]} ({count})" if count else "none"


def _limits(task: Task, spec: PolicySpec, eye: Sequence[str]) -> list[str]:
    cameras = sorted(cameras_of(spec.features))
    sees = f"It observes pictures of {', '.join(cameras)}" if cameras else "It observes no pictures"
    if eye:
        sees = (
            f"An eye says where things lie ({task.subject}), from pictures of {', '.join(eye)}: it was trained on simulated "
            "ones alone, and colours, light and cameras of a desk differ from them"
        )
    elif ENVIRONMENT_STATE in spec.features:
        sees += f": where things lie ({task.subject}) has to be measured by something else"
    return [
        f"{NOT_ON_AN_ARM} {sees}. Success was measured in the simulator that it was trained in, in the region of the table "
        "that training drew scenes from; outside of it, and with other objects, nothing is known."
    ]


def _seen(spec: PolicySpec, eye: Sequence[str]) -> str:
    """Return the options of `soarm drive` that say what it sees with."""
    cameras = " ".join(f"--camera {name}=DEVICE" for name in dict.fromkeys([*sorted(cameras_of(spec.features)), *eye]))
    told = ENVIRONMENT_STATE in spec.features and not eye
    return " ".join(part for part in (cameras, "--objects objects.json" if told else "") if part)


def _pictures_of(features: Mapping[str, Feature]) -> str:
    cameras = sorted(cameras_of(features))
    return f"It has pictures of {', '.join(cameras)}, as the simulator draws them." if cameras else "It has no pictures."


def _provenance(training: Training, spec: PolicySpec) -> str:
    hashes = {"revision": training.git_rev, "dataset": training.dataset_hash, "statistics": spec.statistics_hash}
    listing = [(name, f"`{value}`") for name, value in hashes.items() if value]
    return table(("of", "hash"), [*listing, ("licence", _licence()), ("soarm", metadata.version("soarm"))])


def _index(name: str, network: Network, task: Task, found: Evaluation) -> dict[str, Any]:
    """Return the entry of `model-index` by which the Hub shows success."""
    one = found.base if network == "act" else found.residual
    low, high = one.success_ci95
    metrics = [
        {"type": "success_rate", "name": "success rate", "value": round(one.success_rate, 4)},
        {"type": "success_rate_ci95_low", "name": "Wilson 95 % interval, low", "value": round(low, 4)},
        {"type": "success_rate_ci95_high", "name": "Wilson 95 % interval, high", "value": round(high, 4)},
    ]
    scenes = {"type": "soarm-simulator", "name": f"{task.name}, {one.n_scenes} held-out scenes in MuJoCo"}
    return {
        "name": name,
        "results": [{"task": {"type": "robotics", "name": task.name}, "dataset": scenes, "metrics": metrics}],
    }


def _licence() -> str:
    return metadata.metadata("soarm")["License-Expression"].lower()


def _yaml(values: Values) -> str:
    return yaml.safe_dump(json.loads(json.dumps(values)), sort_keys=False, default_flow_style=None)
