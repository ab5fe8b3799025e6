"""params.yaml is read strictly: every fault is named, with what is allowed."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
import yaml

from soarm import params
from soarm.errors import ParamsError
from soarm.quantities import RISING, SOME, Allowed, Count, NotNegative, Positive, PositiveShare, within
from soarm.tasks.registry import TASKS


@dataclasses.dataclass(frozen=True)
class Inner:
    low: float
    high: float

    def __post_init__(self) -> None:
        if self.low > self.high:
            raise ValueError(f"low {self.low} is above high {self.high}")


@dataclasses.dataclass(frozen=True)
class Toy:
    n: int
    rate: float
    name: str
    on: bool
    kind: Literal["a", "b"]
    maybe: int | None
    pair: tuple[float, float]
    many: tuple[int, ...]
    inner: Inner


GOOD = {
    "n": 3,
    "rate": 1,
    "name": "x",
    "on": True,
    "kind": "a",
    "maybe": None,
    "pair": [1, 2.5],
    "many": [1, 2, 3],
    "inner": {"low": 0.0, "high": 1.0},
}

DATASET: dict[str, object] = {"task": "pick_place", "dataset": "data/record", "dataset_units": None, "tracking": []}


def write(folder: Path, **changes: object) -> Path:
    data = {"profile": "ci", "seed": 0, **DATASET, "base": {"toy": GOOD}, "tasks": {"pick_place": {}}, "ci": {}, **changes}
    path = folder / "params.yaml"
    path.write_text(yaml.safe_dump({key: value for key, value in data.items() if value is not None or key in DATASET}))
    return path


def test_a_section_becomes_its_dataclass_with_the_right_types(tmp_path: Path) -> None:
    toy = params.load(write(tmp_path)).section("toy", Toy)

    assert toy == Toy(3, 1.0, "x", True, "a", None, (1.0, 2.5), (1, 2, 3), Inner(0.0, 1.0))
    assert type(toy.rate) is float


def test_a_profile_is_laid_over_the_base_key_by_key(tmp_path: Path) -> None:
    loaded = params.load(write(tmp_path, ci={"toy": {"n": 7, "inner": {"high": 9.0}}}))

    assert loaded.section("toy", Toy) == dataclasses.replace(params.build(Toy, GOOD, "toy"), n=7, inner=Inner(0.0, 9.0))
    assert loaded.profile == "ci"


def test_a_profile_replaces_a_list_whole(tmp_path: Path) -> None:
    loaded = params.load(write(tmp_path, ci={"toy": {"many": [9]}}))

    assert loaded.section("toy", Toy).many == (9,)


def test_what_a_task_has_for_itself_lies_between_base_and_profile(tmp_path: Path) -> None:
    shared = {key: value for key, value in GOOD.items() if key not in ("name", "inner")}
    place = {"toy": {"name": "place", "n": 4, "inner": {"low": 1.0, "high": 2.0}}}
    tasks = {"pick_place": place, "stack": {"toy": {"name": "stack", "inner": GOOD["inner"]}}}
    path = write(tmp_path, base={"toy": shared}, tasks=tasks, ci={"toy": {"name": "ci"}})
    found, other = params.load(path).section("toy", Toy), params.load(path, "stack")

    assert (found.name, found.inner, found.n) == ("ci", Inner(1.0, 2.0), 4)
    assert (other.task, other.section("toy", Toy).n, other.section("toy", Toy).inner) == ("stack", 3, Inner(0.0, 1.0))


@pytest.mark.parametrize(
    ("tasks", "message"),
    [
        ({"stack": {}}, r"task is 'pick_place'; `tasks` holds \['stack'\]"),
        ({"pick_place": 5}, r"tasks\.pick_place is 5; it must be a mapping of sections"),
        ({"pick_place": {"tyo": {}}}, r"tasks\.pick_place has the section 'tyo'; base has \['toy'\]"),
        (
            {"pick_place": {"toy": None}},
            r"tasks\.pick_place\.toy is None; it must be a mapping, \{\} where the task has nothing",
        ),
        ({"pick_place": {"toy": {"inner": [1]}}}, r"tasks\.pick_place\.toy\.inner is \[1\]; it must be a mapping"),
        ([1], r"tasks is \[1\]; it must be a mapping of sections"),
    ],
)
def test_a_task_that_does_not_fit_the_base_is_named(tmp_path: Path, tasks: object, message: str) -> None:
    with pytest.raises(ParamsError, match=message):
        params.load(write(tmp_path, tasks=tasks))


def test_a_profile_may_set_what_only_another_task_has_and_it_is_left_out(tmp_path: Path) -> None:
    tasks = {"pick_place": {"toy": {"inner": {"own": 1}}}, "push": {}}
    write(tmp_path, tasks=tasks, ci={"toy": {"inner": {"own": 2}}})

    assert params.load(tmp_path / "params.yaml", "pick_place").sections["toy"]["inner"]["own"] == 2
    assert "own" not in params.load(tmp_path / "params.yaml", "push").sections["toy"]["inner"]


def test_a_profile_may_not_set_what_the_base_lacks(tmp_path: Path) -> None:
    path = write(tmp_path, ci={"toy": {"nn": 7}, "tyo": {}})

    with pytest.raises(ParamsError, match=r"ci sets \['tyo'\].*legal keys here are \['toy'\]") as caught:
        params.load(path)

    assert "ci.toy sets ['nn']" in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n": 3.5}, r"toy.n is 3.5 of type float; it must be int"),
        ({"n": True}, r"toy.n is True of type bool; it must be int"),
        ({"rate": "1e-3"}, r"toy.rate is '1e-3' of type str; it must be float \(YAML reads 1e-3 as text: write 1.0e-3\)"),
        ({"on": 1}, r"toy.on is 1 of type int; it must be bool"),
        ({"kind": "c"}, r"toy.kind is 'c'; allowed are \['a', 'b'\]"),
        ({"maybe": "x"}, r"toy.maybe is 'x' of type str; it must be int"),
        ({"pair": [1.0]}, r"toy.pair has 1 entries; it takes 2"),
        ({"many": [1, "b"]}, r"toy.many\[1\] is 'b' of type str; it must be int"),
        ({"inner": 3}, r"toy.inner is 3; it must be a mapping"),
        ({"inner": {"low": 2.0, "high": 1.0}}, r"toy.inner: low 2.0 is above high 1.0"),
        ({"speed": 1}, r"toy has unknown keys \['speed'\]; legal keys are \['n', 'rate'"),
    ],
)
def test_a_value_that_does_not_fit_is_named(tmp_path: Path, change: dict[str, object], message: str) -> None:
    path = write(tmp_path, base={"toy": {**GOOD, **change}})

    with pytest.raises(ParamsError, match=message):
        params.load(path).section("toy", Toy)


def test_all_faults_are_listed_at_once(tmp_path: Path) -> None:
    toy = {**GOOD, "n": "x", "speed": 1}
    del toy["rate"]

    with pytest.raises(ParamsError) as caught:
        params.load(write(tmp_path, base={"toy": toy})).section("toy", Toy)

    for part in ("toy.n is 'x'", "unknown keys ['speed']", "lacks the keys ['rate']"):
        assert part in str(caught.value)


def test_a_missing_section_is_named_with_those_that_exist(tmp_path: Path) -> None:
    with pytest.raises(ParamsError, match=r"no section 'other' under base; there are \['toy'\]"):
        params.load(write(tmp_path)).section("other", Toy)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"profile": "full"}, r"profile is 'full'; the file holds the profiles \['ci'\]"),
        ({"seed": "0"}, r"seed is '0' of type str; it must be int, at least 0 and at most 9"),
        ({"seed": True}, r"seed is True of type bool; it must be int, at least 0 and at most 9"),
        ({"seed": 10}, r"params\.yaml: seed is 10; it must be at least 0 and at most 9"),
        ({"profile": 3}, r"params\.yaml: profile is 3 of type int; it must be str"),
        ({"profile": ["ci"], "seed": -1}, r"(?s)profile is \['ci'\] of type list.*seed is -1; it must be at least 0"),
        ({"ci": 3}, r"ci is 3; it must be a mapping of sections"),
        ({"base": [1]}, r"base is \[1\]; it must be a mapping of sections"),
        ({"dataset": None}, r"dataset is None of type NoneType; it must be str"),
        (
            {"dataset": 7, "dataset_units": "rad"},
            r"(?s)dataset is 7 .*dataset_units is 'rad'; allowed are \['degrees'\]; or null",
        ),
        (
            {"base": None},
            r"must hold the keys profile, task, seed, dataset, dataset_units, tracking, base, tasks, and one.*found \['ci', '",
        ),
    ],
)
def test_a_file_without_its_frame_is_refused(tmp_path: Path, change: dict[str, object], message: str) -> None:
    with pytest.raises(ParamsError, match=message):
        params.load(write(tmp_path, **change))


def test_a_file_that_is_not_there_or_not_yaml_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ParamsError, match="does not exist; run from the root"):
        params.load(tmp_path / "params.yaml")
    (tmp_path / "params.yaml").write_text("a: [1")
    with pytest.raises(ParamsError, match="is not valid YAML"):
        params.load(tmp_path / "params.yaml")


def test_the_repository_s_own_file_loads_under_each_of_its_profiles(tmp_path: Path) -> None:
    data = yaml.safe_load((Path(__file__).parents[1] / "params.yaml").read_text())
    profiles = sorted(set(data) - {"profile", "seed", "base", "tasks", *DATASET})

    assert {"default", "ci"} <= set(profiles)
    for profile in profiles:
        path = tmp_path / "params.yaml"
        path.write_text(yaml.safe_dump({**data, "profile": profile}))
        for task in data["tasks"]:
            assert set(params.load(path, task).sections) == set(data["base"])


def test_a_profile_leaves_out_what_may_be_null() -> None:
    file = Path(__file__).parents[1] / "params.yaml"
    data = yaml.safe_load(file.read_text())

    network = params._overlay(data["base"], data["seed_size"], "seed_size", faults := [], adds=False)["train_act"]["network"]

    assert (network["perception"], faults) == (None, [])


def test_every_task_has_its_parameters_in_every_section_so_that_dvc_finds_them() -> None:
    data = yaml.safe_load((Path(__file__).parents[1] / "params.yaml").read_text())

    assert set(data["tasks"]) == set(TASKS)
    assert {name: set(sections) for name, sections in data["tasks"].items()} == {name: set(data["base"]) for name in TASKS}


def test_changes_are_laid_into_a_section_and_its_parts(tmp_path: Path) -> None:
    toy = params.load(write(tmp_path)).section("toy", Toy)
    made = params.changed(toy, {"n": 5, "inner": {"low": 1}, "many": [4]}, "here")

    assert made == dataclasses.replace(toy, n=5, inner=Inner(1.0, 1.0), many=(4,))
    assert toy.n == 3


def test_every_change_that_does_not_fit_is_listed(tmp_path: Path) -> None:
    toy = params.load(write(tmp_path)).section("toy", Toy)
    changes = {"m": 1, "n": "x", "inner": {"low": 9.0}, "kind": "c"}
    faults = r"(?s)here has unknown keys \['m'\].*here\.n is 'x'.*here\.kind is 'c'.*here\.inner: low 9\.0 is above high 1\.0"
    with pytest.raises(ParamsError, match=faults):
        params.changed(toy, changes, "here")
    with pytest.raises(ParamsError, match=r"here\.inner is 5 of|here\.inner is 5; it must be a mapping"):
        params.changed(toy, {"inner": 5}, "here")


@dataclasses.dataclass(frozen=True)
class Ranged:
    free: float
    n: Count
    share: PositiveShare
    even: Annotated[int, within(least=2, why="there are two sides"), Allowed("even", lambda value: value % 2 == 0)]
    rising: Annotated[tuple[Positive, ...], SOME, RISING] | None
    words: tuple[str, ...]
    rates: dict[str, NotNegative]


RANGED = {"free": -3, "n": 1, "share": 1, "even": 2, "rising": [1, 2.5], "words": ["a"], "rates": {"a": 0}}


def test_what_is_in_its_range_is_taken() -> None:
    assert params.build(Ranged, RANGED, "r") == Ranged(-3.0, 1, 1.0, 2, (1.0, 2.5), ("a",), {"a": 0.0})
    assert params.build(Ranged, RANGED | {"rising": None}, "r").rising is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"free": math.nan}, r"r\.free is nan; it must be a finite number, at most 1e\+12 in size"),
        ({"free": -math.inf}, r"r\.free is -inf; it must be a finite number"),
        ({"free": 10**400}, r"r\.free is 10{39}\.\.\. \(401 characters\); it must be a finite number"),
        ({"free": 1 << 20_000}, r"r\.free is a int too long to show; it must be a finite number"),
        ({"n": 0}, r"r\.n is 0; it must be at least 1 and at most 1e\+12"),
        ({"n": -(10**400)}, r"r\.n is -10{38}\.\.\. .*; it must be at least 1"),
        ({"share": math.nan}, r"r\.share is nan; it must be above 0 and at most 1"),
        ({"share": 0}, r"r\.share is 0; it must be above 0 and at most 1"),
        ({"share": "x"}, r"r\.share is 'x' of type str; it must be float, above 0 and at most 1"),
        ({"even": 1}, r"r\.even is 1; it must be at least 2 and at most 1e\+12: there are two sides, and even"),
        ({"rising": []}, r"r\.rising is \[\]; it must be one entry or more"),
        ({"rising": [2, 1]}, r"r\.rising is \[2, 1\]; it must be numbers that rise"),
        ({"rising": [1, math.inf]}, r"r\.rising\[1\] is inf; it must be above 0"),
        ({"rising": 2}, r"r\.rising is 2 of type int; it must be a list, each float, above 0 .*numbers that rise; or null"),
        ({"words": ["a", " "]}, r"r\.words\[1\] is ' '; it must be text that is not blank"),
        ({"rates": {"a": -1}}, r"r\.rates\.a is -1; it must be at least 0"),
        ({"rates": {1: 0}}, r"r\.rates has the key 1; it must be text"),
    ],
)
def test_what_is_out_of_its_range_is_refused_with_what_is_allowed(change: dict[str, object], message: str) -> None:
    with pytest.raises(ParamsError, match=message):
        params.build(Ranged, RANGED | change, "r")
    with pytest.raises(ParamsError, match=message):
        params.changed(params.build(Ranged, RANGED, "r"), change, "r")


def test_values_out_of_range_are_listed_with_all_other_faults() -> None:
    with pytest.raises(ParamsError) as caught:
        params.build(Ranged, RANGED | {"free": math.inf, "n": "x", "share": 2, "more": 1}, "r")

    assert [part in str(caught.value) for part in ("r.free is", "r.n is", "r.share is", "unknown keys ['more']")] == [True] * 4


@pytest.mark.parametrize("text", ["a: " + "1" * 5000, "[" * 1500, "a: !!python/name:os.system"])
def test_text_that_cannot_be_read_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "params.yaml").write_text(text)
    with pytest.raises(ParamsError, match="is not valid YAML"):
        params.load(tmp_path / "params.yaml")


def test_a_folder_in_place_of_the_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ParamsError, match="cannot be read: Is a directory"):
        params.load(tmp_path)


def test_mappings_are_read_value_by_value() -> None:
    @dataclasses.dataclass(frozen=True)
    class Named:
        rates: dict[str, float]
        free: dict[str, Any]

    made = params.build(Named, {"rates": {"a": 1}, "free": {"b": [None, "c"]}}, "here")
    assert made == Named({"a": 1.0}, {"b": [None, "c"]})
    with pytest.raises(ParamsError, match=r"here\.rates\.a is 'x' of type str; it must be float"):
        params.build(Named, {"rates": {"a": "x"}, "free": {}}, "here")


def test_without_a_params_file_the_package_s_own_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    packaged = params.here_or_packaged()
    (tmp_path / "params.yaml").touch()

    assert packaged.read_text() == (Path(__file__).parents[1] / "params.yaml").read_text()
    assert params.here_or_packaged() == Path("params.yaml")
