"""What a task is to everything but the simulator: its objects, stages, features, outcomes. Knows numpy only.

residual_observation.py   Term, Context, ResidualObservation: what a residual observes, as a table of named terms
thing.py                  Thing, Goal: what lies on the table, and when the task is done, for the robot's side
task.py                   Task: the value; Column: a column of an evaluation's rows
tabletop.py               cubes and spots on a table: what such tasks' features, terms and columns are put together from
registry.py               TASKS, find: every folder beside this file is a task
pick_place/ ...           a folder for each task
"""
