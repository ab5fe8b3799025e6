"""`soarm run` and `soarm rl-demo`: an artefact in the window, or on a film where there is no display."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from soarm.entry import loading
from soarm.errors import SimulationError
from soarm.seeds import scene_seeds
from soarm.signals import recorded_signals
from soarm.sim.scene import build_model
from soarm.viewer import WITHOUT_A_DISPLAY, Snapshot, Viewer
from soarm.window.artefact import Artefact, Role
from soarm.window.clock import ControlClock
from soarm.window.keys import MOUSE, line
from soarm.window.lane import Lane
from soarm.window.scenes import Show, ShowReport

logger = logging.getLogger(__name__)


def watch(
    artefact: Artefact,
    line_ups: Sequence[Sequence[Role]],
    scene: int,
    seed: int | None = None,
    n_scenes: int | None = None,
    film: Path | None = None,
) -> ShowReport:
    """Show policies in a window in real time, or write a film of them.

    Args:
        artefact: What is watched.
        line_ups: Which of its policies are shown together; key S goes from one of these to the next, a film has the first.
        scene: Which of the held-out scenes comes first.
        seed: Of the first scene, in place of `scene`.
        n_scenes: After so many scenes it ends; None goes on until somebody quits, and is one scene of a film.
        film: Where a film goes, `.mp4`; None opens a window.

    Raises:
        SimulationError: The artefact has no such policy, or no window can be opened here; says what to do.
    """
    ups = [lanes(artefact, roles) for roles in line_ups]
    first_seed = scene_seeds("test")[scene] if seed is None else seed
    if film is not None:
        with loading():
            from soarm.window.film import shoot
        return shoot(artefact.sim, ups[0], film, first_seed, n_scenes or 1)
    return _show(artefact, ups, first_seed, n_scenes)


def _show(artefact: Artefact, line_ups: Sequence[Sequence[Lane]], seed: int, n_scenes: int | None) -> ShowReport:
    first, control_hz = Snapshot(build_model(artefact.sim)), artefact.sim.control_hz
    try:
        viewer = Viewer(first.model, first.data, listens=True)
    except SimulationError as error:
        raise SimulationError(f"{error}. {WITHOUT_A_DISPLAY}, or write a film: --film FILE.mp4") from None
    with viewer, recorded_signals() as stop:
        clock = ControlClock(control_hz)
        show = Show(viewer, first, line_ups, seed, n_scenes, clock, control_hz, stopped=lambda: bool(stop))
        logger.info("in the window: %s\nwith the mouse: %s", line(show.offered), MOUSE)
        report = show.run()
    logger.info("%s", clock.punctuality() or "nothing was shown")
    return report


def lanes(artefact: Artefact, roles: Sequence[Role]) -> list[Lane]:
    """Return a lane per role, each with a policy of its own.

    Raises:
        SimulationError: The artefact has no such policy.
    """
    missing = [role for role in roles if role not in artefact.makers]
    if missing:
        raise SimulationError(
            f"{artefact.name} has no {' and no '.join(missing)}; it has {', '.join(artefact.makers)}. Give the folder of a "
            "bundle with a residual (data/export, examples/bundle), or the checkpoint of a residual (data/train_residual)"
        )
    return [Lane(artefact.sim, artefact.makers[role](), artefact.knocked_away_m, artefact.eye) for role in roles]
