"""Joining the videos of episodes into files, and cutting them out again, packet by packet: nothing is encoded anew.

An episode whose first frame is no key frame, as after an edit of LeRobot's that encodes a file anew, brings the frames along
that it is decoded from: they lie before its first second in the new file, and belong to no episode.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import av
from av.container import OutputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from soarm.dataset import storage, video
from soarm.errors import DatasetError


class Clip(NamedTuple):
    """Consecutive frames of a video: file, number of the first one, and how many."""

    path: Path
    first: int
    length: int


class Place(NamedTuple):
    """Where a clip is after it was joined to others: running number of the file, and its first frame in it."""

    file: int
    first: int


def join(clips: Sequence[Clip], fps: int, limit_mb: float, nth_file: Callable[[int], Path]) -> list[Place]:
    """Write clips one after the other into as few files as their size allows, and return where each is.

    A file is followed by another where it would reach the limit, or where the next clip was encoded with other settings.

    Args:
        clips: In order.
        fps: Frames per second.
        limit_mb: Size of a file [MB].
        nth_file: Path of the file with a running number.

    Raises:
        DatasetError: A video is missing, cannot be read or is too short, or the disk is full.
    """
    places: list[Place] = []
    with contextlib.ExitStack() as stack:
        output: _Output | None = None
        for clip in clips:
            run = _run_of(clip, fps)
            if output is None or not output.takes(run, limit_mb * 1e6):
                number = places[-1].file + 1 if places else 0
                stack.close()
                output = _Output(nth_file(number), run, fps)
                stack.enter_context(output)
            assert output is not None
            places.append(Place(number, output.add(run, clip.first)))
    return places


def content(clip: Clip, fps: int) -> bytes:
    """Return the encoded bytes of a clip's frames, whatever else is in its file.

    Raises:
        DatasetError: As for `join`.
    """
    run = _run_of(clip, fps)
    wanted = range(clip.first, clip.first + clip.length)
    return b"".join([run.look[1] or b"", *(bytes(one) for number, one in run.packets if number in wanted)])


class _Run(NamedTuple):
    """Packets in the order of decoding that give all frames of a clip, each with its frame's number.

    `look` is what a file's header says once for all of its packets: codec, parameters, width and height.
    """

    path: Path
    packets: list[tuple[int, Packet[VideoStream]]]
    look: tuple[str, bytes | None, int, int]

    @property
    def first(self) -> int:
        return min(number for number, _ in self.packets)

    @property
    def size(self) -> int:
        return sum(packet.size for _, packet in self.packets)


def _run_of(clip: Clip, fps: int) -> _Run:
    with video.reading(clip.path) as (container, stream):
        wanted = range(clip.first, clip.first + clip.length)
        run: list[tuple[int, Packet[VideoStream]]] = []
        last = 0
        if clip.first:
            assert stream.time_base is not None
            container.seek(round(Fraction(clip.first, fps) / stream.time_base), stream=stream)
        for packet in video.packets(container, stream):
            number = video.number_of(packet, fps)
            if packet.is_keyframe and number <= clip.first:
                run = []  # nothing before it is needed
            elif packet.is_keyframe and number >= wanted.stop:
                break
            run.append((number, packet))
            last = len(run) if number in wanted else last
        del run[last:]
        missing = set(wanted) - {number for number, _ in run}
        if missing:
            raise DatasetError(
                f"{clip.path} has no frame {min(missing)}; an episode needs the frames {wanted.start}..{wanted.stop - 1} of it"
            )
        codec = stream.codec_context
        return _Run(clip.path, run, (codec.codec.canonical_name, codec.extradata, codec.width, codec.height))


class _Output:
    """A video that is being joined; a context manager."""

    def __init__(self, path: Path, like: _Run, fps: int) -> None:
        self._path, self._fps, self._look = path, fps, like.look
        self._base = Fraction(1, fps * 512)
        self._size = self._end = 0  # bytes, and the number of the next frame
        with storage.writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            options = {"movflags": "faststart", "write_btrt": "0"}  # the rate would be that of the first clip's own file
            self._container: OutputContainer = av.open(str(path), "w", format="mp4", options=options)
        with video.reading(like.path) as (_, stream):
            made = self._container.add_stream_from_template(stream, opaque=True)  # else it looks for an encoder
        assert isinstance(made, VideoStream)
        self._stream = made
        self._stream.time_base = self._base

    def __enter__(self) -> _Output:
        return self

    def __exit__(self, *_: Any) -> None:
        with storage.writing(self._path):
            self._container.close()
        storage.sync_file(self._path)

    def takes(self, run: _Run, limit_bytes: float) -> bool:
        return self._look == run.look and self._size + run.size < limit_bytes

    def add(self, run: _Run, first: int) -> int:
        """Append the packets and return the number of the frame that was `first`."""
        shift = self._end - run.first
        with storage.writing(self._path):
            for number, packet in run.packets:
                assert packet.dts is not None
                assert packet.pts is not None
                assert packet.time_base is not None
                delay = round((packet.pts - packet.dts) * packet.time_base / self._base)
                packet.stream, packet.time_base = self._stream, self._base
                packet.pts = round((number + shift) / (self._fps * self._base))
                packet.dts = packet.pts - delay
                packet.duration = 512
                self._container.mux_one(packet)
                self._end = max(self._end, number + shift + 1)
        self._size += run.size
        return first + shift
