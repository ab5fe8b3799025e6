"""Stack in the simulator."""

from soarm.sim.stack.definition import STACK as SIM_TASK

__all__ = ["SIM_TASK"]
