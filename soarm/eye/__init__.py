"""The eye: pictures and joints in, object poses out; what it is asked and how its answers are used is `soarm.estimation`.

::

    moments     where arm and objects are in the frames that it learns from
    frames      pictures of them
    network     the network
    loss        what its training makes small
    trainer     one step of the training, and validation
    training    the training, from rollouts to the network, resumed after a kill
    errors      what it gets wrong, by stage and visibility
    checkpoint  an eye on disk
    trials      what a policy is worth when its pictures say nothing
    world       environments in which policies are told what the eye says
"""
