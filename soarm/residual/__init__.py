"""Residual TD3+BC on a frozen chunk policy: a bounded correction of every base action, learned by reinforcement.

training.py        a residual from parameters to the network that is kept
td3bc.py           the algorithm in Stable-Baselines3's terms; `train` is one update from top to bottom
objective.py       its losses: td_target, critic_loss, actor_loss, q_filter
gradients.py       its gradient steps: fit_critics, descend, polyak_update
overlap.py         its schedule: updates while the simulator steps
learner.py         its parameters
exploration.py     prefill and held noise
batches.py         own and demonstrated transitions, encoded for actor and critics
replay.py          the n-step replay buffer, with returns of whole episodes
demonstrations.py  demonstrations as transitions of the residual's environment
policies.py        actor and critics in Stable-Baselines3's terms
sight.py           earlier names in saved files
actor.py           the residual's network and its files
encoder.py         the encoding of an observation for actor and critics
vec_env.py         the environments as a `VecEnv`, and the base in front of them
frozen.py          the base in front of raw environments, and out of a saved residual
controller.py      base and residual on raw observations, with `predict`
reach.py           how far a residual must reach, and its bound
validation.py      which of the checkpoints is kept
diagnostics.py     numbers that say early when learning goes wrong
checkpoint.py      a training run on disk, to resume from
"""
