"""Frames of a dataset's cameras as small pictures. Knows codecs through PyAV; which frames, the caller says."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import av
from av.video.frame import VideoFrame

from soarm.dataset import cameras
from soarm.dataset.contents import Contents
from soarm.errors import DatasetError

SEEK_S = 2.0
"""A frame that is further away than this is sought, a nearer one is come to by decoding."""
_QUANTISER = 4
"""Of JPEG, 2 (best) to 31."""


def frames(found: Contents, key: str, episode: int, numbers: Sequence[int], rate: float) -> Iterator[VideoFrame]:
    """Yield frames of an episode.

    Args:
        found: The dataset.
        key: The camera.
        episode: Number of the episode.
        numbers: Which frames of it, ascending.
        rate: Frames per second.

    Raises:
        DatasetError: A file is missing, cannot be decoded, or is too short.
    """
    if not cameras.is_video(found, key):
        for content in cameras.images(found, key, episode, numbers):
            with _decoding(f"an image of {key} in episode {episode}"), av.open(io.BytesIO(content), "r") as container:
                frame = next(container.decode(video=0))
            yield frame
        return
    spans = cameras.video_spans(found, key)
    if episode >= len(spans):
        raise DatasetError(f"meta/episodes says nothing of the video of {key} in episode {episode}")
    span = spans[episode]
    with _decoding(span.file):
        yield from _at(found.root / span.file, [span.from_s + number / rate for number in numbers], 0.5 / rate)


def jpeg(frame: VideoFrame, most_px: int) -> bytes:
    """Return a frame as a JPEG whose width is at most `most_px`."""
    width = min(frame.width, most_px)
    height = max(2, round(frame.height * width / frame.width))
    codec = av.CodecContext.create("mjpeg", "w")
    codec.width, codec.height, codec.pix_fmt = width, height, "yuvj420p"
    codec.time_base = Fraction(1, 1)
    codec.qmin = codec.qmax = _QUANTISER
    small = frame.reformat(width=width, height=height, format="yuvj420p")
    small.pts = 0
    return b"".join(bytes(packet) for packet in [*codec.encode(small), *codec.encode(None)])


def _at(path: Path, times_s: Sequence[float], tolerance_s: float) -> Iterator[VideoFrame]:
    """Yield the frames of a video at ascending times."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert stream.time_base is not None
        decoded: Iterator[VideoFrame] = iter(())
        frame: VideoFrame | None = None
        for time_s in times_s:
            if frame is None or time_s - _time_s(frame) > SEEK_S:
                container.seek(int(time_s / stream.time_base), stream=stream)
                decoded, frame = container.decode(stream), None
            while frame is None or _time_s(frame) < time_s - tolerance_s:
                frame = next(decoded, None)
                if frame is None:
                    raise ValueError(f"it ends before {time_s:.3f} s")
            yield frame


def _time_s(frame: VideoFrame) -> float:
    return frame.time or 0.0


@contextlib.contextmanager
def _decoding(name: str) -> Iterator[None]:
    """Turn what a codec complains of into an error that names the file."""
    try:
        yield
    except FileNotFoundError:
        raise DatasetError(f"{name} is missing") from None
    except (av.FFmpegError, ValueError, IndexError, StopIteration) as error:
        raise DatasetError(f"{name} cannot be decoded: {error}") from None
