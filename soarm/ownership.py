"""Whose a folder is: a stage's, which replaces what lies there, or a user's.

`dvc.yaml` names what its stages write. DVC deletes most of it before it runs a stage, and `dvc exp run` puts back by force
what its cache holds, so whatever else lies there is lost. Recording therefore asks `require_free`, and a stage `in_danger`.

Knows the files of DVC and needs no DVC, which a robot host does not have: where no dvc.yaml lies above a folder, no stage owns
it. DVC's cache is looked for where the repository's own configuration says.
"""

from __future__ import annotations

import configparser
import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from soarm.errors import DatasetError
from soarm.smallfile import replacing

WRITTEN = Path("data", ".written")
"""Folder of a repository with a file per stage: the MD5 of every file of its last result."""
_PIPELINE = "dvc.yaml"


class Output(NamedTuple):
    """A file or folder that a stage writes, absolute."""

    path: Path
    stage: str


def outputs(pipeline: Path) -> list[Output]:
    """Return what the stages of a dvc.yaml write: outputs, metrics and plots.

    A path with a template in it (`data/study/${item.variant}`) counts from the folder above the template on. A file that is
    missing or no YAML has none: DVC runs nothing from it.
    """
    try:
        stages = yaml.safe_load(pipeline.read_text(encoding="utf-8"))["stages"].items()
    except (OSError, ValueError, yaml.YAMLError, KeyError, TypeError, AttributeError):
        return []
    found = []
    for name, declared in stages:
        stage = declared.get("do", declared) if isinstance(declared, Mapping) else {}
        folder = pipeline.parent / str(stage.get("wdir", "."))
        for kind in ("outs", "metrics", "plots"):
            found += [Output(_normal(folder / _literal(path)), str(name)) for path in _paths(stage.get(kind))]
    return found


def owner(folder: Path) -> Output | None:
    """Return the output that is `folder`, lies in it or holds it, of any dvc.yaml above (and one folder beside those)."""
    for place in dict.fromkeys([_normal(folder), folder.resolve()]):
        for above in (place, *place.parents):
            if not (above / _PIPELINE).is_file():
                continue
            for pipeline in (above / _PIPELINE, *sorted(above.glob(f"*/{_PIPELINE}"))):
                for output in outputs(pipeline):
                    if any(_overlap(place, path) for path in (output.path, output.path.resolve())):
                        return output
    return None


def require_free(folder: Path) -> None:
    """Refuse to record into a folder that a stage owns; it need not exist.

    Raises:
        DatasetError: Names the stage, and a folder to take.
    """
    output = owner(folder)
    if output is None:
        return
    name = "mine" if folder.name in ("", "data", output.path.name) else folder.name
    raise DatasetError(
        f"{folder} is no place for a recording: the stage {output.stage} of the chain writes {output.path}, and running it "
        f"deletes whatever else lies there. Take a folder of your own, datasets/{name}; training reads it with "
        f"`dvc exp run -S dataset=datasets/{name}`."
    )


def strangers(root: Path, name: str, folder: Path) -> list[Path]:
    """Return the files of a stage's folder that would be lost with it: the stage did not write them, nor has DVC's cache them.

    Args:
        root: Root of the repository.
        name: Of the stage, and of its part, as `note_written` was given it.
        folder: What the stage replaces; it need not exist.
    """
    if folder.is_symlink():
        return [folder]
    entries = sorted(path for path in folder.rglob("*") if path.is_symlink() or path.is_file())
    if not entries:
        return []
    written, cache = _written(root, name), _cache(root)

    def is_known(path: Path) -> bool:
        if not path.is_file():
            return False
        found = md5(path)
        return found in written or (cache / found[:2] / found[2:]).is_file()

    return [path for path in entries if not is_known(path)]


def in_danger(root: Path, name: str, folder: Path) -> str | None:
    """Return what would be lost if the stage ran, and how to keep it; None where nothing would. As `strangers`."""
    found = strangers(root, name, folder)
    if not found:
        return None
    shown = folder.relative_to(root) if folder.is_relative_to(root) else folder
    some = ", ".join(str(path.relative_to(root)) for path in found[:3]) + (", ..." if len(found) > 3 else "")
    if shown == Path("data", "record"):
        keep = (
            f"If they are demonstrations of yours, move them and train on them there: `mv {shown} datasets/mine`, "
            "`dvc exp run -S dataset=datasets/mine`"
        )
    else:
        keep = f"If you need them, move them away (`mv {shown} elsewhere`), or make them the result (`dvc commit`)"
    return (
        f"{shown} holds {len(found)} files that the stage {name} did not write and DVC's cache does not hold ({some}): "
        f"running it would delete them. {keep}. If nobody does: `rm -r {shown}`."
    )


def note_written(root: Path, name: str, folders: Iterable[Path]) -> None:
    """Remember the files of `folders` as the stage's own, and no others."""
    path = root / WRITTEN / name
    path.parent.mkdir(parents=True, exist_ok=True)
    found = {md5(file) for folder in folders for file in folder.rglob("*") if file.is_file()}
    with replacing(path, durable=False) as file:
        file.write("".join(f"{one}\n" for one in sorted(found)).encode())


def digest(folder: Path) -> str:
    """Return the MD5 by which DVC knows `folder` (the `md5: ….dir` of dvc.lock), computed from its content.

    As `.dvcignore` says, what Python compiled does not count.
    """
    files = sorted((path.relative_to(folder).parts, path) for path in folder.rglob("*") if path.is_file())
    listing = [{"md5": md5(path), "relpath": "/".join(parts)} for parts, path in files if "__pycache__" not in parts]
    return hashlib.md5(json.dumps(listing, sort_keys=True).encode(), usedforsecurity=False).hexdigest() + ".dir"


def md5(path: Path) -> str:
    """Return the MD5 of a file's content, by which DVC knows it."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _paths(entries: Any) -> Iterator[str]:
    for entry in entries if isinstance(entries, list) else []:
        yield from map(str, entry if isinstance(entry, Mapping) else [entry])


def _literal(path: str) -> str:
    before, template, _ = path.partition("${")
    return os.path.dirname(before) if template else path


def _normal(path: Path) -> Path:
    return Path(os.path.abspath(path))  # Path.resolve would follow links, which are looked at as well


def _overlap(one: Path, other: Path) -> bool:
    return one.is_relative_to(other) or other.is_relative_to(one)


def _written(root: Path, name: str) -> set[str]:
    try:
        return set((root / WRITTEN / name).read_text(encoding="utf-8").split())
    except FileNotFoundError:
        return set()


def _cache(root: Path) -> Path:
    """Return the folder of DVC's cache that holds files by their MD5."""
    folder = root / ".dvc"
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    try:
        parser.read([folder / "config", folder / "config.local"], encoding="utf-8")
        cache = folder / parser.get("cache", "dir", fallback="cache")
    except (configparser.Error, UnicodeDecodeError):
        cache = folder / "cache"
    return cache / "files" / "md5"
