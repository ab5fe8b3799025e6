"""A camera's video, an MP4: how it is encoded, what it holds, and its frames by number. Knows codecs through PyAV, no dataset.

Frame n of a video is the one that is shown n / fps seconds after its beginning, whatever its packets are numbered.
"""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

import av
import numpy as np
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream
from numpy.typing import NDArray

from soarm.errors import DatasetError
from soarm.quantities import within
from soarm.spec import Feature

Codec = Literal["h264", "av1"]
CODECS: Final[dict[Codec, str]] = {"h264": "libx264", "av1": "libsvtav1"}
"""LeRobot's name of a codec -> the encoder that writes it."""
CRF: Final = within(least=0, most=51, why="the worst that H.264 has")
PIXELS: Final = "yuv420p"
_NEAR: Final = 1
"""A key frame that is no more frames ahead than this is come to by decoding, a farther one is sought."""


class Encoding(NamedTuple):
    """How a camera is encoded.

    Attributes:
        codec: What the video is.
        crf: Quality, 0 (best) upwards; LeRobot's AV1 has 30.
        keyframe_every: Frames from one key frame to the next, as LeRobot's `g`: few make random access fast.
        simd: Whether the encoder may use vector instructions. Without them the same pictures give the same bytes every time,
            which 1.5 % of encodings with them did not (see `soarm.report.video`); large pictures take twice as long.
    """

    codec: Codec = "h264"
    crf: int = 23
    keyframe_every: int = 2
    simd: bool = True

    @property
    def options(self) -> dict[str, str]:
        """The options of the encoder: those with which pictures come in at 30 Hz beside a control loop, one thread each."""
        plain = {"crf": str(self.crf), "g": str(self.keyframe_every)}
        if self.codec == "av1":
            return {**plain, "preset": "12", "svtav1-params": "lp=1"}
        return {**plain, "preset": "ultrafast", "bf": "0", **({} if self.simd else {"x264-params": "asm=0"})}


USUAL: Final[dict[Codec, Encoding]] = {"h264": Encoding(), "av1": Encoding("av1", 30)}
"""Codec -> the settings that a recording has where nobody says others."""


def size_faults(key: str, feature: Feature) -> list[str]:
    """Return why pictures of a camera cannot be encoded."""
    height, width = feature.shape[:2]
    if height % 2 or width % 2:
        even = f"{width - width % 2} x {height - height % 2}"
        return [f"feature {key} is {width} x {height} pixels; videos ({PIXELS}) need even numbers of both: {even}"]
    return []


def open_output(path: Path, feature: Feature, fps: int, encoding: Encoding) -> tuple[OutputContainer, VideoStream]:
    """Begin a video.

    Raises:
        DatasetError: There is no such encoder, or it cannot encode such pictures.
        OSError: The file cannot be written.
    """
    if encoding.codec == "av1":
        os.environ.setdefault("SVT_LOG", "1")  # errors alone: it prints its settings
    container = av.open(str(path), "w", format="mp4")
    try:
        stream = container.add_stream(CODECS[encoding.codec], rate=Fraction(fps), options=encoding.options)
        assert isinstance(stream, VideoStream)
        stream.height, stream.width, stream.pix_fmt = *feature.shape[:2], PIXELS
        stream.codec_context.thread_count = 1
        with _scheduling_kept():
            stream.codec_context.open()
    except (av.FFmpegError, ValueError) as error:
        container.close()
        size = f"{feature.shape[1]} x {feature.shape[0]}"
        raise DatasetError(
            f"{path.name}: pictures of {size} pixels cannot be encoded as {encoding.codec} ({error}): take larger ones"
        ) from None
    return container, stream


@contextlib.contextmanager
def _scheduling_kept() -> Iterator[None]:
    """Leave this thread's scheduling as it is, and let threads that begin in the block have the same; on Linux.

    Where it may, as root, SVT-AV1 gives its threads and its caller real-time priority (SCHED_FIFO, 99). They would not let
    other programs run, nor would any process that the caller starts later.
    """
    tasks = Path("/proc/self/task")
    if not tasks.is_dir():
        yield
        return
    own, before = (os.sched_getscheduler(0), os.sched_getparam(0)), {task.name for task in tasks.iterdir()}
    try:
        yield
    finally:
        os.sched_setscheduler(0, *own)
        for task in tasks.iterdir():
            if task.name not in before:
                with contextlib.suppress(ProcessLookupError):
                    os.sched_setscheduler(int(task.name), *own)


def describe(path: Path) -> dict[str, Any]:
    """Return what a video is, as LeRobot's info.json says it: measured on the file, not what was asked for.

    Raises:
        DatasetError: It cannot be read.
    """
    with reading(path) as (container, stream):
        rate, codec = stream.average_rate or Fraction(0), stream.codec_context
        return {
            "video.height": codec.height,
            "video.width": codec.width,
            "video.codec": codec.codec.canonical_name,
            "video.pix_fmt": codec.pix_fmt,
            "video.fps": int(rate) if rate.denominator == 1 else float(rate),
            "video.channels": 3,
            "has_audio": bool(container.streams.audio),
        }


def n_frames(path: Path) -> int:
    """Return how many frames a video says it has; decodes nothing.

    Raises:
        DatasetError: It cannot be read.
    """
    with reading(path) as (_, stream):
        return stream.frames


@contextlib.contextmanager
def reading(path: Path) -> Iterator[tuple[InputContainer, VideoStream]]:
    """Open a video for the block, in which whatever is wrong with it becomes a DatasetError that names it."""
    with decoding(path), av.open(str(path)) as container:
        if not container.streams.video or not container.streams.video[0].codec_context:
            raise ValueError("there is no video in it that can be decoded")
        yield container, container.streams.video[0]


@contextlib.contextmanager
def decoding(name: Path | str) -> Iterator[None]:
    """Turn what a codec complains of into an error that names the file."""
    try:
        yield
    except FileNotFoundError:
        raise DatasetError(f"{name} is missing") from None
    except (av.FFmpegError, ValueError, IndexError, StopIteration) as error:
        raise DatasetError(f"{name} cannot be decoded: {error}") from None


def decode_image(content: bytes) -> NDArray[np.uint8]:
    """Return an encoded image (PNG, JPEG) as (H, W, 3) uint8, red-green-blue.

    Raises:
        ValueError: It is none. (So is `av.FFmpegError`, in the cases that matter.)
    """
    with av.open(io.BytesIO(content), "r") as container:
        return next(container.decode(video=0)).to_ndarray(format="rgb24").astype(np.uint8, copy=False)


def packets(container: InputContainer, stream: VideoStream) -> Iterator[Packet[VideoStream]]:
    """Yield the packets of a video in the order of decoding."""
    return (packet for packet in container.demux(stream) if packet.pts is not None)


def number_of(timed: Packet[VideoStream] | VideoFrame, fps: float) -> int:
    """Return which frame a packet or a decoded frame is."""
    assert timed.pts is not None
    assert timed.time_base is not None
    return round(float(timed.pts * timed.time_base) * fps)


class VideoReader:
    """The frames of a video by number; open until `close`.

    Args:
        path: The file.
        fps: Frames per second of the dataset.

    Raises:
        DatasetError: It is missing or cannot be read.
    """

    def __init__(self, path: Path, fps: float) -> None:
        self._path, self._fps, self._at = path, fps, -2
        self._frames: Iterator[VideoFrame] = iter(())
        self._rgb = VideoReformatter()
        with decoding(path):
            self._container = av.open(str(path))
            self._stream = self._container.streams.video[0]
            self._stream.codec_context.thread_count = 1
            found = [(number_of(one, fps), one.is_keyframe) for one in packets(self._container, self._stream)]
        self.numbers = np.array(sorted(number for number, _ in found), np.int64)
        self._keys = np.array(sorted(number for number, is_key in found if is_key), np.int64)

    def read(self, numbers: Iterable[int]) -> Iterator[NDArray[np.uint8]]:
        """Yield frames, each (H, W, 3) uint8, red-green-blue.

        Args:
            numbers: Which, ascending, each once; the nearer they are to each other, the less is decoded.

        Raises:
            DatasetError: The video ends before one of them, or cannot be decoded.
        """
        for number in numbers:
            with decoding(self._path):
                picture = self._rgb.reformat(self._decoded(number), format="rgb24").to_ndarray()
            yield picture.astype(np.uint8, copy=False)

    def close(self) -> None:
        """Close the file."""
        self._container.close()

    def _decoded(self, number: int) -> VideoFrame:
        before = int(np.searchsorted(self._keys, number, side="right")) - 1
        key = int(self._keys[before]) if before >= 0 else 0
        if not self._at < number or key > self._at + _NEAR:
            base = self._stream.time_base
            assert base is not None
            self._at = -2  # until a frame is there, nothing is known of where it stands
            self._container.seek(round(key / self._fps / base), stream=self._stream)
            self._frames = self._container.decode(self._stream)
        for frame in self._frames:
            self._at = number_of(frame, self._fps)
            if self._at >= number:
                break
        if self._at != number:
            raise ValueError(f"it has no frame {number} ({number / self._fps:.3f} s); it holds {len(self.numbers)} frames")
        return frame
