"""The walls of the house: who may import whom, what the runtime loads, what dvc.yaml must name."""

from __future__ import annotations

import ast
import re
import runpy
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Set
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
DVC = yaml.safe_load((ROOT / "dvc.yaml").read_text())
STAGES = sorted(DVC["stages"])
STUDY = yaml.safe_load((ROOT / "study" / "dvc.yaml").read_text())["stages"]
KERNELS = "stages/__init__.py"
"""What decides in which order sums are taken."""
STUDY_RUNS = [name for name, stage in STUDY.items() if "matrix" in stage]
PARAMS = yaml.safe_load((ROOT / "params.yaml").read_text())
LAYERS = ("base", "tasks.${task}", "${profile}")
DATASET = "${dataset}"  # as dvc.yaml names the folder of demonstrations

# What a room may import from outside the standard library. A new room, or a new import, has to be entered here.
OUTSIDE: dict[str, set[str]] = {
    "__main__": set(),
    "act": {"accelerate", "numpy", "torch"},
    "arm": {"numpy"},
    "base": {"numpy", "safetensors"},
    "chunking": {"numpy"},
    "cli": {"typer"},
    "cluster": {"dvc", "ray", "rich", "yaml"},
    "entry": set(),
    "estimation": {"numpy"},
    "gauntlet": set(),
    "eye": {"mujoco", "numpy", "safetensors", "torch"},
    "envs": {"gymnasium", "mujoco", "numpy"},
    "dataset": {"av", "numpy", "pyarrow"},
    "deployment": {"numpy"},
    "errors": set(),
    "evaluation": {"numpy", "pyarrow", "scipy"},
    "export": {"numpy", "onnx", "onnxruntime", "onnxscript", "torch"},
    "identification": {"matplotlib", "mujoco", "numpy"},
    "hardware": {"numpy", "scservo_sdk", "serial"},
    "kinematics": {"numpy"},
    "lazy": {"numpy"},
    "motor": set(),
    "lerobot": {"safetensors", "torch"},
    "online": {"gymnasium", "numpy", "safetensors", "scipy", "stable_baselines3", "torch"},
    "ownership": {"yaml"},
    "params": {"yaml"},
    "parts": set(),
    "policies": {"numpy"},
    "policy": {"numpy"},
    "progress": {"rich"},
    "process": set(),
    "proof": {"numpy"},
    "provenance": set(),
    "quantities": set(),
    "recording": {"numpy"},
    "records": set(),
    "report": {"PIL", "av", "matplotlib", "numpy", "yaml"},
    "reproduce": {"dvc", "hydra", "yaml"},
    "residual": {"gymnasium", "numpy", "safetensors", "scipy", "stable_baselines3", "torch"},
    "rollout": {"numpy"},
    "runtime": {"numpy", "onnxruntime"},
    "sections": {"yaml"},
    "seeds": set(),
    "signals": set(),
    "sim": {"PIL", "mujoco", "mujoco_menagerie", "numpy"},
    "smallfile": set(),
    "spec": set(),
    "spread": {"yaml"},
    "stage": {"rich", "threadpoolctl"},
    "study": {"gymnasium", "numpy", "stable_baselines3", "torch"},
    "sweep": {"optuna", "sqlalchemy", "yaml"},
    "table_camera": {"cv2", "numpy"},
    "tasks": {"numpy"},
    "teleop": {"numpy"},
    "tracking": {"mlflow", "onnx", "tensorboard", "trackio", "wandb", "yaml"},
    "twin": {"mujoco", "numpy"},
    "view": {"av", "matplotlib", "numpy", "rerun"},
    "viewer": {"mujoco", "numpy"},
    "vision": {"numpy", "safetensors", "torch"},
    "window": {"mujoco", "numpy"},
}
# Import name -> distribution, where they differ; and imports that come with another package we name.
DISTRIBUTIONS = {
    "scservo_sdk": "feetech-servo-sdk",
    "yaml": "pyyaml",
    "stable_baselines3": "stable-baselines3",
    "mujoco_menagerie": "mujoco-menagerie",
    "PIL": "pillow",
    "rerun": "rerun-sdk",
    "cv2": "opencv-python-headless",
}
OPTIONAL = {
    "accelerate",
    "mujoco-menagerie",
    "opencv-python-headless",
    "optuna",
    "ray",
    "rerun-sdk",
    "tensorboard",
    "wandb",
    "trackio",
}
"""Distributions that are extras of their own."""
BROUGHT_ALONG = {"hydra": "dvc", "serial": "feetech-servo-sdk", "sqlalchemy": "mlflow"}
BY_FOLDER = {ROOT / "soarm" / room / "registry.py" for room in ("tasks", "sim")}
"""Modules that import every package beside them, by the folder's name."""
ROBOT_HOST = {"cli", "runtime", "hardware", "policies", "policy", "chunking", "kinematics", "spec", "arm", "params"}
ROBOT_HOST |= {"quantities", "entry", "signals", "smallfile", "errors", "ownership", "tasks"}
NEVER_ON_THE_ROBOT = {"torch", "mujoco", "mlflow", "gymnasium", "stable_baselines3", "pyarrow", "pandas"} | {
    "matplotlib",
    "dvc",
    "onnx",
    "scipy",
    "rich",
}


@cache
def parsed(path: Path) -> ast.Module:
    """Return the syntax of a file; every file is read by many tests."""
    return ast.parse(path.read_text())


@cache
def imports(path: Path) -> tuple[str, ...]:
    """Return the modules a file imports anywhere in it, except for type checking only; those of a table `BASES` among them."""
    return tuple(_imports(path))


def _imports(path: Path) -> Iterator[str]:
    tree = parsed(path)
    skipped = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in (getattr(node.test, "id", None), getattr(node.test, "attr", None))
        for statement in node.body
        for inner in ast.walk(statement)
    }
    for node in ast.walk(tree):
        if node in skipped:
            continue
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", None) == "BASES":
            yield from ast.literal_eval(node.value).values()
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno} imports relatively; write the full name"
            assert node.module is not None
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@cache
def module_file(name: str) -> Path | None:
    """Return the file of one of our own modules, or None for anything else."""
    path = ROOT / name.replace(".", "/")
    return next((file for file in (path.with_suffix(".py"), path / "__init__.py") if file.is_file()), None)


def own_modules() -> Iterator[tuple[str, Path]]:
    """Yield (room, file) of every module of the package."""
    for path in sorted((ROOT / "soarm").rglob("*.py")):
        parts = path.relative_to(ROOT / "soarm").with_suffix("").parts
        if parts != ("__init__",):
            yield parts[0], path


def reached(path: Path, stops: Set[Path] = frozenset()) -> set[Path]:
    """Return the files of ours that running `path` can import; `soarm.stage` and `stops` are where it stops.

    How a result is logged and where it is put changes no result, so what only `soarm.stage` imports is no dependency.
    """
    found: set[Path] = set()
    waiting = [path]
    while waiting:
        path = waiting.pop()
        named = [module_file(name) for name in imports(path) if name.startswith("soarm.") and name != "soarm.stage"]
        for file in [*named, *(path.parent.glob("*/*.py") if path in BY_FOLDER else ())]:
            if file is not None and file not in {ROOT / "soarm" / "stage.py", *stops} and file not in found:
                found.add(file)
                waiting.append(file)
    return found


FILE_BY_FILE = {("record", ROOT / "soarm" / "runtime")}
"""Stage and room of which dvc.yaml names the files: `record` reads bundles, and nothing else of the robot's runtime."""


def as_dependency(path: Path, stage: str | None = None) -> str:
    """Return what dvc.yaml calls a file: itself at the top of the package, its room below."""
    parts = path.relative_to(ROOT).parts
    return "/".join(parts if (stage, path.parent) in FILE_BY_FILE else parts[:2])


def calls(path: Path, method: str) -> set[str]:
    """Return the texts given as first argument to `run.<method>(...)` in a stage."""
    found = set()
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == f"run.{method}":
            assert isinstance(node.args[0], ast.Constant), (
                f"{path.name}:{node.lineno}: name it, so that dvc.yaml can be checked"
            )
            found.add(str(node.args[0].value))
    return found


def own_files(declared: dict[str, Any]) -> set[str]:
    """Return the dependencies of a stage that are code: neither data nor the dataset that params.yaml names."""
    return {name for name in declared["deps"] if not name.startswith("data/") and name != DATASET}


def data_read(path: Path) -> tuple[set[str], set[str]]:
    """Return what dvc.yaml must name of the data a stage reads: dependencies, and parameters beside its sections."""
    source = path.read_text()
    inputs = calls(path, "input") | calls(path, "input_if_any")
    folders = {f"data/{name}" for name in inputs} | {f"data/live/{name}/plots/metrics" for name in calls(path, "curves")}
    read = {DATASET} if "run.dataset()" in source else set()
    rate = {"base.sim.control_hz", "tasks.${task}.sim", "${profile}.sim"} if "run.control_hz()" in source else set()
    return folders | read, ({"dataset_units"} if read else set()) | rate


def test_imports_only_go_down() -> None:
    done = subprocess.run(
        [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr


def test_every_room_imports_only_what_it_is_allowed_from_outside() -> None:
    surplus = []
    for room, path in own_modules():
        outside = {name.split(".")[0] for name in imports(path)} - {"soarm", "__future__"} - set(sys.stdlib_module_names)
        surplus += [f"{path.relative_to(ROOT)} imports {name}" for name in sorted(outside - OUTSIDE[room])]

    assert surplus == []


def test_extras_equal_floors() -> None:
    def named(requirements: list[str]) -> set[str]:
        return {requirement.split(">")[0].split("=")[0].strip() for requirement in requirements}

    def needed(rooms: set[str]) -> set[str]:
        modules = {name for room in rooms & set(OUTSIDE) for name in OUTSIDE[room]}
        return {DISTRIBUTIONS.get(name, name) for name in modules if name not in BROUGHT_ALONG}

    extras = PROJECT["project"]["optional-dependencies"]
    host = named(PROJECT["project"]["dependencies"])

    assert host == needed(ROBOT_HOST)
    assert named(extras["pipeline"]) - {"ruamel.yaml.clib"} == needed(set(OUTSIDE)) - host - OPTIONAL
    assert named(extras["twin"]) == needed({"dataset", "envs", "sim", "teleop", "twin"}) - host - {"mujoco-menagerie"}
    assert set(extras["twin"]) <= set(extras["pipeline"])
    own = ("menagerie", "view", "vision", "tensorboard", "wandb", "trackio", "accelerate", "cluster", "sweep")
    assert set().union(*(named(extras[extra]) for extra in own)) == OPTIONAL
    assert set(BROUGHT_ALONG.values()) <= named(extras["pipeline"]) | host


def test_what_the_robot_host_imports_loads_nothing_heavy() -> None:
    modules = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for room, path in own_modules()
        if room in ROBOT_HOST and path.name != "__main__.py"
    ]
    program = f"import sys, importlib\nfor name in {modules}: importlib.import_module(name)\nprint(*sys.modules)"

    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)

    assert "soarm.policies" in done.stdout.split()
    assert NEVER_ON_THE_ROBOT & set(done.stdout.split()) == set()


def test_the_command_loads_nothing_heavy() -> None:
    program = "import sys, soarm.cli\nprint(*sys.modules)"

    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)

    assert (NEVER_ON_THE_ROBOT | {"numpy"}) & set(done.stdout.split()) <= {"numpy"}


def test_the_folder_mlflow_does_not_shadow_the_package() -> None:
    spec = find_spec("mlflow")

    assert list((ROOT / "mlflow").rglob("*.py")) == []
    assert spec is not None
    assert "site-packages" in str(spec.origin)
    assert "mlflow" in PROJECT["tool"]["ruff"]["lint"]["isort"]["known-third-party"]


def test_packages_hold_a_docstring_and_at_most_exports() -> None:
    for path in (ROOT / "soarm").rglob("__init__.py"):
        tree = parsed(path)

        assert ast.get_docstring(tree), f"{path.relative_to(ROOT)} does not say what its room knows"
        surplus = [ast.unparse(node) for node in tree.body[1:] if not isinstance(node, ast.ImportFrom)]
        assert [line for line in surplus if not line.startswith("__all__")] == [], path


def test_the_map_of_a_room_names_every_file_of_it() -> None:
    missing = []
    for path in (ROOT / "soarm").rglob("__init__.py"):
        _, mapped, listing = (ast.get_docstring(parsed(path)) or "").partition("::\n")
        if mapped:
            words = set(re.findall(r"\w+", listing))
            missing += [str(file) for file in sorted(path.parent.glob("*.py")) if file != path and file.stem not in words]

    assert missing == []


def test_every_module_says_what_it_is() -> None:
    files = [*(ROOT / "soarm").rglob("*.py"), *(ROOT / "stages").glob("*.py")]

    assert [str(path.relative_to(ROOT)) for path in files if not ast.get_docstring(parsed(path))] == []


def test_nobody_imports_from_tests_and_tests_are_no_package() -> None:
    for folder in ("soarm", "stages", "tests", "benchmarks"):
        for path in (ROOT / folder).rglob("*.py"):
            if re.search(r"(?m)^\s*(from\s+(\.|tests\b)|import\b.*\btests\b)", path.read_text()):
                assert not any(name.split(".")[0] == "tests" for name in imports(path)), path
    assert list((ROOT / "tests").rglob("__init__.py")) == []


def test_there_is_one_stage_file_per_stage() -> None:
    assert sorted(path.stem for path in (ROOT / "stages").glob("[!_]*.py")) == sorted([*STAGES, "study", "study_summary"])


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_depends_in_dvc_on_exactly_the_code_it_can_run(stage: str) -> None:
    path = ROOT / "stages" / f"{stage}.py"

    expected = {KERNELS, f"stages/{stage}.py"} | {as_dependency(file, stage) for file in reached(path)} - {"soarm/__init__.py"}
    assert own_files(DVC["stages"][stage]) == expected


@cache
def called(path: Path) -> frozenset[str]:
    """Return the functions that a file calls, as they are written there."""
    return frozenset(ast.unparse(node.func) for node in ast.walk(parsed(path)) if isinstance(node, ast.Call))


UNPICKLING = {"pickle.load", "pickle.loads", "cloudpickle.load", "cloudpickle.loads", "json_to_data", "load_from_zip_file"}
"""Functions that run what a file holds; the last two are Stable-Baselines3's."""


@pytest.mark.parametrize("stage", [stage for stage in STAGES if stage != "train_residual"])
def test_only_the_training_of_a_residual_can_unpickle_a_file(stage: str) -> None:
    assert [file for file in sorted(reached(ROOT / "stages" / f"{stage}.py")) if UNPICKLING & called(file)] == []


def test_torch_reads_weights_and_nothing_else() -> None:
    for _, path in own_modules():
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("torch.load", "th.load"):
                assert "weights_only=True" in ast.unparse(node), f"{path}:{node.lineno}"


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_declares_the_inputs_and_parameters_it_reads(stage: str) -> None:
    path = ROOT / "stages" / f"{stage}.py"
    declared = DVC["stages"][stage]
    sections = calls(path, "params") | calls(path, "values")

    read, values = data_read(path)
    assert set(declared["deps"]) - own_files(declared) == read
    named = {f"{top}.{name}" for name in sections for top in LAYERS}
    assert set(declared["params"]) == {"seed", "task"} | named | values
    assert stage in sections


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_s_names_agree(stage: str) -> None:
    declared = DVC["stages"][stage]

    assert declared["cmd"] == f"python -m stages.{stage}"
    # What `record` wrote may have been replaced by somebody's demonstrations: DVC neither deletes it nor checks it out.
    kept = {"cache": False, "persist": True}
    metrics = kept if stage == "record" else {"cache": False}
    folder = {"data/record": kept} if stage == "record" else f"data/{stage}"
    curves = f"data/live/{stage}/plots/metrics"
    drawn = [{curves: {"cache": False}}] if any(curves in plot for plot in DVC["plots"] if isinstance(plot, dict)) else []
    assert declared["outs"] == [folder, {f"data/metrics/{stage}.json": metrics}, *drawn]
    assert declared["metrics"] == [{f"data/live/{stage}/metrics.json": metrics}]
    assert declared["desc"]
    assert f'open_stage("{stage}"' in (ROOT / "stages" / f"{stage}.py").read_text()


def test_stages_come_in_an_order_in_which_each_finds_its_inputs() -> None:
    done: set[str] = set()
    for name, declared in DVC["stages"].items():
        assert {dependency for dependency in declared["deps"] if dependency.startswith("data/")} <= done, name
        done |= {f"data/{name}", f"data/live/{name}/plots/metrics"}


def variants(group: str) -> list[str]:
    """Return the variants of a group of the study's runs."""
    return list(STUDY[group]["matrix"].get("variant", [group]))


def test_the_benchmark_of_chains_runs_what_each_of_its_stages_needs() -> None:
    benchmark = runpy.run_path(str(ROOT / "benchmarks" / "bench_chain.py"))
    stages = (*benchmark["STAGES"], *benchmark["DEPLOY"])
    needed = {
        stage: {Path(dep).parts[1] for dep in DVC["stages"][stage]["deps"] if dep.startswith("data/")} for stage in stages
    }

    for i, stage in enumerate(stages):
        assert needed[stage] & set(STAGES) <= set(stages[:i]), stage


def test_every_variant_of_the_study_is_run_by_one_group() -> None:
    grouped = [variant for group in STUDY_RUNS for variant in variants(group)]

    assert sorted(grouped) == sorted(PARAMS["base"]["study"]["variants"])


@pytest.mark.parametrize("group", STUDY_RUNS)
def test_a_run_of_the_study_depends_on_exactly_the_code_it_can_run(group: str) -> None:
    methods = PARAMS["base"]["study"]["common"]["method"], PARAMS["base"]["study"]["variants"]
    used = {methods[1][variant].get("method", methods[0]) for variant in variants(group)}
    room = ROOT / "soarm" / "study"
    start, registry = ROOT / "stages" / "study.py", room / "methods.py"
    # The registry imports every method, and a run takes one of them.
    code = {start, registry} | reached(start, {registry}).union(*(reached(room / f"{name}.py") for name in used))
    files = {file if file.parent == room else ROOT / as_dependency(file) for file in code - {start}}
    expected = {str(file.relative_to(ROOT)) for file in files | {room / f"{name}.py" for name in used}}

    assert own_files(STUDY[group]) == {KERNELS, "stages/study.py"} | expected - {
        "soarm/__init__.py",
        "soarm/study/__init__.py",
    }


@pytest.mark.parametrize("group", STUDY_RUNS)
def test_a_run_of_the_study_declares_what_it_reads(group: str) -> None:
    path, declared = ROOT / "stages" / "study.py", STUDY[group]
    variant = "${item.variant}" if "variant" in declared["matrix"] else group
    own = {"env_steps", "test", "common", f"variants.{variant}"}

    read, values = data_read(path)
    assert set(declared["deps"]) - own_files(declared) == read
    sections = {f"{top}.{name}" for name in calls(path, "params") - {"study"} for top in LAYERS}
    expected = {"task", "tasks.${task}.study", "${profile}.study"} | sections | {f"base.study.{key}" for key in own} | values
    assert set(declared["params"]) == expected
    assert declared["wdir"] == ".."
    assert declared["cmd"] == f"python -m stages.study {variant} ${{item.seed}}"
    assert declared["outs"] == [f"data/study/{variant}-${{item.seed}}"]


def test_the_summary_of_the_study_depends_on_exactly_its_code_and_all_runs() -> None:
    path, declared, room = ROOT / "stages" / "study_summary.py", STUDY["study_summary"], ROOT / "soarm" / "study"
    code = {str(file.relative_to(ROOT)) if file.parent == room else as_dependency(file) for file in reached(path)}

    ours = {KERNELS, "stages/study_summary.py", "data/study"} | code - {"soarm/__init__.py", "soarm/study/__init__.py"}
    assert set(declared["deps"]) == ours
    assert set(declared["params"]) == {"seed", "task", "base.study", "tasks.${task}.study", "${profile}.study"}
    assert declared["outs"] == ["data/study_summary", {"data/metrics/study_summary.json": {"cache": False}}]
    assert "metrics" not in declared, "its 70,000 characters are no line of `dvc metrics show`"


def test_dvc_ignores_what_importing_a_package_leaves_behind() -> None:
    ignored = (ROOT / ".dvcignore").read_text().split()

    assert {"__pycache__/", "*.py[co]"} <= set(ignored)
