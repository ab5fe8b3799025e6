"""Push: a 25 mm cube into a marked square on the table, without lifting it."""

from soarm.tasks.push.definition import PUSH as TASK

__all__ = ["TASK"]
