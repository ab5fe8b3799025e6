"""Which environments Gymnasium knows of; loads neither MuJoCo nor the parameters.

Gymnasium loads no plugins since 1.0 (an entry point `gymnasium.envs` in a package is not read), so somebody has to import this
room: `import soarm.envs`, or `soarm.envs:` in front of the id.
"""

from __future__ import annotations

import gymnasium

from soarm.tasks.registry import TASKS

ARM = "SoArm/Arm-v0"
"""A real arm, or the twin, as an environment (docs/arm-learning.md)."""


def register() -> None:
    """Register the environments of every task (`Task.env_id`), and the arm, where they are not registered yet.

    Gymnasium is told no `max_episode_steps`: the limit follows from the parameters, and the environments write it into their
    `spec` themselves. A limit at registration would be a `TimeLimit` that cuts a longer `time_limit_s`.
    """
    for task in TASKS.values():
        if task.env_id not in gymnasium.registry:
            gymnasium.register(
                task.env_id,
                entry_point="soarm.envs.single:SoArmEnv",
                vector_entry_point="soarm.envs.vector:SoArmVectorEnv",
                kwargs={"task": task.name},
            )
    if ARM not in gymnasium.registry:
        # It has no time limit of Gymnasium's, as above, and is no step of physics that a checker may try out.
        gymnasium.register(ARM, entry_point="soarm.online.make:make", disable_env_checker=True)


register()
