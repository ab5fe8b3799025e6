"""A task's name -> the task in the simulator. A further task is a further folder, and no line here."""

from __future__ import annotations

import functools
import importlib

from soarm.sim.task import SimTask
from soarm.tasks.registry import find


@functools.cache
def sim_task(name: str) -> SimTask:
    """Return the task of that name.

    Raises:
        SpecMismatchError: There is none; names those there are.
    """
    found: SimTask = importlib.import_module(f"soarm.sim.{find(name).name}").SIM_TASK
    return found
