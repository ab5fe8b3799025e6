"""The tasks there are: every folder of this room that names a `TASK`. A further task is a further folder, and no line here."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping

from soarm import tasks
from soarm.errors import SoarmError, SpecMismatchError
from soarm.spec import ENVIRONMENT_STATE, Feature
from soarm.tasks.task import Task


def load(name: str) -> Task:
    """Return the task of a folder.

    Raises:
        SpecMismatchError: The folder exports none, or that of another name.
    """
    task: object = getattr(importlib.import_module(f"soarm.tasks.{name}"), "TASK", None)
    if isinstance(task, Task) and task.name == name:
        return task
    found = f"names the task {task.name!r}" if isinstance(task, Task) else "names none"
    raise SpecMismatchError(
        f"soarm/tasks/{name} must export a `Task` of the name {name!r} as TASK; it {found}. A copied folder's imports still "
        "name the folder it was copied from"
    )


def require_distinct(found: Mapping[str, Task]) -> dict[str, Task]:
    """Return the tasks.

    Raises:
        SpecMismatchError: Two of them share an id or the names of their objects: one would pass for the other.
    """
    for what, values in (
        ("env_id", {name: task.env_id for name, task in found.items()}),
        ("names of objects", {name: task.objects.names for name, task in found.items()}),
    ):
        twins = [name for name, value in values.items() if list(values.values()).count(value) > 1]
        if twins:
            raise SpecMismatchError(f"the tasks {', '.join(twins)} have the same {what}, {values[twins[0]]}; rename one's")
    return dict(found)


TASKS: dict[str, Task] = require_distinct(
    {found.name: load(found.name) for found in pkgutil.iter_modules(tasks.__path__) if found.ispkg}
)
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
