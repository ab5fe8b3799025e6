"""Frames to an MP4.

Knows codecs; knows nothing of cameras. A frame is uint8, shape (H, W, 3), red-green-blue.
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from soarm.smallfile import replacing

Frame = NDArray[np.uint8]


def write_mp4(frames: Iterable[Frame], path: Path, fps: int) -> None:
    """Encode frames as H.264, playable in every browser; frames are written as they come.

    Odd sizes lose their last row or column: the codec halves colour in both directions. The video is written beside `path`
    and takes its place when it is complete; after a failure or Ctrl-C, what was there is as it was.

    Args:
        frames: At least one, all of one shape.
        path: Ends in `.mp4`.
        fps: Frames per second.

    Raises:
        OSError: It cannot be written there, or the disk is full.
    """
    with (
        replacing(path.resolve()) as part,
        av.open(part.name, "w", format="mp4", options={"movflags": "faststart"}) as container,
    ):
        stream = None
        for frame in frames:
            if stream is None:
                options = {"crf": "23", "preset": "veryfast", "x264-params": "asm=0"}
                stream = container.add_stream("libx264", rate=Fraction(fps), options=options)
                stream.height, stream.width = (size - size % 2 for size in frame.shape[:2])
                stream.pix_fmt = "yuv420p"
                # The same bytes on every machine and every time: one thread, and no SIMD, with which 1.5 % of 2,500 encodings
                # of the same ten frames differed in the first one (PyAV 18.1, x86-64); without it none of 2,500 did.
                stream.codec_context.thread_count = 1
            even = np.ascontiguousarray(frame[: stream.height, : stream.width])
            container.mux(stream.encode(av.VideoFrame.from_ndarray(even, format="rgb24")))
        assert stream is not None, f"{path.name}: a video has at least one frame"
        container.mux(stream.encode())


def last_picture(path: Path) -> bytes:
    """Return the last frame of a video as a JPEG: what is shown of it before it is played."""
    with av.open(str(path)) as container:
        *_, last = container.decode(video=0)
    jpeg = io.BytesIO()
    Image.fromarray(last.to_ndarray(format="rgb24")).save(jpeg, "JPEG", quality=80)
    return jpeg.getvalue()
