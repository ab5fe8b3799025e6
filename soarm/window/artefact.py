"""What can be watched: a bundle, a checkpoint, or the task's demonstrator, as policies that drive one arm.

Knows files and policies; knows no window. A bundle needs no torch.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

import numpy as np

from soarm import params as params_file
from soarm.errors import CheckpointError, how_to_install
from soarm.evaluation.evaluator import EvaluationParams
from soarm.policies import ChunkedPolicy, ResidualPolicy
from soarm.policy import Array, BatchPolicy, ChunkModel, ResidualModel, VectorPolicy
from soarm.recording import RecordParams
from soarm.runtime.bundle import CHECKSUMS_FILE, Bundle
from soarm.runtime.onnx_policy import OnnxBase, OnnxResidual
from soarm.sim.params import SimParams
from soarm.spec import PolicySpec, require_fitting
from soarm.tasks.residual_observation import N_LOOKAHEAD

logger = logging.getLogger(__name__)
DEMONSTRATOR = "demonstrator"
"""In the place of a folder: the task's scripted demonstrator."""
_WHAT_TO_GIVE = (
    "give a folder of the chain (data/export, data/train_act, data/train_residual), the example in a clone (examples/bundle), "
    f"or the word {DEMONSTRATOR}"
)
Role = Literal["residual", "base", "demonstrator"]
LABELS: Mapping[Role, str] = {"residual": "ACT + residual", "base": "ACT", "demonstrator": "demonstrator"}

TRUE_POSES = ", told true poses"
"""Added to the label of a policy that looks through an eye elsewhere, and is told by the simulator here."""


class ListeningResidual:
    """A `ResidualModel` that keeps what it said last.

    Args:
        model: The network.
        scale: Bound of the residual per joint, shape (6,) [deg x 5, percent].

    Attributes:
        scale: The bound.
        share: The last residual in units of the bound, shape (6,), each in [-1, 1].
    """

    def __init__(self, model: ResidualModel, scale: tuple[float, ...]) -> None:
        self._model, self.scale = model, np.asarray(scale, np.float32)
        self.forget()

    def forget(self) -> None:
        """Go back to a residual of zero: an episode begins."""
        self.share = np.zeros(len(self.scale), np.float32)

    def predict_residual(self, residual_observation: Array) -> Array:
        """Return what the network says, shape (B, 6); the first row is kept."""
        residual = self._model.predict_residual(residual_observation)
        self.share = np.array(residual[0])
        return residual


@dataclasses.dataclass(frozen=True)
class Contender:
    """A policy that can be watched.

    Attributes:
        label: What it is called in the window.
        policy: What acts; row 0 of it is used.
        residual: What says how large the residual is; None where there is none.
    """

    label: str
    policy: BatchPolicy
    residual: ListeningResidual | None = None


@dataclasses.dataclass(frozen=True)
class Artefact:
    """What is watched, and in which simulator.

    Attributes:
        name: As it was given.
        sim: The simulator of its task.
        knocked_away_m: See `EvaluationParams` [m].
        makers: Role -> what makes a policy of its own; the best one first.
    """

    name: str
    sim: SimParams
    knocked_away_m: float
    makers: Mapping[Role, Callable[[], Contender]]


def open_artefact(path: Path, *, base: Path | None = None, task: str | None = None, params: Path | None = None) -> Artefact:
    """Read an artefact, whose task says in which simulator it is watched.

    Args:
        path: Folder of a bundle or a checkpoint; `DEMONSTRATOR` is the demonstrator of `task`.
        base: Checkpoint of the base under a residual; None takes the folder `train_act` beside it. A bundle holds its own.
        task: Name of the task of the demonstrator; None takes that of the params file.
        params: The params file; None takes the one of this folder, or else the package's.

    Raises:
        SoarmError: It cannot be read, or does not fit the simulator.
    """
    file = params or params_file.here_or_packaged()
    if path == Path(DEMONSTRATOR):
        return _of(str(path), params_file.load(file, task), {})
    if not path.exists():
        raise CheckpointError(f"there is no {path}; {_WHAT_TO_GIVE}")
    if (path / CHECKSUMS_FILE).exists():
        bundle = Bundle.open(path)
        loaded = params_file.load(file, bundle.task.name)
        _require_fitting(loaded, {str(path): bundle.spec})
        residual = OnnxResidual(bundle) if bundle.spec.residual_scale is not None else None
        told = _told(path, loaded, looks=bool(bundle.eye_cameras))
        return _of(str(path), loaded, _makers(OnnxBase(bundle), residual, bundle.spec, told))
    model, actor, specs = _checkpoint(path, base)
    spec = [*specs.values()][-1]
    loaded = params_file.load(file, spec.task)
    _require_fitting(loaded, specs)
    told = _told(path, loaded, looks=loaded.section("sim", SimParams).objects_from == "eye")
    return _of(str(path), loaded, _makers(model, actor, spec, told))


def _checkpoint(path: Path, base: Path | None) -> tuple[ChunkModel, ResidualModel | None, dict[str, PolicySpec]]:
    """Return base and residual of a checkpoint's folder, and what each of the files read is about."""
    try:
        from soarm.base import CONFIG_FILE, WEIGHTS_FILE, load_base
        from soarm.residual import actor
    except ModuleNotFoundError as error:
        raise CheckpointError(
            f"{path} holds no {CHECKSUMS_FILE}, so it is no bundle, and checkpoints need {error.name}: "
            f"{how_to_install('pipeline')}"
        ) from None
    if (path / actor.WEIGHTS).exists():
        under = base or path.with_name("train_act")
        model, (residual, spec) = load_base(under), actor.load(path)
        return model, residual, {str(under): model.spec, str(path): spec}
    if not (path / WEIGHTS_FILE).exists():
        raise CheckpointError(
            f"{path} is nothing to watch: a bundle holds {CHECKSUMS_FILE}, the checkpoint of a base {CONFIG_FILE} and "
            f"{WEIGHTS_FILE}, that of a residual {actor.WEIGHTS}; {_WHAT_TO_GIVE}"
        )
    if base is not None:
        raise CheckpointError(f"{path} is the checkpoint of a base, and takes none; leave --base {base} out")
    model = load_base(path)
    return model, None, {str(path): model.spec}


def _require_fitting(loaded: params_file.Params, specs: Mapping[str, PolicySpec]) -> None:
    require_fitting(specs, loaded.section("sim", SimParams).spec)


def _told(path: Path, loaded: params_file.Params, *, looks: bool) -> str:
    """Say, where an eye goes with the policies, that it does not look here; return what is added to their labels."""
    if not looks:
        return ""
    logger.warning(
        "%s goes with an eye, which does not look here: the simulator tells the policies the true poses. With the eye "
        "they are in the films of `dvc repro compare`, and on the twin (`soarm twin --pictures` and `soarm drive --camera`)",
        path,
    )
    return TRUE_POSES


def _makers(
    base: ChunkModel, residual: ResidualModel | None, spec: PolicySpec, told: str
) -> dict[Role, Callable[[], Contender]]:
    def alone() -> Contender:
        return Contender(LABELS["base"] + told, ChunkedPolicy(base, spec, 1))

    def corrected() -> Contender:
        assert residual is not None
        assert spec.residual_scale is not None, "the specification of a residual holds its scale"
        heard = ListeningResidual(residual, spec.residual_scale)
        policy = ResidualPolicy(ChunkedPolicy(base, spec, 1, N_LOOKAHEAD), heard, spec.residual_scale)
        return Contender(LABELS["residual"] + told, policy, heard)

    return {"base": alone} if residual is None else {"residual": corrected, "base": alone}


def _of(name: str, loaded: params_file.Params, makers: Mapping[Role, Callable[[], Contender]]) -> Artefact:
    sim = loaded.section("sim", SimParams)

    def scripted() -> Contender:
        habits = loaded.section("record", RecordParams).expert
        return Contender(LABELS["demonstrator"], VectorPolicy([sim.sim_task.expert(habits, sim.control_hz)]))

    away_m = loaded.section("eval_base", EvaluationParams).knocked_away_m
    return Artefact(name, sim, away_m, makers or {"demonstrator": scripted})
