"""Pick and place: a 25 mm cube from the table into a bin."""

from soarm.tasks.pick_place.definition import PICK_PLACE as TASK

__all__ = ["TASK"]
