"""Push in the simulator."""

from soarm.sim.push.definition import PUSH as SIM_TASK

__all__ = ["SIM_TASK"]
