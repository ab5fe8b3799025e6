"""Residual TD3+BC on a frozen chunk policy: a bounded correction of every base action, learned by reinforcement."""
