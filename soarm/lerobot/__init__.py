"""LeRobot's policies: read as bases of ours, and bases of ours written as LeRobot's. Needs no LeRobot.

::

    layout      which files a policy of LeRobot's has, and what their processor steps are called
    reading     LeRobot's ACT -> a base
    processors  the normalisation beside LeRobot's weights
    writing     a base -> LeRobot's ACT

Measured against the real package by `benchmarks/check_lerobot.py`.
"""
