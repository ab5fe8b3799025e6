"""The robot host: exported policies without torch. Needs numpy and onnxruntime alone.

::

    drive          from a bundle and an arm to a run, and back to an arm that is parked
    loop           the control loop in real time
    schedule       chunks on the clock
    inference      the network in a thread of its own
    lockstep       loop and network in lockstep, for tests and `deploy_check`
    protocols      what the loop needs of arm, network and log
    safety         the safety chain, a pure function
    limits         its numbers, and a file for them
    watchdogs      when a run must not go on
    held_arm       an arm that holds, watched, and is parked and released in the end
    journal        what every run on an arm has beside its loop
    excite         a motion that tells what an arm is made of, on an arm; excitation is the motion
    deadman        a process that looks after the arm when this one dies
    sensors        the values of features beside the joints, and their age
    success        when the task is done

    shutdown       how a run ends: hold, park, release
    persist        a slow move that waits for what passes
    clearance      moves that keep clear of what stands on the table
    standing       the things on the table as boxes

    objects        where things are: told, read from a file, or called for
    plausible      whether they can be there
    placed         the sensor of what a person says of them
    carried        things that nobody sees, and the one in the hand
    tracked        things that a tracker sees, and the one in the hand
    eye            objects that cameras see
    camera         the newest frame of a camera, and its age
    picture_file   pictures in a file that somebody keeps fresh
    kept_file      the value of such a file, and its age
    fitting        pictures in the size that a policy wants
    senses         the sensors of a run, from what a person names

    bundle         the exported bundle on disk
    training_arm   the arm it was trained on
    mounting       the cameras it was trained with
    gate           whether it was trained for this arm
    onnx_policy    its networks behind the project's protocols
    session        an ONNX file in ONNX Runtime
    latency        how long a policy takes to answer

    log            the log of a run
    records        a tick as a record of the log
    replay         a log through the safety chain again
    log_summary    what a log says of a run, counted and in words
    run_report     what happened, counted and in words
"""
