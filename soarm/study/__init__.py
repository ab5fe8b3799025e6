"""The study: variants of the method and baselines, several seeds each, one budget, one table, one figure.

::

    variants             what is studied: the section `study` of params.yaml
    method               what a method is to the study
    methods              the methods by name
    residual             the project's own
    filtered_bc          the base imitates its own successes
    more_demonstrations  the budget as demonstrations
    ppo                  PPO on the residual
    scratch              TD3 without a base
    in_memory            demonstrations with episodes added, in memory
    scenes               where methods train and are evaluated
    shards               the runs in equal parts, for many jobs
    run                  one run: a method trained to the budget, then tested
    measures             what a run is measured by
    summary              all runs as one table
    tables               that table for a CSV file, and for the figure
"""
