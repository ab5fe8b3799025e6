"""ACT, the Action Chunking Transformer: model, training windows, training, checkpoint.

::

    config         size and loss of the network, in LeRobot's words
    model          the network
    layers         its transformer layers
    dropout        dropout with a generator of its own
    normalisation  statistics inside the network
    loss           L1 and KL
    windows        an observation and the actions that follow it
    training       training, resumed after a kill
    trainer        one step of it, and validation
    optimisation   learning rate over time, moving average of weights
    training_state the checkpoint that a training is resumed from
    checkpoint     the trained network on disk
"""
