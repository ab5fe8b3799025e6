"""Stack: a 25 mm cube from the table onto another one."""

from soarm.tasks.stack.definition import STACK as TASK

__all__ = ["TASK"]
