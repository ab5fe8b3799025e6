"""Pick and place in the simulator."""

from soarm.sim.pick_place.definition import PICK_PLACE as SIM_TASK

__all__ = ["SIM_TASK"]
