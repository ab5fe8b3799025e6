"""From trained networks to a bundle for the robot: ONNX, and the proof that it computes what torch computes.

::

    bundle.py     networks, specification and checksums into a folder
    setting.py    what a bundle says of its simulator: the arm and the cameras, and a simulator with these cameras
    graph.py      one network of torch as one ONNX file
    parity.py     differences over recorded observations
    agreement.py  success on the same scenes
    int8.py       the bundle in 8-bit integers, and the scenes that it may lose
    quantise.py   one ONNX file in 8-bit integers
    alone.py      a base without a residual, a dataset or a repository
    params.py     parameters of all this
"""
