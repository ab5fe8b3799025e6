"""The arm on its servo bus: registers, bus, calibration, driver. Needs numpy and the servo SDK alone.

::

    driver         the arm in LeRobot's units, and the states between which it goes
    states         those states, and the steps between them
    supervisor     what is done about the servos in every cycle, whatever the state
    mirror         goals, torque limits and settings as they should be, read back
    watch          what telemetry means: alarms per joint
    observation    what the servos said, in LeRobot's units, with its age
    moves          targets that may be sent, and slow moves
    bringup        before an arm may move: is it the right one, torque on without a jump
    torque         torque off, proved
    config         gains, supply, temperatures, each number with its source

    bus            six servos as registers by name
    readings       the latest telemetry of each servo, and its age
    registers      the control table, and its bytes as numbers
    eprom          registers that survive a power cycle
    backups        registers of servos in a file
    line           one question at a time on the half-duplex line
    packets        instruction and status packets
    port           the serial port, opened for one process
    discovery      which servos are there
    ports          which serial port the arm is on

    calibration    from encoder ticks to LeRobot's units and back
    lerobot_file   LeRobot's calibration files
    sweep          ranges measured by hand: arithmetic
    guide          the dialogue of a calibration
    restoring      registers of a backup back into the servos
    setup          a new servo's id
    doctor         what is wrong with an arm that is plugged in
    procedures     what a person does with an arm: calibrate, check, release
"""
