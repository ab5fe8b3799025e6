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
from soarm.estimation import Estimator
from soarm.evaluation.evaluator import EvaluationParams
from soarm.export.setting import seen_as
from soarm.policies import ChunkedPolicy, ResidualPolicy
from soarm.policy import Array, BatchPolicy, ChunkModel, ResidualModel, VectorPolicy
from soarm.recording import RecordParams
from soarm.runtime.bundle import CHECKSUMS_FILE, Bundle
from soarm.runtime.eye import load_eye
from soarm.runtime.onnx_policy import OnnxBase, OnnxResidual
from soarm.sim.params import SimParams
from soarm.spec import IMAGES, PolicySpec, require_fitting
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

THROUGH_AN_EYE, TRUE_POSES = ", through its eye", ", told true poses"
"""Added to the label of a policy that goes with an eye: it looks through it, or, where none is here, hears the simulator."""


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
        knocked_away_m: See `ScenesParams` [m].
        eye: What tells its policies where the objects are, from the pictures of `sim`'s cameras; None tells them the truth.
        makers: Role -> what makes a policy of its own; the best one first.
    """

    name: str
    sim: SimParams
    knocked_away_m: float
    eye: Estimator | None
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
        return _scripted(params_file.load(file, task))
    if not path.exists():
        raise CheckpointError(f"there is no {path}; {_WHAT_TO_GIVE}")
    if (path / CHECKSUMS_FILE).exists():
        return _bundle(path, file)
    model, actor, specs = _checkpoint(path, base)
    spec = [*specs.values()][-1]
    loaded = params_file.load(file, spec.task)
    sim = loaded.section("sim", SimParams)
    require_fitting(specs, sim.spec)
    if sim.objects_from == "simulator":
        return _of(str(path), loaded, sim.told(spec.cameras), _makers(model, actor, spec))
    folder = path.with_name("train_eye")
    eye = _eye(folder, sim)
    makers = _makers(model, actor, spec, _told(path, eye, folder))
    return _of(str(path), loaded, sim.told(spec.cameras if eye is None else sim.cameras), makers, eye)


def _bundle(path: Path, file: Path) -> Artefact:
    """Read a bundle; where it says how its cameras were mounted, the simulator's are mounted so."""
    bundle = Bundle.open(path)
    loaded = params_file.load(file, bundle.task.name)
    sim = loaded.section("sim", SimParams)
    if bundle.mounting is not None:
        sim = seen_as(sim, bundle.mounting)
    require_fitting({str(path): bundle.spec}, sim.spec)
    residual = OnnxResidual(bundle) if bundle.spec.residual_scale is not None else None
    eye = load_eye(bundle) if bundle.eye_cameras else None
    told = "" if eye is None else _told(path, eye, path)
    makers = _makers(OnnxBase(bundle), residual, bundle.spec, told)
    return _of(str(path), loaded, sim.told({**bundle.cameras, **bundle.eye_cameras}), makers, eye)


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


def _eye(folder: Path, sim: SimParams) -> Estimator | None:
    """Return the eye that was trained for a simulator's cameras; None where the folder holds none."""
    from soarm.eye import checkpoint
    from soarm.eye.world import estimator_for

    return estimator_for(sim, folder) if (folder / checkpoint.CONFIG_FILE).exists() else None


def _told(path: Path, eye: Estimator | None, folder: Path) -> str:
    """Say who tells policies that go with an eye where the objects are; return what is added to their labels."""
    if eye is not None:
        cameras = " and ".join(key.removeprefix(f"{IMAGES}.") for key in eye.inputs if key.startswith(IMAGES))
        logger.info(
            "the eye of %s says where the objects are: it sees what %s would see, drawn at every step", folder, cameras
        )
        return THROUGH_AN_EYE
    logger.warning(
        "%s goes with an eye, and there is none in %s: the simulator tells the policies the true poses. Train it "
        "(`dvc repro train_eye`), or give a bundle, which holds its own",
        path,
        folder,
    )
    return TRUE_POSES


def _makers(
    base: ChunkModel, residual: ResidualModel | None, spec: PolicySpec, told: str = ""
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


def _of(
    name: str,
    loaded: params_file.Params,
    sim: SimParams,
    makers: Mapping[Role, Callable[[], Contender]],
    eye: Estimator | None = None,
) -> Artefact:
    away_m = loaded.section("eval_base", EvaluationParams).knocked_away_m
    return Artefact(name, sim, away_m, eye, makers)


def _scripted(loaded: params_file.Params) -> Artefact:
    """Return the demonstrator, which looks through no camera."""
    sim = loaded.section("sim", SimParams).told()

    def scripted() -> Contender:
        habits = loaded.section("record", RecordParams).expert
        return Contender(LABELS["demonstrator"], VectorPolicy([sim.sim_task.expert(habits, sim.control_hz)]))

    return _of(DEMONSTRATOR, loaded, sim, {"demonstrator": scripted})
