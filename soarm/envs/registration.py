"""Which environments Gymnasium knows of; loads neither MuJoCo nor the parameters.

Gymnasium loads no plugins since 1.0 (an entry point `gymnasium.envs` in a package is not read), so somebody has to import this
room: `import soarm.envs`, or `soarm.envs:` in front of the id.
"""

from __future__ import annotations

import gymnasium

TASKS = {"SoArm/PickPlace-v0": "pick_place"}
"""Id of an environment -> name of its task (`soarm.tasks`)."""


def register() -> None:
    """Register every environment that is not registered yet.

    Gymnasium is told no `max_episode_steps`: the limit follows from the parameters, and the environments write it into their
    `spec` themselves. A limit at registration would be a `TimeLimit` that cuts a longer `time_limit_s`.
    """
    for env_id, task in TASKS.items():
        if env_id not in gymnasium.registry:
            gymnasium.register(
                env_id,
                entry_point="soarm.envs.single:SoArmEnv",
                vector_entry_point="soarm.envs.vector:SoArmVectorEnv",
                kwargs={"task": task},
            )


register()
