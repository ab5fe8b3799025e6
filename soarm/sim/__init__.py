"""The SO-ARM100 in MuJoCo: scene, tasks, environments, scripted experts, camera. Knows no learning.

task.py          SimTask: what a task is to the simulator; StateView, Progress, Ops
registry.py      name of a task -> SimTask: every task of soarm/tasks has a folder of its name here
params.py        SimParams and what every task's parameters have
draw.py          a seed -> the scene; placing.py puts its things elsewhere
scene.py         arm, table, lights and cameras as an MjModel, with the task's bodies in it
cubes.py         free cubes: bodies, touch sensors, physics, potentials
demonstrator.py  how every scripted demonstrator moves; grasping.py one that picks up a cube and lets it go elsewhere
servos.py        zeros, backlash and slewing goals between a policy and the joints; observation_error.py what policies are told
disturbances.py  what of both is drawn more widely in some episodes
physics.py       SceneWriter: a drawn scene into model and data
episode.py       EpisodeRules: reward, furthest stage, held success, time limit
env.py           SimEnv: one episode at a time, of any task
batch_env.py     BatchSim: many episodes at once
cameras.py       PolicyCameras: the pictures that policies see; episode_cameras.py those of running episodes
look_params.py   ranges of what pictures look like; look.py an episode's, into the model; retouch.py into the picture
camera.py        one camera, for films; opengl.py draws by OpenGL, ray_camera.py by rays
pick_place/ ...  a folder for each task: bodies, scenes, rules, demonstrator
"""
