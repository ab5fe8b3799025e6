"""Frames of a dataset's cameras as small pictures. Knows codecs through PyAV; which frames, the caller says."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from fractions import Fraction

import av
import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from soarm.dataset import cameras, video
from soarm.dataset.contents import Contents
from soarm.errors import DatasetError

_QUANTISER = 4
"""Of JPEG, 2 (best) to 31."""


def frames(found: Contents, key: str, episode: int, numbers: Sequence[int], rate: float) -> Iterator[NDArray[np.uint8]]:
    """Yield frames of an episode, (H, W, 3) uint8.

    Args:
        found: The dataset, whose table of episodes can be read.
        key: The camera.
        episode: Number of the episode.
        numbers: Which frames of it, ascending.
        rate: Frames per second.

    Raises:
        DatasetError: A file is missing, cannot be decoded, or is too short.
    """
    if not cameras.is_video(found, key):
        cells = cameras.cells(found, [key])[episode]
        for number in numbers:
            (content,) = cameras.image_bytes(found.root, cells, key, number, 1)
            with video.decoding(f"an image of {key} in episode {episode}"):
                picture = video.decode_image(content)
            yield picture
        return
    spans = cameras.video_spans(found, key)
    if episode >= len(spans):
        raise DatasetError(f"meta/episodes says nothing of the video of {key} in episode {episode}")
    span = spans[episode]
    try:
        with contextlib.closing(video.VideoReader(found.root / span.file, rate)) as reader:
            yield from reader.read([round(span.from_s * rate) + number for number in numbers])
    except DatasetError as error:
        raise DatasetError(str(error).replace(f"{found.root}/", "")) from None  # the page may go elsewhere


def jpeg(picture: NDArray[np.uint8], most_px: int) -> bytes:
    """Return a picture as a JPEG whose width is at most `most_px`."""
    frame = VideoFrame.from_ndarray(picture, format="rgb24")
    width = min(frame.width, most_px)
    height = max(2, round(frame.height * width / frame.width))
    codec = av.CodecContext.create("mjpeg", "w")
    codec.width, codec.height, codec.pix_fmt = width, height, "yuvj420p"
    codec.time_base = Fraction(1, 1)
    codec.qmin = codec.qmax = _QUANTISER
    small = frame.reformat(width=width, height=height, format="yuvj420p")
    small.pts = 0
    return b"".join(bytes(packet) for packet in [*codec.encode(small), *codec.encode(None)])
