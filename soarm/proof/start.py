"""Begin an evaluation, or go on with one: its plan and sheet, and the sensors of its trials on an arm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from soarm import params as params_file
from soarm.errors import ProofError, SmallFileError
from soarm.hardware.calibration import Calibration
from soarm.proof import plan as plans
from soarm.proof import sheet
from soarm.proof.folder import ProofFolder
from soarm.proof.plan import Plan, Spot, seal_of
from soarm.proof.trial import Senses
from soarm.runtime import senses
from soarm.runtime.bundle import Bundle
from soarm.runtime.carried import followed
from soarm.runtime.drive import residual_of
from soarm.runtime.protocols import Pace
from soarm.runtime.sensors import Sensor
from soarm.smallfile import read_bytes
from soarm.spec import ENVIRONMENT_STATE

SPOTS, SEED, SECONDS = 20, 0, 10.0
"""What a plan is drawn with where nobody says anything else; an episode of the simulator lasts as long."""


def begin(
    path: Path,
    bundle: Bundle,
    *,
    spots: int | None = None,
    seed: int | None = None,
    seconds: float | None = None,
    params: Path | None = None,
    paper: sheet.Paper | None = "a4",
) -> ProofFolder:
    """Return the evaluation of a folder; where there is none, draw its plan and its sheet.

    Args:
        path: The folder.
        bundle: What is evaluated.
        spots: How many.
        seed: Of the places and of the order.
        seconds: How long a trial lasts at most [s].
        params: File that says where policies saw the things; that of this folder, or else the package's, by default.
        paper: What the sheet is printed on; None leaves the sheet of an evaluation that goes on as it is.

    Raises:
        GateError: The bundle holds no residual.
        ProofError: The folder holds something else, or an evaluation with another plan or of another bundle.
        ParamsError: No places can be drawn for the task.
    """
    residual_of(bundle, "residual")
    if ProofFolder.exists(path):
        folder = ProofFolder.open(path)
        _require_same(folder, bundle, {"spots": spots, "seed": seed, "seconds": seconds})
        if paper is not None:
            sheet.write(path, folder.plan, bundle.task, paper)
        return folder
    n, drawn_from = spots or SPOTS, SEED if seed is None else seed
    sectors = plans.sectors_of(params_file.load(params or params_file.here_or_packaged(), bundle.task.name), bundle.task)
    drawn = plans.draw(drawn_from, n, bundle.task, sectors)
    trials, assignment = plans.draw_order(drawn_from, drawn)
    seal = seal_of(plans.assignment_text(assignment))
    checksums = dict(bundle.checksums)
    folder = ProofFolder.create(
        path, Plan(bundle.task.name, drawn_from, seconds or SECONDS, checksums, drawn, trials, seal), assignment
    )
    sheet.write(path, folder.plan, bundle.task, paper or "a4")
    return folder


def _require_same(folder: ProofFolder, bundle: Bundle, asked: Mapping[str, float | None]) -> None:
    """Refuse to go on with another plan or another bundle: n is fixed beforehand, and so is what is evaluated."""
    plan = folder.plan
    if dict(plan.bundle) != dict(bundle.checksums):
        names = sorted(
            name for name in {*plan.bundle, *bundle.checksums} if plan.bundle.get(name) != bundle.checksums.get(name)
        )
        raise ProofError(
            f"{folder.path} evaluates another bundle than {bundle.folder}: {', '.join(names)} differ. Take that one, or begin "
            "another evaluation with --folder"
        )
    found = {"spots": len(plan.spots), "seed": plan.seed, "seconds": plan.seconds}
    other = [
        f"--{name} {wanted:g} (planned: {found[name]:g})"
        for name, wanted in asked.items()
        if wanted not in (None, found[name])
    ]
    if other:
        raise ProofError(
            f"{folder.path} is under way with another plan than {' '.join(other)}; what is fixed beforehand stays: leave "
            "these options out, or begin another evaluation with --folder"
        )


def conditions_on(
    bundle: Bundle, calibration: Calibration, objects: Path | None, settings: Path | None, limits: Path | None
) -> dict[str, str]:
    """Return what must not change between the sessions of an evaluation on an arm, in words."""
    return {
        "arm": f"calibration {calibration.hash[:12]}",
        "objects": "from a tracker's file"
        if objects is not None
        else "seen by the eye"
        if bundle.eye_cameras
        else "on their spots",
        "settings": content_of(settings),
        "limits": content_of(limits),
    }


def content_of(file: Path | None) -> str:
    """Return a hash of a file's content, in words."""
    if file is None:
        return "the usual ones"
    try:
        return seal_of(read_bytes(file))[:12]
    except SmallFileError as error:
        raise ProofError(f"{file} {error}") from None


def senses_on(bundle: Bundle, objects: Path | None, cameras: Sequence[str]) -> Senses:
    """Return what opens the sensors of a trial on an arm.

    Args:
        bundle: What acts.
        objects: File that a tracker keeps fresh; without one, and without an eye, things lie on their spots until the hand
            takes them.
        cameras: As `soarm drive --camera` has them.

    Raises:
        ObservationError: The task moves a thing that the gripper does not hold, and nobody sees it.
    """
    by_spot = ENVIRONMENT_STATE in bundle.spec.features and objects is None and not bundle.eye_cameras
    if by_spot:
        followed(bundle.task)

    def opened(spot: Spot, pace: Pace) -> AbstractContextManager[Mapping[str, Sensor]]:
        places = [f"{name}={','.join(map(str, at))}" for name, at in spot.places.items()] if by_spot else []
        return senses.opened(bundle, objects, places, cameras)

    return opened


def require_whole(folder: ProofFolder, *, unblind: bool) -> None:
    """Refuse a report before the last trial; with `unblind`, record that somebody looks.

    Raises:
        ProofError: Trials are left.
    """
    if folder.is_done:
        return
    if not unblind:
        raise ProofError(
            f"{folder.path}: {folder.n_done} of {len(folder.plan.trials)} trials are done. A look before the end makes "
            "chance look like a difference: go on with `soarm prove`, or look all the same with --unblind, which is recorded "
            "and said in the report"
        )
    folder.unblind()
