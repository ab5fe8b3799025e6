"""What a policy is told of cube and bin."""

from __future__ import annotations

from soarm.spec import Feature

OBJECTS = Feature(
    (7,),
    ("cube.x", "cube.y", "cube.z", "cube.yaw4_cos", "cube.yaw4_sin", "bin.x", "bin.y"),
    ("m", "m", "m", "1", "1", "m", "m"),
)
"""Environment state: object poses in the arm's base frame (x right, y backwards, z up).

A plain cube looks the same after a quarter turn, so its yaw is given as the cosine and sine of four times the angle:
smooth, equal for the 24 orientations that look equal, and shorter than 1 where the cube is tilted.
"""
