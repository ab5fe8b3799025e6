"""LeRobot v3.0 datasets: recorder, in-memory reader, checks and edits. Knows no simulator and no network.

::

    reader      a dataset in memory: columns of numpy
    recorder    episodes into a dataset; journal: where they are until the end; lock: one recorder at a time
    resuming    what must be so before a dataset is gone on with
    edit        delete, merge, split, statistics; conversion: a copy in degrees; shrinking: one with smaller pictures
    checks      is it sound; video_checks: are its pictures all there
    contents    everything a folder holds; formats: folders that are no v3.0 dataset
    quality     what spoils demonstrations although the files are sound
    units       what joints are measured in: said, declared or unknown
    overview    what a dataset is, in lines
    cameras     where the frames of its cameras are
    pictures    those frames by rows, and a cache of them; encoder: episodes into videos while they are recorded
    video       a video and its frames; remux: joining and cutting videos without encoding them anew
    writer      the files of a dataset; layout: where they are; tables, storage, statistics, episode: what they are made of
"""
