"""The sensor of the objects, from what a person says of them: a file that is kept fresh, or places measured with a ruler."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from soarm.errors import ObservationError
from soarm.runtime.carried import CarriedObjects, followed
from soarm.runtime.objects import FileObjects, measured, on_the_table
from soarm.runtime.sensors import Sensor
from soarm.runtime.tracked import TrackedObjects
from soarm.tasks.task import Task


def sensor(task: Task, file: Path | None, places: Sequence[str]) -> Sensor:
    """Return the sensor of a task's objects.

    Args:
        task: Whose objects they are.
        file: File that somebody keeps fresh; see `soarm.runtime.objects`.
        places: In the place of a file, for each thing of the task: its name and where it lies, as in "cube=0.0,-0.2,15" and
            "bin=0.15,-0.15" [m, m, deg].

    Raises:
        ObservationError: It is not one of the two, or places are missing, of no thing of the task, or no numbers.
    """
    if file is not None and not places:
        return TrackedObjects(task, FileObjects(task, file))
    followed(task)
    needed = {thing.name: measured(task, thing) for thing in task.things}
    given = dict(_read(text) for text in places)
    if file is None and set(given) == set(needed) and all(len(given[name]) == len(needed[name]) for name in needed):
        return CarriedObjects(task, on_the_table(task, given))
    say = " ".join(f"--place {name}={','.join(numbers)}" for name, numbers in needed.items())
    found = [*([] if file is None else ["--objects"]), *(f"--place {text}" for text in places)]
    raise ObservationError(
        f"the task {task.name} needs to know where {task.subject} lie: say all of {say}, or --objects FILE alone; given was "
        f"{', '.join(found) or 'neither'}"
    )


def _read(text: str) -> tuple[str, tuple[float, ...]]:
    name, _, numbers = text.partition("=")
    try:
        return name, tuple(map(float, numbers.split(",")))
    except ValueError:
        raise ObservationError(f"--place {text!r} is no place; write it as in cube=0.0,-0.2,15 [m, m, deg]") from None
