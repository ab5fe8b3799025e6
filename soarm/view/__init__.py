"""A dataset to look at: a page of HTML for any LeRobot v3.0 dataset, sound or not, or the Rerun viewer. Changes no dataset.

::

    inspection      what can be read of a dataset, and what is wrong with it
    dataset_page    the page
    curves          its figures: joints over time, lengths of episodes, where they start
    camera_strips   frames of its cameras as small pictures
    rerun_log       the same for the Rerun viewer
    show            write the page and open it, or start the viewer
"""
