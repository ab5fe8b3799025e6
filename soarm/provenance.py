"""Where a result comes from: the revision of the code, the digest of the sources, parameters unlike the default's."""

from __future__ import annotations

import hashlib
import re
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from soarm import params as params_file
from soarm.errors import ParamsError, StageError

SHIPPED = ".shipped"
"""Folder of a copy of the repository that was sent to another machine without its git: `revision`, and `params.yaml` as it is
committed."""


def git_revision(root: Path) -> str:
    """Return the commit of the work tree at `root`, with `-dirty` where tracked files differ from it.

    What the chain and the study themselves write (`data`, `dvc.lock`) does not count as a difference. A copy that was sent to
    another machine has it in a file.

    Raises:
        StageError: `root` is not in a git repository with a commit.
    """
    if _is_shipped(root):
        return (root / SHIPPED / "revision").read_text(encoding="utf-8")
    try:
        head = _git(root, "rev-parse", "--verify", "HEAD").strip()
    except (subprocess.CalledProcessError, FileNotFoundError) as error:
        reason = error.stderr.strip() if isinstance(error, subprocess.CalledProcessError) else "git is not installed"
        raise StageError(
            f"{root} is not a git repository with a commit ({reason}); DVC and every result's provenance need one. "
            "Clone the repository instead of downloading an archive, or run `git init` and commit."
        ) from None
    changed = _git(root, "status", "--porcelain", "--untracked-files=no", "--", ".", ":!data", ":(exclude,glob)**/dvc.lock")
    return f"{head}-dirty" if changed.strip() else head


def source_digest(root: Path, stage: str) -> str:
    """Return a digest of the code a stage can run: the package and the stage's own file."""
    sources = [*sorted((root / "soarm").rglob("*.py")), root / "stages" / f"{stage}.py"]
    state = hashlib.sha256()
    for path in sources:
        if path.is_file():
            state.update(f"{path.relative_to(root)}\0".encode())
            state.update(path.read_bytes())
    return state.hexdigest()


def changes(root: Path, params: params_file.Params) -> dict[str, Any]:
    """Return the parameters that differ from the profile `default` of the same task in the committed params.yaml.

    Nested as in the file; the study's are left out, which no stage of the chain reads. Empty where there is no such file or no
    such profile to compare with.
    """
    if (text := committed(root)) is None:
        return {}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "params.yaml")
        try:
            file.write_text(re.sub("^profile:.*", "profile: default", text, flags=re.MULTILINE), encoding="utf-8")
            default = params_file.load(file, params.task)
        except ParamsError:
            return {}
    own, reference = ({"seed": one.seed, "dataset": one.dataset, **one.sections, "study": {}} for one in (params, default))
    return _differences(own, reference)


def committed(root: Path) -> str | None:
    """Return params.yaml as it is committed; None where it is not."""
    if _is_shipped(root):
        return (root / SHIPPED / "params.yaml").read_text(encoding="utf-8")
    try:
        return _git(root, "show", "HEAD:./params.yaml")
    except subprocess.CalledProcessError:
        return None


def _is_shipped(root: Path) -> bool:
    return not (root / ".git").exists() and (root / SHIPPED / "revision").is_file()


def _differences(own: Mapping[str, Any], reference: Mapping[str, Any]) -> dict[str, Any]:
    found = {}
    for key, value in own.items():
        other = reference.get(key)
        if value != other:
            found[key] = _differences(value, other) if isinstance(value, Mapping) and isinstance(other, Mapping) else value
    return found


def _git(root: Path, *arguments: str) -> str:
    # --no-optional-locks: a stage never takes the index lock away from DVC or from whoever commits meanwhile.
    command = ["git", "--no-optional-locks", "-C", str(root), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout
