"""Search for parameters with Optuna: trials are runs of a stage, judged on what it validates on and never on test scenes.

::

    swept        which stages can be swept, and what they are judged by
    search       what is searched: parameters, their ranges and choices
    basis        what all trials of a sweep have in common, so that they can be compared
    optuna_store the sweep in Optuna: a journal file or a database
    attempt      one trial: the stage in a process and a folder of its own
    running      trial after trial; goes on with what a kill left
    outcome      the trials as a table, and the command that makes the best one again
"""
