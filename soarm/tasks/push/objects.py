"""What a policy is told of cube and square."""

from __future__ import annotations

from soarm.tasks.tabletop import cube, joined, spot

OBJECTS = joined(cube("cube"), spot("square"))
"""Environment state: the cube's pose, shape (5,), and where the middle of the square is, shape (2,) [m]."""
