"""Which environments Gymnasium knows of; loads neither MuJoCo nor the parameters.

Gymnasium loads no plugins since 1.0 (an entry point `gymnasium.envs` in a package is not read), so somebody has to import this
room: `import soarm.envs`, or `soarm.envs:` in front of the id.
"""

from __future__ import annotations

import gymnasium

from soarm.tasks.registry import TASKS


def register() -> None:
    """Register the environments of every task (`Task.env_id`) that are not registered yet.

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


register()
