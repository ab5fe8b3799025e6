"""What a window would show, on a film."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import av
import pytest

from soarm.errors import SimulationError
from soarm.sim.camera import find_fault
from soarm.sim.params import SimParams
from soarm.window import film
from soarm.window.lane import Lane


@pytest.mark.documented
def test_a_film_has_the_lanes_side_by_side_with_the_residual_on_the_arm(
    short: SimParams, lane: Callable[[str], Lane], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(film, "WIDTH_PX", 160)
    monkeypatch.setattr(film, "HEIGHT_PX", 120)
    bare, corrected = lane("bare"), lane("corrected")
    assert bare.contender.residual is not None
    bare.contender.residual.forget = lambda: None  # type: ignore[method-assign]
    report = film.shoot(short, [bare, corrected], tmp_path / "film.mp4", 7, 1)
    with av.open(str(tmp_path / "film.mp4")) as shot:
        pictures = [frame.to_ndarray(format="rgb24").astype(int) for frame in shot.decode(video=0)]
    left, right = pictures[5][:, : film.WIDTH_PX], pictures[5][:, -film.WIDTH_PX :]
    magenta = [((half[..., 0] - half[..., 1] > 90) & (half[..., 2] - half[..., 1] > 40)).sum() for half in (left, right)]

    assert [seed for seed, _ in report.scenes] == [7]
    assert len(pictures) == 8 + 1 + 15  # 0.5 s are 15 steps, and a second of standing still at 15 per second
    if find_fault("egl") is None or find_fault("osmesa") is None:  # rays see no dials
        assert magenta[0] == 0
        assert magenta[1] > 20


def test_a_film_is_an_mp4(short: SimParams, lane: Callable[[str], Lane], tmp_path: Path) -> None:
    with pytest.raises(SimulationError, match=r"a film is an \.mp4, and not film\.gif; name it so: --film film\.mp4"):
        film.shoot(short, [lane("one")], tmp_path / "film.gif", 7, 1)


def test_where_no_film_can_be_written_is_said_before_anything_is_played(short: SimParams, tmp_path: Path) -> None:
    with pytest.raises(SimulationError, match=r"nowhere/film\.mp4 cannot be written \(No such file or directory\)"):
        film.shoot(short, [], tmp_path / "nowhere" / "film.mp4", 7, 1)


def test_a_full_disk_is_said_with_the_film_that_does_not_fit_on_it(
    short: SimParams, lane: Callable[[str], Lane], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(film, "write_mp4", full)
    with pytest.raises(SimulationError, match=r"film\.mp4 cannot be written \(No space left on device\); what was there"):
        film.shoot(short, [lane("one")], tmp_path / "film.mp4", 7, 1)
