"""No value of params.yaml can be replaced by nonsense: every leaf of its sections is tried with every kind of it."""

from __future__ import annotations

import copy
import dataclasses
import math
import re
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
import yaml

from soarm.act.config import ACTConfig
from soarm.errors import ParamsError
from soarm.gauntlet import GauntletParams, rows_of
from soarm.params import build, changed, load
from soarm.residual.training import TrainResidualParams
from soarm.sections import SECTIONS
from soarm.sim.params import SimParams
from soarm.spec import DEFAULT_TASK
from soarm.study.filtered_bc import FilteredBCOptions
from soarm.study.methods import METHODS
from soarm.study.more_demonstrations import MoreDemonstrationsOptions
from soarm.study.ppo import PPOOptions
from soarm.study.residual import ResidualOptions
from soarm.study.run import find_method
from soarm.study.scratch import ScratchOptions
from soarm.study.variants import StudyParams, params_of
from soarm.tasks.registry import TASKS

PARAMS_FILE = Path(__file__).parents[1] / "params.yaml"
BASE = load(PARAMS_FILE, DEFAULT_TASK).sections
OF_TASK: dict[str, dict[str, Any]] = yaml.safe_load(PARAMS_FILE.read_text())["tasks"]
OPTIONS: dict[str, type] = {
    "residual": ResidualOptions,
    "ppo": PPOOptions,
    "filtered_bc": FilteredBCOptions,
    "more_demonstrations": MoreDemonstrationsOptions,
    "scratch": ScratchOptions,
}
NONSENSE: dict[str, Any] = {
    "nothing": None,
    "truth": True,
    "empty text": "",
    "blank text": " \n",
    "text": "nonsense",
    "number as text": "1e-3",
    "empty list": [],
    "list": [1.0, "x"],
    "empty mapping": {},
    "mapping": {"nonsense": 1},
    "NaN": math.nan,
    "infinite": math.inf,
    "minus infinite": -math.inf,
    "huge": 1e30,
    "400 digits": 10**400,
    "minus 400 digits": -(10**400),
    "5000 digits": 10**5000,
    "zero": 0,
    "minus one": -1,
    "negative": -0.5,
}
LEGITIMATE: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "any words do": (
        ("text", "number as text"),
        (
            "study.variants.*.label",
            "gauntlet.rows.*.label",
            "sim.look.background.photos",
            "*.pretrained_backbone_weights",
            "record.policy",
        ),
    ),
    "a switch is on or off": (
        ("truth",),
        (
            "*.overlap",
            "train_act.compile",
            "*.layer_norm",
            "*.tanh_features",
            "*.bootstrap_on_timeout",
            "record.pictures",
            "export.int8",
        ),
    ),
    "null runs all rows": (("nothing",), ("gauntlet.only",)),
    "null takes what all variants have": (("nothing",), ("study.variants.*.seeds", "study.variants.*.env_steps")),
    "null plays chunks open loop": (("nothing",), ("*.temporal_ensemble_coeff",)),
    "nothing is hidden, nothing else is run": (("empty list",), ("*.masked_blocks", "gauntlet.only")),
    "an angle, a logarithm, a value and an exponent have a sign": (
        ("zero", "minus one", "negative"),
        (
            "sim.task.*_angle_deg.*",
            "sim.task.home.[0-4]",
            "sim.*.zero_deg.*",
            "*.temporal_ensemble_coeff",
            "*.log_std_init",
            "*.value_m*",
        ),
    ),
    "the gripper may be closed": (("zero",), ("sim.task.home.5", "record.expert.close_percent")),
    "a video and integers may lose nothing": (("zero",), ("record.crf", "export.int8_max_loss")),
    "a term may be left out": (
        ("zero",),
        (
            "sim.weights.[!s]*",  # all but the success
            "sim.weights.s[!u]*",
            "*.kl_weight",
            "train_act.augmentation.*",
            "train_act.pose_loss_weight",
            "*.weight_decay",
            "*.penalty.start",
            "online.penalty",
            "online.imitation",
            "*.penalty.end",
            "*.imitation.start",
            "*.imitation.end",
            "*.ent_coef",
            "*.dropout",
            "*.ema_decay",
            "*.gae_lambda",
            "*.demonstration_share",
        ),
    ),
    "no noise, no delay, no margin, no pause": (
        ("zero",),
        (
            "sim.physics.latency_s.*",
            "sim.look.camera.*",
            "sim.look.light.turn_deg",
            "sim.look.colours.*_hue_deg",
            "sim.look.colours.table_tint",
            "sim.look.background.share",
            "sim.look.picture.blur_px.*",
            "sim.look.picture.noise.*",
            "sim.task.home_jitter.*",
            "sim.task.clearance_m",
            "sim.task.success_hold_s",
            "record.expert.fixed_jaw_gap_m.0",
            "record.expert.*_offset_m",
            "record.expert.tremor_deg",
            "record.expert.settle_s.0",
            "record.noise_deg",
            "*.exploration.*_std",
            "*.target_policy_noise",
            "*.target_noise_clip",
            "*.margin",
            "*.noise_std",
            "sim.physics.backlash_deg.*",
            "sim.disturbances.severity.*",
            "sim.observation_error.*",
            "train_eye.moments.*",
            "train_eye.learn.brightness",
            "train_eye.network.n_glimpses",
            "train_act.network.perception.n_glimpses",
        ),
    ),
    "no steps of that sort": (
        ("zero",),
        ("*.warmup_steps", "*.warmup_updates", "*.gradient_steps", "*.skip", "*.sde_sample_freq"),
    ),
}
"""Reason -> kinds of nonsense that are no nonsense at some places."""
ALLOWED_IS_TOLD = re.compile("must be|must hold|allowed are|it takes|legal keys|there are|can change|to null")
Place = tuple[str | int, ...]


def leaves(value: Any, at: Place = ()) -> Iterator[tuple[Place, Any]]:
    """Yield what has no parts, and lists and their entries."""
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from leaves(inner, (*at, key))
        return
    yield at, value
    if isinstance(value, list):
        for i, inner in enumerate(value):
            yield (*at, i), inner


def replaced(data: Any, at: Place, value: Any) -> Any:
    """Return `data` with another value at a place; only what lies on the way is copied."""
    if not at:
        return value
    made = copy.copy(data)
    made[at[0]] = replaced(data[at[0]], at[1:], value)
    return made


TRAIN_RESIDUAL = build(TrainResidualParams, BASE["train_residual"], "train_residual")
SIM = load(PARAMS_FILE, DEFAULT_TASK).section("sim", SimParams)
NETWORK = build(ACTConfig, BASE["train_act"]["network"], "network")


def read_study(data: Any, variants: list[str]) -> None:
    """Do what a run of the study does with its parameters before anything is learnt."""
    params = build(StudyParams, data, "params.yaml: study")
    for name in variants:
        variant = params.variant(name)
        find_method(variant, name, METHODS)
        params_of(variant, name, TRAIN_RESIDUAL, params.budget(name))
        changed(NETWORK, variant.act, f"params.yaml: study.variants.{name}.act")
        build(OPTIONS[variant.method], variant.options, f"params.yaml: study.variants.{name}.options")


def read(task: str, section: str, data: Any, at: Place) -> None:
    """Read a section as its stages do, and of the study the variants that a place has to do with."""
    if section != "study":
        kind = SECTIONS[section]
        found = build(kind.for_task(task) if hasattr(kind, "for_task") else kind, data, f"params.yaml: {section}")
        if isinstance(found, GauntletParams):
            only = None if at[0] != "rows" else (str(at[1]),)
            rows_of(dataclasses.replace(found, only=only), SIM, SIM)
    elif at[0] == "variants":
        read_study(data, [str(at[1])])
    else:
        read_study(data, ["full", "residual", "no_chunk", "temporal_ensemble", "ppo"])


def to_try(task: str, section: str) -> Iterator[tuple[Place, Any]]:
    """Yield the leaves of a section: all of the default task's, of another task those that it has for itself."""
    return leaves(BASE[section] if task == DEFAULT_TASK else OF_TASK[task][section])


def matches(place: str, pattern: str) -> bool:
    """Whether a pattern means a place; rows of the gauntlet change parameters of the simulator, which are matched as these."""
    return fnmatch(place, pattern) or fnmatch(re.sub(r"^gauntlet\.rows\.\w+\.sim\.", "sim.", place), pattern)


CASES = [(task, section) for task in OF_TASK for section in BASE if task == DEFAULT_TASK or OF_TASK[task].get(section)]


@pytest.mark.parametrize(("task", "section"), CASES)
def test_every_leaf_refuses_nonsense_by_its_path_with_what_is_allowed(task: str, section: str) -> None:
    taken, vague, whole = set(), [], load(PARAMS_FILE, task).sections[section]
    for at, old in to_try(task, section):
        place = ".".join(map(str, (section, *at)))
        name = next(key for key in reversed(at) if isinstance(key, str))
        for kind, value in NONSENSE.items():
            if type(value) is type(old) and value == old:
                continue
            try:
                read(task, section, replaced(whole, at, value), at)
            except ParamsError as error:
                named = re.search(rf"params\.yaml: {section}\b.*\b{name}\b", str(error))
                if not (named and ALLOWED_IS_TOLD.search(str(error))):
                    vague.append(f"{place} with {kind}: {error}")
            else:
                taken.add((kind, place))

    assert vague == []
    allowed = {
        (kind, place)
        for kind, place in taken
        if any(kind in kinds and matches(place, pattern) for kinds, patterns in LEGITIMATE.values() for pattern in patterns)
    }
    assert sorted(taken - allowed) == []


def test_the_table_of_what_is_legitimate_holds_nothing_else() -> None:
    places = {".".join(map(str, (section, *at))) for task, section in CASES for at, _ in to_try(task, section)}

    for reason, (kinds, patterns) in LEGITIMATE.items():
        assert set(kinds) <= set(NONSENSE), reason
        assert [pattern for pattern in patterns if not any(fnmatch(place, pattern) for place in places)] == [], reason


def test_every_section_and_every_method_is_tried() -> None:
    assert {*SECTIONS, "study"} == set(BASE)
    assert set(OF_TASK) == set(TASKS)
    assert set(OPTIONS) == set(METHODS)


def test_no_two_profiles_share_a_part_so_that_a_change_to_one_is_not_taken_back_by_the_other() -> None:
    shared = [
        one for one in yaml.parse((Path(__file__).parents[1] / "params.yaml").read_text()) if isinstance(one, yaml.AliasEvent)
    ]

    assert not shared, "DVC writes an aliased part once per profile: `dvc exp run -S ci.train_act.steps=10` changes nothing"
