"""The terms of the residual observation that only pick and place has: cube and bin as the arm has to reach for them."""

from __future__ import annotations

from soarm.tasks.pick_place.objects import OBJECTS
from soarm.tasks.residual_observation import Term
from soarm.tasks.tabletop import COARSE_M, FINE_M, between, elements, from_gripper, in_jaw, in_plane, turn_from_jaw

_CUBE, _CUBE_XY, _BIN = elements(OBJECTS, "cube.x", 3), elements(OBJECTS, "cube.x", 2), elements(OBJECTS, "bin.x", 2)
_TO_CUBE = from_gripper(_CUBE)

TERMS = (
    Term("cube_offset", 3, _TO_CUBE),  # gripper point to cube [m]
    Term("bin_offset", 2, between(_CUBE_XY, _BIN)),  # cube to bin, seen from above [m]
    Term("cube_in_plane", 3, in_plane(_TO_CUBE), (FINE_M, COARSE_M)),  # gripper point to cube: outwards, to the side, up [m]
    Term("cube_in_jaw", 3, in_jaw(_TO_CUBE), (FINE_M, COARSE_M)),  # the same in the fixed jaw's frame [m]
    Term("bin_in_plane", 2, in_plane(from_gripper(_BIN)), (FINE_M, COARSE_M)),  # gripper point to bin [m]
    Term("cube_turn", 2, turn_from_jaw(elements(OBJECTS, "cube.yaw4_cos", 2))),  # of four times the angle from jaw to cube
)
