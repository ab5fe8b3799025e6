"""Commands to look at what there is: versions, artefacts, tracked runs."""

from __future__ import annotations

import dataclasses
import json
import platform
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from soarm.cli.command import LOOK, Json, command, loading, numbers, whole, write_json
from soarm.errors import BundleError, SpecMismatchError, StageError
from soarm.smallfile import DATASET_BYTES, read_json

if TYPE_CHECKING:
    from soarm.spec import PolicySpec

_PACKAGES = ("soarm", "numpy", "torch", "mujoco", "stable_baselines3", "onnxruntime", "mlflow", "dvc", "feetech-servo-sdk")
# Where an artefact keeps its specification: file, and the keys to it.
_SPEC_PLACES = (("spec.json", ()), ("config.json", ("spec",)))
_EYE_FILE = "eye.safetensors"
_DATASET = ("meta/info.json", "recording/recording.json")


@command(LOOK, "soarm ui --port 5000")
def ui(
    port: Annotated[int, whole(1, 65535, "Where to serve.")] = 5000,
    open_browser: Annotated[bool, typer.Option("--open/--no-open", help="Open a browser, where there is a display.")] = True,
) -> int:
    """Show the tracked runs in a browser: MLflow's pages on the local store."""
    with loading():
        from soarm.tracking import ui as pages
    return pages.ui(port, open_browser)


@command(LOOK, "soarm info data/export")
def info(
    path: Annotated[
        Path | None, typer.Argument(help="Folder of a dataset, a checkpoint (of an eye, too) or a bundle.")
    ] = None,
    as_json: Json = False,
) -> int:
    """Show versions, and what a dataset, a checkpoint or a bundle is."""
    with loading():
        from importlib import metadata
    versions: dict[str, str | None] = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[package] = None
    content: dict[str, Any] = {"versions": versions, "executable": sys.executable}
    lines = [f"{package:<18} {version or 'not installed'}" for package, version in versions.items()]
    lines[0] += f"  {sys.executable}"
    broken: BundleError | None = None
    if path is None:
        pass
    elif any((path / name).exists() for name in _DATASET):
        if as_json:
            content["dataset"] = _overview().facts(path)
        else:
            lines += ["", *_overview().page(path)]
    elif (path / _EYE_FILE).is_file():
        content["eye"] = _read_eye(path)
        lines += ["", f"{path}: an eye", *_eye_lines(content["eye"])]
    else:
        content["spec"] = read_spec(path).to_dict()
        lines += ["", f"{path}:", json.dumps(content["spec"], indent=2)]
        if (path / "checksums.json").is_file():
            try:
                content["bundle"] = _read_bundle(path)
                lines += _bundle_lines(content["bundle"])
            except BundleError as error:
                broken = error
    if as_json:
        write_json(content)
    else:
        sys.stdout.write("\n".join(lines) + "\n")
    if broken is not None:
        sys.stdout.flush()
        raise broken
    return 0


@command(LOOK, "soarm view datasets/mine --episodes 0,3,7-9")
def view(
    path: Annotated[Path, typer.Argument(help="The folder of a LeRobot v3.0 dataset; nothing in it is changed.")],
    episodes: Annotated[str | None, typer.Option(help="Show these in full, from 0: 3,7-9. A handful by default.")] = None,
    out: Annotated[Path | None, typer.Option(help="The page; by default NAME.html beside the dataset.")] = None,
    rerun: Annotated[bool, typer.Option("--rerun", help="Open the Rerun viewer in place of a page.")] = False,
    save: Annotated[Path | None, typer.Option(help="With --rerun: write a file .rrd in place of opening a window.")] = None,
    no_open: Annotated[bool, typer.Option("--no-open", help="Do not open the page in a browser.")] = False,
) -> int:
    """Show a dataset, sound or not: episodes, joint curves, camera frames, statistics, and what is wrong with it."""
    chosen = None if episodes is None else numbers(episodes)
    if (save is not None and not rerun) or (rerun and (out is not None or no_open)):
        raise typer.BadParameter("--save goes with --rerun; --out and --no-open are of the page")
    with loading():
        from soarm.view import show
    if rerun:
        show.show_in_rerun(path, save, chosen)
    else:
        show.show_page(path, out, chosen, browser=not no_open)
    return 0


def _read_bundle(path: Path) -> dict[str, Any]:
    """Return the networks of a bundle, and how the cameras of its base and its eye were mounted.

    Raises:
        BundleError: A file of it is missing or was changed: what `soarm check` refuses.
    """
    with loading():
        from soarm.runtime.bundle import Bundle
    bundle = Bundle.open(path)
    mounted = {} if bundle.mounting is None else bundle.mounting.cameras
    sizes = {
        who: {name: list(feature.shape[:2]) for name, feature in cameras.items()}
        for who, cameras in (("base", bundle.cameras), ("eye", bundle.eye_cameras))
        if cameras
    }
    return {
        "networks": list(bundle.sessions),
        "cameras": sizes,
        "mounting": {name: camera.words() for name, camera in mounted.items()},
        "trained_on": None if bundle.training_arm is None else dataclasses.asdict(bundle.training_arm),
    }


def _bundle_lines(told: Mapping[str, Any]) -> list[str]:
    looks = [f"{'the ' + who:<9} looks at {_sizes(cameras)}" for who, cameras in told["cameras"].items()]
    unsaid = ["on which arm it was trained is not said: `soarm drive --allow gains`"] if told["trained_on"] is None else []
    mounted = [f"camera {name}: {words}" for name, words in told["mounting"].items()]
    return [f"networks: {', '.join(told['networks'])}", *looks, *mounted, *unsaid]


def _read_eye(path: Path) -> dict[str, Any]:
    """Return what an eye's checkpoint says of itself: its task, what it is asked, its cameras (height, width) and sizes.

    Raises:
        StageError: It cannot be read.
    """
    with loading():
        from soarm.tasks.registry import find
    remedy = "train it again with `dvc repro train_eye`, or copy the whole folder again"
    data = read_json(path / "config.json", StageError, remedy.capitalize(), most_bytes=DATASET_BYTES)
    try:
        cameras = {name: [int(height), int(width)] for name, (height, width) in data["cameras"].items()}
        things = [thing.name for thing in find(data["task"]).things]
        return {"task": data["task"], "things": things, "cameras": cameras, "network": data["network"]}
    except (KeyError, TypeError, ValueError, AttributeError, SpecMismatchError) as error:
        raise StageError(f"{path / 'config.json'} is not an eye's configuration ({error!r}); {remedy}") from None


def _eye_lines(told: Mapping[str, Any]) -> list[str]:
    sees = f"looks at {_sizes(told['cameras'])}, and says where {' and '.join(told['things'])} are"
    return [f"task      {told['task']}", sees, f"network   {json.dumps(told['network'])}"]


def _sizes(cameras: Mapping[str, Sequence[int]]) -> str:
    return " and ".join(f"{name} ({width} x {height} px)" for name, (height, width) in cameras.items())


def _overview() -> ModuleType:
    with loading("twin"):
        from soarm.dataset import overview
    return overview


def read_spec(path: Path) -> PolicySpec:
    """Return the specification inside an artefact.

    Args:
        path: Folder of a checkpoint or a bundle.

    Raises:
        StageError: There is none, or it cannot be read.
        SpecMismatchError: It is of another version of soarm.
    """
    with loading():
        from soarm.spec import PolicySpec
    for name, keys in _SPEC_PLACES:
        if (path / name).is_file():
            data: Any = read_json(path / name, StageError, "Bring it back from a copy", most_bytes=DATASET_BYTES)
            for key in keys:
                data = data.get(key)
            if isinstance(data, Mapping):
                try:
                    return PolicySpec.from_dict(data)
                except SpecMismatchError as error:
                    raise SpecMismatchError(f"{path / name}: {error}") from None
    places = ", ".join(name for name, _ in _SPEC_PLACES)
    raise StageError(
        f"{path} holds no specification; looked in {places}. Give the folder of a dataset, a checkpoint or a bundle"
    )
