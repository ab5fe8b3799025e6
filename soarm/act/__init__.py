"""ACT, the Action Chunking Transformer, and its training; its checkpoint is `soarm.base`'s.

::

    config         size and loss of the network, in LeRobot's words, and the features that it observes
    model          the network: tokens of vectors and of pictures in, chunks out
    layers         its transformer layers
    dropout        dropout with a generator of its own
    normalisation  statistics inside the network
    loss           L1 and KL; poses: object poses learnt beside the actions
    params         how it is trained
    windows        an observation and the actions that follow it
    training       training, resumed after a kill
    trainer        one step of it, and validation
    parallel       training in several processes
"""
