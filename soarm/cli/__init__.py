"""The command `soarm`: one typed function per command, grouped in panels, and nothing else that describes it.

    program    parses the arguments and runs a command
    command    the application, the decorator `command`, and the options that many commands share
    chain      train and evaluate: stages of the chain, run through DVC
    study      the study, on many processors or machines
    arm_learning   train a residual: the stage, or on an arm
    robot      set up an arm and drive it
    proving    evaluate a bundle on it
    identify   what an arm is made of
    table      a camera over the table
    data       datasets and the logs of runs
    look       versions, artefacts, tracked runs
    sim        the emulated arm
    watch      policies in the simulator, in a window or on a film

To add a command, write a function in the module of its group (a new group is a new module that `program` imports);
`python docs/commands.py` then lists it on its page:

    @command(SETUP, "soarm release --port PORT")
    def release(port: Annotated[str, typer.Option(help="Serial port of the arm.")]) -> int:
        \"\"\"Switch torque off, and report which servo did not confirm it.\"\"\"
        with loading():
            from soarm.hardware import procedures
        return procedures.release(port)

- The docstring is the help, its first line the text in `soarm --help`; the second argument is the one example of that help. No
  other place describes the command: its options are the parameters, with their help, bounds and defaults.
- The body imports its room in `with loading():`, so that `soarm --help` stays quick, Ctrl-C while the room loads ends quietly,
  and a package that a robot host lacks becomes one line: `with loading("twin"):` names the extra that has it.
- It returns the exit status: 0 where all is well, 1 where something is wrong. Errors of soarm (`soarm.errors`) pass through;
  they become one paragraph on standard error and the status 1.
- Numbers are declared with `whole(low, high, help)` or `number(low, high, help)`, which refuse NaN. What a program would read
  has the parameter `as_json: Json = False`, and the body hands data to `write_json`.
- What a person reads is logged with `logging`, which `soarm` shows on standard output.
"""

from soarm.cli.command import app
from soarm.cli.program import main

__all__ = ["app", "main"]
