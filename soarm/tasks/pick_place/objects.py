"""What a policy is told of cube and bin."""

from __future__ import annotations

from soarm.tasks.tabletop import cube, joined, spot

OBJECTS = joined(cube("cube"), spot("bin"))
"""Environment state: the cube's pose, shape (5,), and where the bin stands, shape (2,) [m]."""
