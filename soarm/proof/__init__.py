"""A blind, paired evaluation of a bundle's two policies on an arm, or on the twin.

::

    plan        places drawn from a seed, and who acts when
    start       a new evaluation, or one that goes on
    sheet       the places on paper, in their true size
    attempt     a run of a trial, and its outcome
    folder      what is planned, what came of it, and that it is whole
    trial       one run, as `soarm drive` makes it
    session     ask, run, have it judged, save
    person      whoever stands at the arm, and a terminal
    rehearsal   the twin, and the simulator in the place of the person
    tally       who solved how many
    verdict     the rows of `compare`
    report      its page, with servos and safety chain
"""
