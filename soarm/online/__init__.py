"""Learning on an arm: the arm as an environment, interventions, steps that survive a power cut, and a learner beside the loop.

::

    make           arms to learn on, opened: `gymnasium.make("SoArm/Arm-v0")`
    arm_env        an arm as an environment of Gymnasium, on the loop of `soarm drive`
    operator       who lays scenes out and judges episodes: a person with keys, or the twin
    intervention   who takes over from the policy

    arm_training   a session: episodes, the learner beside them, and what a person reads of it
    tally          what happened, counted and in a line per episode
    collecting     episodes of base and residual, written as they were executed
    steps          the file of all steps, appended to and checksummed
    folder         the folder of steps and networks
    zeros          zeros of the joints, from what was carried in these steps

    followed_actor the actor that the learner hands over
    beside         the learner in a process of its own
    learning       the update of `ResidualTD3BC` on these steps
    params         how an arm learns
"""
