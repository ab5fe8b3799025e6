"""A task's name -> the task in the simulator. A further task is a further folder, and no line here."""

from __future__ import annotations

import functools
import importlib
import importlib.util

from soarm.errors import SpecMismatchError
from soarm.sim.task import SimTask
from soarm.tasks.registry import find


@functools.cache
def sim_task(name: str) -> SimTask:
    """Return the task of that name.

    Raises:
        SpecMismatchError: There is none; names those there are. Or its folder here is missing, or is another task's.
    """
    task, folder = find(name), f"soarm.sim.{name}"
    if importlib.util.find_spec(folder) is None:
        raise SpecMismatchError(f"there is no soarm/sim/{name}, with the task's bodies, scenes, rules and demonstrator")
    found = getattr(importlib.import_module(folder), "SIM_TASK", None)
    if isinstance(found, SimTask) and found.task is task and found.params_type.task_name == name:
        return found
    raise SpecMismatchError(
        f"soarm/sim/{name} must export a `SimTask` of the task {name} as SIM_TASK, whose parameters have the `task_name` "
        f"{name!r}. A copied folder's imports still name the folder it was copied from"
    )
