"""The twin: an SO-ARM100 in MuJoCo behind an emulated servo bus on a pseudo-terminal.

::

    twin           pseudo-terminals, servos and a scene, served by a thread
    twin_config    how the arm is emulated, and the servos that follow
    simulated_arm  the simulator's scene, with six servos in the place of its actuators
    actuator       from a servo's goal to torque: MuJoCo's position actuator or the STS3215's
    servo          one STS3215 as its registers
    emulator       one bus of servos: instructions in, replies out
    wire           the wire format from the servo's side
    faults         scripted faults
    outgoing       when replies reach the host
    wire_log       every byte that crossed the wire, in a file
    port           a pseudo-terminal that can be unplugged
    leading        how the leader moves where no hand is
    hand           a person at the twin: calibrates, and plugs in new servos
    rendering      what cameras see of the scene, and files of it for another process
    sensing        both as sensors of an arm in lockstep
    serving        a twin in the foreground: `soarm twin`
"""
