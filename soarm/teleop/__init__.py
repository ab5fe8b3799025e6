"""Driving the arm by hand and recording it, with the same recorder as scripted demonstrations.

::

    session        a fixed rate, and keys to start, keep, discard and repeat
    recording      what a session records, and where to
    cameras        what of it cameras see
    teleoperator   what drives the arm, seen from the session
    leader         a second arm in somebody's hand
    keyboard       keys that are held move the gripper point
    gamepad        the same with a gamepad
    cartesian      velocities of the hand -> joint targets
    replayer       a recorded episode again
    follower       what is driven: a simulated arm, or one on a bus
    arms           arms on a bus that follow and lead
    simulated      the simulated arm and its expert
    convert        the log of a run as episodes
    display        a window on the simulated arm
    control        from what somebody chose to a session
"""
