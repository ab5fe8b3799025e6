import io

import av
import numpy as np
import pytest
from PIL import Image

from soarm.report.video import last_picture, write_mp4


def clip(n, height=48, width=64):
    """Frames with a bright square that moves to the right, over a dark red ground."""
    frames = []
    for i in range(n):
        frame = np.full((height, width, 3), (90, 20, 20), np.uint8)
        frame[8:24, 2 * i : 2 * i + 16] = 240
        frames.append(frame)
    return frames


def decode(path):
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        return (
            stream.codec_context.name,
            float(stream.average_rate),
            [f.to_ndarray(format="rgb24") for f in container.decode(stream)],
        )


def test_a_video_holds_every_frame_at_its_rate_in_h264(tmp_path):
    frames = clip(20)
    write_mp4(iter(frames), tmp_path / "clip.mp4", fps=30)
    codec, fps, decoded = decode(tmp_path / "clip.mp4")

    assert (codec, fps, len(decoded)) == ("h264", 30.0, 20)
    assert np.abs(decoded[12].astype(int) - frames[12]).mean() < 5.0
    assert np.abs(decoded[12].astype(int) - frames[0]).mean() > 15.0


def test_the_same_frames_give_the_same_bytes(tmp_path):
    for name in ("a.mp4", "b.mp4"):
        write_mp4(clip(10), tmp_path / name, fps=30)

    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()


def test_odd_sizes_lose_a_row_and_a_column(tmp_path):
    write_mp4(clip(3, height=49, width=65), tmp_path / "odd.mp4", fps=30)

    assert decode(tmp_path / "odd.mp4")[2][0].shape == (48, 64, 3)


def test_nothing_is_no_video(tmp_path):
    with pytest.raises(AssertionError, match="at least one frame"):
        write_mp4([], tmp_path / "v.mp4", fps=30)


@pytest.mark.parametrize("ending", [KeyboardInterrupt, OSError])
def test_a_video_that_is_not_finished_leaves_the_old_one(tmp_path, ending):
    path = tmp_path / "v.mp4"
    path.write_bytes(b"the old one")

    def frames():
        yield from clip(3)
        raise ending

    with pytest.raises(ending):
        write_mp4(frames(), path, fps=30)

    assert [(file.name, file.read_bytes()) for file in tmp_path.iterdir()] == [("v.mp4", b"the old one")]


def test_the_last_picture_is_that_of_the_end(tmp_path):
    frames = clip(20)
    write_mp4(frames, tmp_path / "clip.mp4", fps=30)
    with Image.open(io.BytesIO(last_picture(tmp_path / "clip.mp4"))) as last:
        seen = np.asarray(last).astype(int)

    assert np.abs(seen - frames[-1]).mean() < np.abs(seen - frames[-4]).mean() < 20.0
