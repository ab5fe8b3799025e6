"""Policies to look at: in MuJoCo's viewer and in real time, with keys, or on a film.

::

    watching.py   an artefact in the window or on a film
    artefact.py   what can be watched: bundle, checkpoint, demonstrator
    lane.py       one arm with one policy in a simulator of its own
    scenes.py     scenes, keys, what is played when
    picture.py    lanes as geoms and lines of text
    dials.py      the residual as arcs at the joints
    keys.py       what the keys ask for
    film.py       the same on a film
    driving.py    the simulated arm that somebody drives
    clock.py      control rate in real time, and how well it was kept
"""
