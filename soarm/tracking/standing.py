"""Which results of the chain stand: those that belong to the code, the parameters and the inputs as they are now.

Reads `dvc.yaml`, `dvc.lock` and `data/metrics`, and needs no DVC. A result stands where `dvc status` would call its stage up
to date. A dataset outside the chain is not hashed for that: DVC does so before it skips a stage.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import yaml

from soarm.ownership import digest, md5


def standing(root: Path, header: Mapping[str, str], ran: Collection[str] = ()) -> dict[str, dict[str, Any]]:
    """Return the metrics of every stage whose result stands, in the order of the chain.

    Args:
        root: Root of the repository.
        header: What params.yaml says beside its sections (`profile`, `task`, `dataset`), for the templates of dvc.yaml.
        ran: Stages that have just run. Their results stand, and what follows from others of theirs does not, whether or not
            dvc.lock has been written since.
    """
    try:
        text = (root / "dvc.yaml").read_text(encoding="utf-8")
        for name, value in header.items():
            text = text.replace(f"${{{name}}}", value)
        declared = _load(text)["stages"]
        locked = _load((root / "dvc.lock").read_text(encoding="utf-8"))["stages"] if (root / "dvc.lock").exists() else {}
        params = _load((root / "params.yaml").read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError, KeyError, TypeError):
        declared, locked, params = {}, {}, {}
    made = {out["path"]: out["md5"] for entry in locked.values() for out in entry.get("outs", [])}
    made |= {f"data/{stage}": digest(root / "data" / stage) for stage in ran}
    hash_of = functools.cache(lambda path: made.get(path) or _hash(root, path))
    found = {}
    for stage in dict.fromkeys([*declared, *ran]):
        path = root / "data" / "metrics" / f"{stage}.json"
        if not path.is_file():
            continue
        entry = locked.get(stage, {})
        if stage in ran or (
            md5(path) == made.get(f"data/metrics/{stage}.json")
            and _names(declared[stage].get("deps", [])) == {dep["path"] for dep in entry.get("deps", [])}
            and all(hash_of(dep["path"]) in (dep["md5"], None) for dep in entry.get("deps", []))
            and entry.get("params", {}).get("params.yaml") == {key: _value(params, key) for key in declared[stage]["params"]}
        ):
            found[stage] = json.loads(path.read_text(encoding="utf-8"))
    return found


def _load(text: str) -> Any:
    return yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # the lock file: 20 ms in place of 250


def _names(entries: list[Any]) -> set[str]:
    return {name for entry in entries for name in (entry if isinstance(entry, Mapping) else [entry])}


def _value(params: Any, dotted: str) -> Any:
    for key in dotted.split("."):
        params = params.get(key) if isinstance(params, Mapping) else None
    return params


def _hash(root: Path, path: str) -> str | None:
    """Return the hash of code by which DVC knows it; None for what is no code of the repository."""
    code = root / path
    if not path.startswith(("soarm/", "stages/")) or not code.exists():
        return None
    return digest(code) if code.is_dir() else md5(code)
