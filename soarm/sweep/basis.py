"""What all trials of a sweep have in common: parameters, inputs and code, by hash; and params.yaml as one trial has it.

Reads `dvc.yaml`, which says what a stage follows from, and needs no DVC. Trials of two bases cannot be compared.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from soarm import params as params_file
from soarm.errors import ParamsError, SmallFileError, StageError
from soarm.ownership import digest, md5
from soarm.smallfile import read_bytes
from soarm.spec import content_hash


class Basis:
    """A stage with its parameters and inputs as they are now.

    Args:
        root: Root of the repository.
        stage: Name of the stage.

    Raises:
        StageError: This is no repository of soarm, or an input is not there.
        ParamsError: params.yaml is not usable.
    """

    def __init__(self, root: Path, stage: str) -> None:
        self.root, self.stage = root, stage
        self.params = params_file.load(root / "params.yaml")
        self._file = _load(root / "params.yaml")
        pipeline = _load(root / "dvc.yaml", {"profile": self.params.profile, "task": self.params.task}, self.params.dataset)
        declared = pipeline.get("stages", {}).get(stage)
        if declared is None:
            raise StageError(f"{root / 'dvc.yaml'} has no stage {stage}; run this from the root of the repository")
        self.fingerprint = dict(self._hashes(declared))

    def _hashes(self, declared: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        """Yield what the stage follows from, and its hash."""
        for name in declared["deps"]:
            path = self.root / name
            if not path.exists():
                raise StageError(f"{self.stage} needs {name}, which does not exist; `dvc repro {self.stage}` makes it")
            yield name, digest(path) if path.is_dir() else md5(path)
        for name in declared["params"]:
            value = self._file
            for part in name.split("."):
                value = value.get(part) if isinstance(value, Mapping) else None
            yield f"params.yaml: {name}", content_hash(repr(value))

    def address(self, name: str) -> str:
        """Return where params.yaml says a parameter: in the profile, in the task or in the section `base`."""
        for layer in (self.params.profile, f"tasks.{self.params.task}"):
            at = self._file
            for part in f"{layer}.{self.stage}.{name}".split("."):
                if not isinstance(at, Mapping) or part not in at:
                    break
                at = at[part]
            else:
                return f"{layer}.{self.stage}.{name}"
        return f"base.{self.stage}.{name}"

    def changed(self, values: Mapping[str, Any]) -> str:
        """Return params.yaml with some of the stage's parameters changed, as DVC would change it."""
        data = copy.deepcopy(self._file)
        for name, value in values.items():
            *above, last = self.address(name).split(".")
            at = data
            for part in above:
                at = at[part]
            at[last] = value
        return yaml.safe_dump(data, sort_keys=False)


def _load(path: Path, header: Mapping[str, str] | None = None, dataset: str = "") -> Any:
    try:
        text = read_bytes(path).decode("utf-8")
        for name, value in {**(header or {}), "dataset": dataset}.items():
            text = text.replace(f"${{{name}}}", value)
        return yaml.safe_load(text)
    except (SmallFileError, UnicodeDecodeError, yaml.YAMLError) as error:
        kind = ParamsError if path.name == "params.yaml" else StageError
        raise kind(f"{path} cannot be used ({error}); run this from the root of the repository") from None
