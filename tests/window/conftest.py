"""A window that is none: it presses keys by plan, and keeps what it was to show."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import mujoco
import numpy as np
import pytest

from soarm.sim.params import SimParams
from soarm.sim.scene import build_model
from soarm.spec import STATE
from soarm.viewer import Draw, Snapshot, Text
from soarm.window.artefact import Contender, ListeningResidual
from soarm.window.clock import ControlClock
from soarm.window.lane import Lane
from soarm.window.scenes import Show


class Still:
    """A policy that stays where the arm is."""

    def reset(self, rows: Any, seeds: Sequence[int]) -> None: ...

    def act(self, observation: Any, rows: Any) -> Any:
        return observation[STATE]


class FakeScreen:
    """A window that presses keys: number of a picture -> keys pressed before it; -1 in the place of keys closes it."""

    def __init__(self, first: Snapshot, plan: dict[int, list[str]]) -> None:
        self.first, self.plan, self.is_open = first, plan, True
        self.scene = mujoco.MjvScene(first.model, 2000)
        self.states: list[np.ndarray] = []
        self.texts: list[dict[str, str]] = []
        self.n_geoms: list[int] = []
        self.looks: list[np.ndarray] = []
        self.pull = np.zeros((first.model.nbody, 6))

    def look(self, at_m: Any, **_: float) -> None:
        self.looks.append(np.array(at_m))

    def show(self, draw: Draw | None = None, texts: Sequence[Text] = ()) -> None:
        self.scene.ngeom = 0
        if draw is not None:
            draw(self.scene)
        self.n_geoms.append(self.scene.ngeom)
        self.states.append(self.first.data.qpos.copy())
        rows = [row for _, left, right in texts for row in zip(left.split("\n"), right.split("\n"), strict=True)]
        self.texts.append(dict(rows))

    def pressed(self) -> list[str]:
        keys = self.plan.get(len(self.states), [])
        self.plan = {at: planned for at, planned in self.plan.items() if at != len(self.states)}
        if "close" in keys:
            self.is_open = False
        return keys

    def wrenches(self) -> np.ndarray:
        return self.pull

    def close(self) -> None:
        self.is_open = False


@pytest.fixture(scope="session")
def short(sim: SimParams) -> SimParams:
    """Episodes of half a second."""
    return dataclasses.replace(sim, task=dataclasses.replace(sim.task, time_limit_s=0.5))


@pytest.fixture(scope="session")
def model(sim: SimParams) -> mujoco.MjModel:
    """The scene, with visuals."""
    return build_model(sim)


@pytest.fixture(scope="session")
def lane(short: SimParams) -> Callable[[str], Lane]:
    """Return a maker of lanes in which nothing moves by itself, with a residual of half its bound that does nothing."""

    def make(label: str) -> Lane:
        residual = ListeningResidual(Still(), (10.0,) * 6)  # type: ignore[arg-type]
        made = Lane(short, Contender(label, Still(), residual), 0.05)
        residual.forget = lambda: setattr(residual, "share", np.full(6, 0.5, np.float32))  # type: ignore[method-assign]
        return made

    return make


@pytest.fixture(scope="session")
def play(model: mujoco.MjModel, lane: Callable[[str], Lane]) -> Callable[..., tuple[Show, FakeScreen]]:
    """Return a function that runs a show of two line-ups, both policies and the second alone, with a plan of keys."""

    one, other = lane("one"), lane("other")

    def run(plan: dict[int, list[str]], n_scenes: int | None = 1, said: list[str] | None = None) -> tuple[Show, FakeScreen]:
        first = Snapshot(model)
        screen = FakeScreen(first, plan)
        clock = ControlClock(30, now=lambda: 0.0, sleep=lambda seconds: None)
        say = (lambda line: None) if said is None else said.append
        show = Show(screen, first, [[one, other], [other]], 7, n_scenes, clock, 4, say=say)
        show.run()
        return show, screen

    return run
