"""A camera over the table: calibrated by the arm itself, it tells where the things of a task are. Needs OpenCV.

::

    pinhole        from a place on the table to the picture, and back
    outlines       where a box stands whose outline is seen
    colours        patches of a colour, and their outlines
    tracker        picture after picture: where things are, and what is hidden
    table          what is known of table and camera, in a file
    moved          whether the camera was moved since

    handling       slow moves of the arm, fingers down; touching down, opening, closing
    solving        a camera from spots where the arm set a thing down
    calibrating    sets a thing down on spots, and looks: `soarm calibrate-table`
    arm_session    the same on an arm that is plugged in

    watching       from a camera to a file of objects: `soarm track`
    drawing        what was seen, drawn into the picture
    page           the picture in a page on this computer
"""
