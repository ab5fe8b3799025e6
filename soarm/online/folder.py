"""The folder of a learning on an arm: what it started from, its steps, its networks, and what to drive with afterwards.

run.json            what it started from and how it learns; a start with other values is refused
residual.zip        the residual that it started from, with its base
steps.bin           every step (`soarm.online.steps`)
learner.pt          networks and optimisers, to go on from
actor.safetensors   the actor that the arm is driven with
bundle/             the same as a bundle for `soarm drive`, written when a session ends
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

from soarm import params as params_file
from soarm.errors import OnlineError, ParamsError
from soarm.online.params import OnlineParams
from soarm.ownership import require_free
from soarm.quantities import SEEDS
from soarm.smallfile import read_json, shown, write_atomically

RUN, RESIDUAL, STEPS, LEARNER, ACTOR, BUNDLE = (
    "run.json",
    "residual.zip",
    "steps.bin",
    "learner.pt",
    "actor.safetensors",
    "bundle",
)
CALIBRATION = "calibration"
"""Under this name the file of steps has the hash of the arm's calibration; a twin in lockstep has none."""
_REMEDY = "Choose an empty folder, or one that `soarm rl-train --arm` made"


@dataclasses.dataclass(frozen=True)
class RunFolder:
    """A folder that was begun.

    Attributes:
        path: The folder.
        params: How it learns.
        fresh: Whether it started from a residual of zero.
        demonstrations: Folder of the demonstrations; None for none.
        seed: Of everything random.
        residual: SHA-256 of the residual that it started from.
    """

    path: Path
    params: OnlineParams
    fresh: bool
    demonstrations: Path | None
    seed: int
    residual: str

    @property
    def about(self) -> dict[str, Any]:
        """What the file of steps says of whose steps they are."""
        return {"residual": self.residual}


def begin(
    path: Path, residual: Path, params: OnlineParams, demonstrations: Path | None, *, fresh: bool, seed: int
) -> RunFolder:
    """Begin a folder, or open one that was begun with the same.

    Args:
        path: The folder; made if need be. No folder that a stage owns.
        residual: The residual to start from, as `train_residual` saves it with its base.
        params: How to learn; a folder that exists goes on as it was begun.
        demonstrations: Folder of the demonstrations; None for none.
        fresh: Whether to start from a residual of zero.
        seed: Of everything random.

    Raises:
        OnlineError: The folder holds something else, or there is no such residual.
        DatasetError: A stage owns the folder.
    """
    require_free(path)
    if (path / RUN).exists():
        found = opened(path)
        if found.fresh != fresh or (residual.exists() and _sha(residual) != found.residual):
            raise OnlineError(
                f"{path} was begun from {'zero' if found.fresh else 'another residual'}; to go on start as then, or choose "
                "another folder"
            )
        return found
    if path.exists() and any(path.iterdir()):
        raise OnlineError(f"{path} holds other files. {_REMEDY}")
    if not residual.is_file():
        raise OnlineError(f"there is no residual {residual}; train one (`soarm rl-train`), or name one with --residual")
    content = residual.read_bytes()
    demonstrated = None if demonstrations is None else demonstrations.resolve()
    made = RunFolder(path, params, fresh, demonstrated, seed, hashlib.sha256(content).hexdigest())
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OnlineError(f"{path} cannot be made ({error.strerror}); choose another folder") from None
    write_atomically(path / RESIDUAL, content, OnlineError)
    text = {
        "online": dataclasses.asdict(params),
        "fresh": fresh,
        "demonstrations": None if demonstrated is None else str(demonstrated),
        "seed": seed,
        "residual": made.residual,
    }
    write_atomically(path / RUN, json.dumps(text, indent=2) + "\n", OnlineError)
    return made


def opened(path: Path) -> RunFolder:
    """Open a folder that was begun.

    Raises:
        OnlineError: It was not, or its `run.json` cannot be read.
    """
    text = read_json(path / RUN, OnlineError, _REMEDY)
    expected: dict[str, type | tuple[type, ...]] = {
        "online": dict,
        "fresh": bool,
        "demonstrations": (str, type(None)),
        "seed": int,
        "residual": str,
    }
    faults = [f"{name} is {shown(text.get(name))}" for name, kind in expected.items() if not isinstance(text.get(name), kind)]
    if not faults and (isinstance(text["seed"], bool) or text["seed"] not in SEEDS):
        faults.append(f"seed is {shown(text['seed'])}; allowed are {SEEDS.start}..{SEEDS.stop - 1}")
    try:
        if faults:
            raise ParamsError("; ".join(faults))
        params = params_file.build(OnlineParams, text["online"], "online")
    except ParamsError as error:
        raise OnlineError(f"{path / RUN} does not say how it learns: {error}. {_REMEDY}") from None
    demonstrated = None if text["demonstrations"] is None else Path(text["demonstrations"])
    return RunFolder(path, params, text["fresh"], demonstrated, text["seed"], text["residual"])


def _sha(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
