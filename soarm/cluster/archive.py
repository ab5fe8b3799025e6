"""Files and folders as bytes, to be sent between machines.

Needs the standard library only: it is sent to workers that may have no soarm.
"""

from __future__ import annotations

import io
import os
import shutil
import tarfile
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path


def pack(root: Path, names: Iterable[str | Path], texts: Mapping[str, str] | None = None) -> bytes:
    """Return files and folders as an archive; what does not exist is left out.

    Args:
        root: What names count from.
        names: Of files and folders.
        texts: Further files of the archive: name -> text.
    """
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name in names:
            if os.path.lexists(root / name):
                archive.add(root / name, str(name))
        for name, text in (texts or {}).items():
            entry, content = tarfile.TarInfo(name), text.encode()
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return stream.getvalue()


def unpack(data: bytes, folder: Path) -> None:
    """Unpack an archive into a folder; files that are there are replaced."""
    folder.mkdir(parents=True, exist_ok=True)
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        archive.extractall(folder, filter="data")


def put(data: bytes, root: Path, names: Iterable[str | Path]) -> None:
    """Put what an archive holds under `names` in the place of what lies there in `root`; each appears whole."""
    scratch = root / "data" / ".scratch"
    scratch.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=scratch, prefix="arriving-") as work:
        unpack(data, Path(work, "new"))
        for number, name in enumerate(names):
            arrived, target = Path(work, "new", name), root / name
            if not arrived.exists():
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            if target.exists():
                target.rename(Path(work, f"old-{number}"))
            arrived.rename(target)


def unpack_once(data: bytes, folder: Path) -> None:
    """Unpack an archive into a folder that appears whole; another process that does the same meanwhile may win."""
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".arriving-") as work:
        unpack(data, Path(work, "new"))
        try:
            Path(work, "new").rename(folder)
        except OSError:
            if not folder.is_dir():
                raise


def linked(source: Path, folder: Path) -> None:
    """Make `folder` a copy of `source` by hard links: no byte is copied, and what is added or deleted there is its own."""
    shutil.copytree(source, folder, copy_function=os.link, symlinks=True, dirs_exist_ok=True)
