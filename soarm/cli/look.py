"""Commands to look at what there is: versions, artefacts, tracked runs."""

from __future__ import annotations

import json
import platform
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from soarm.cli.command import LOOK, Json, command, loading, numbers, whole, write_json
from soarm.errors import SpecMismatchError, StageError
from soarm.smallfile import DATASET_BYTES, read_json

if TYPE_CHECKING:
    from soarm.spec import PolicySpec

_PACKAGES = ("soarm", "numpy", "torch", "mujoco", "stable_baselines3", "onnxruntime", "mlflow", "dvc", "feetech-servo-sdk")
# Where an artefact keeps its specification: file, and the keys to it.
_SPEC_PLACES = (("spec.json", ()), ("config.json", ("spec",)))
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
    path: Annotated[Path | None, typer.Argument(help="Folder of a dataset, a checkpoint or a bundle.")] = None,
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
    is_dataset = path is not None and any((path / name).exists() for name in _DATASET)
    if as_json:
        content: dict[str, Any] = {"versions": versions, "executable": sys.executable}
        if path is not None:
            content |= {"dataset": _overview().facts(path)} if is_dataset else {"spec": read_spec(path).to_dict()}
        write_json(content)
        _require_whole(path)
        return 0
    lines = [f"{package:<18} {version or 'not installed'}" for package, version in versions.items()]
    lines[0] += f"  {sys.executable}"
    if path is not None:
        lines += [
            "",
            *(_overview().page(path) if is_dataset else [f"{path}:", json.dumps(read_spec(path).to_dict(), indent=2)]),
        ]
    sys.stdout.write("\n".join(lines) + "\n")
    _require_whole(path)
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


def _require_whole(path: Path | None) -> None:
    """Refuse a bundle that `soarm check` refuses.

    Raises:
        BundleError: A file of it is missing or was changed.
    """
    if path is not None and (path / "checksums.json").is_file():
        sys.stdout.flush()
        with loading():
            from soarm.runtime.bundle import Bundle
        Bundle.open(path)


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
