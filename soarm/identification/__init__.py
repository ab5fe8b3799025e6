"""What an arm is made of, from logs of its runs: the simulator's servos are fitted to them.

    physics      the numbers that are sought, as a vector and back
    windows      a log in pieces that a fit can use
    model        physics -> the positions that the simulator says
    fit          least squares, standard errors, and what a log determines
    identified   logs -> what was found, and the gap on windows held out of the fit
    settings     the same as settings of params.yaml
    account      the same in words
    figure       the same as a figure, and all of it in a folder

The motion that tells most is `soarm.runtime.excitation`'s, which `soarm excite` plays.
"""
