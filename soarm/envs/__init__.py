"""The tasks as Gymnasium environments: importing this room registers them, single and batched.

`gymnasium.make("soarm.envs:SoArm/PickPlace-v0")` imports it by name. Knows Gymnasium's and Stable-Baselines3's conventions and
the simulator; knows no learning. The rest of the project uses the simulator itself (`soarm.sim`).
"""

from soarm.envs.registration import register

__all__ = ["register"]
