"""Many tasks at once: in processes of this machine, or on a Ray cluster. DVC says what is missing and keeps the results.

::

    study      the runs of the study that are not up to date, as tasks; their results entered into DVC
    attended   tasks run while somebody watches: view, signals, last words
    pipeline   what DVC is asked and told
    entering   results of many runs kept by DVC at once
    task       what a task is, and what runs tasks; the one loop that waits for all of them
    package    what a task needs, as one archive that is named by the hash of its content
    local      tasks in processes of this machine
    on_ray     tasks on a Ray cluster
    remote     what runs on a worker of it: sent there with the tasks
    archive    folders as bytes

Knows neither learning nor simulator: a task is a command and the folders that it leaves.
"""
