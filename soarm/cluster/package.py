"""What a task needs, as one archive named by the hash of its content: code, parameters and inputs as they are on disk."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from soarm.cluster.archive import pack
from soarm.errors import StageError
from soarm.ownership import md5
from soarm.provenance import SHIPPED, committed, git_revision

_CODE = ("soarm", "stages", "params.yaml")


class Package(NamedTuple):
    """What a task needs.

    Attributes:
        key: Hash of the content and of the revision.
        content: Path from the root -> MD5, of every file.
        revision: Of the code, as results name it.
    """

    key: str
    content: Mapping[str, str]
    revision: str

    def data(self, root: Path) -> bytes:
        """Return the archive; in it lie the revision and the committed parameters, since it has no git.

        Raises:
            StageError: A file lies outside of the repository.
        """
        if (outside := next((name for name in self.content if os.path.isabs(name)), None)) is not None:
            raise StageError(
                f"{outside} lies outside of {root}, and other machines get what lies in it: copy the dataset to datasets/mine "
                "and say so in params.yaml, `dataset: datasets/mine`"
            )
        texts = {f"{SHIPPED}/revision": self.revision, f"{SHIPPED}/params.yaml": committed(root) or ""}
        return pack(root, self.content, texts)


def package(root: Path, inputs: Iterable[Path]) -> Package:
    """Return what the tasks of a repository need.

    Args:
        root: Of the repository.
        inputs: Folders of data that tasks read; those that do not exist are left out.

    Raises:
        StageError: This is no git repository with a commit.
    """
    content, revision = listing(root, inputs), git_revision(root)
    state = json.dumps([revision, sorted(content.items())])
    return Package(hashlib.sha256(state.encode()).hexdigest()[:32], content, revision)


def listing(root: Path, inputs: Iterable[Path]) -> dict[str, str]:
    """Return path -> MD5 of every file that tasks follow from; a path outside of the repository is absolute."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *_CODE]
    listed = subprocess.run(command, cwd=root, check=True, capture_output=True, text=True).stdout
    paths = [root / name for name in filter(None, listed.split("\0"))]
    for folder in inputs:
        paths += [path for path in (root / folder).rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    return {_name(path, root): _hash(path) for path in sorted(paths) if os.path.lexists(path)}


def _name(path: Path, root: Path) -> str:
    return str(path.relative_to(root) if path.is_relative_to(root) else path)


def _hash(path: Path) -> str:
    return f"-> {os.readlink(path)}" if path.is_symlink() else md5(path)
