"""The tasks there are: every folder of this room that names a `TASK`. A further task is a further folder, and no line here."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping

from soarm import tasks
from soarm.errors import SoarmError, SpecMismatchError
from soarm.spec import ENVIRONMENT_STATE, Feature
from soarm.tasks.task import Task

TASKS: dict[str, Task] = {
    found.name: importlib.import_module(f"soarm.tasks.{found.name}").TASK
    for found in pkgutil.iter_modules(tasks.__path__)
    if found.ispkg
}
"""Name -> task."""


def find(name: str | None, error: type[SoarmError] = SpecMismatchError) -> Task:
    """Return the task of that name.

    Raises:
        SpecMismatchError: There is none, or `error` where that is given; names those there are.
    """
    if name not in TASKS:
        raise error(f"the task is {name!r}; there are {sorted(TASKS)} (soarm/tasks)")
    return TASKS[name]


def task_of(features: Mapping[str, Feature]) -> str | None:
    """Return the name of the task whose objects these features describe; None where they name none."""
    objects = features.get(ENVIRONMENT_STATE)
    return next((name for name, task in TASKS.items() if objects is not None and objects.names == task.objects.names), None)
