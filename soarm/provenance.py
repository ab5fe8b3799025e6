"""Where a result comes from: the revision of the code, the digest of a folder, the digest of the sources."""

from __future__ import annotations

import hashlib
import json
import subprocess
from pathlib import Path

from soarm.errors import StageError
from soarm.ownership import md5


def git_revision(root: Path) -> str:
    """Return the commit of the work tree at `root`, with `-dirty` where tracked files differ from it.

    What the chain and the study themselves write (`data`, `dvc.lock`) does not count as a difference.

    Raises:
        StageError: `root` is not in a git repository with a commit.
    """
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


def digest(folder: Path) -> str:
    """Return the MD5 by which DVC knows `folder` (the `md5: ….dir` of dvc.lock), computed from its content."""
    files = sorted((path.relative_to(folder).parts, path) for path in folder.rglob("*") if path.is_file())
    listing = [{"md5": md5(path), "relpath": "/".join(parts)} for parts, path in files]
    return hashlib.md5(json.dumps(listing, sort_keys=True).encode(), usedforsecurity=False).hexdigest() + ".dir"


def source_digest(root: Path, stage: str) -> str:
    """Return a digest of the code a stage can run: the package and the stage's own file."""
    sources = [*sorted((root / "soarm").rglob("*.py")), root / "stages" / f"{stage}.py"]
    state = hashlib.sha256()
    for path in sources:
        if path.is_file():
            state.update(f"{path.relative_to(root)}\0".encode())
            state.update(path.read_bytes())
    return state.hexdigest()


def _git(root: Path, *arguments: str) -> str:
    # --no-optional-locks: a stage never takes the index lock away from DVC or from whoever commits meanwhile.
    command = ["git", "--no-optional-locks", "-C", str(root), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout
