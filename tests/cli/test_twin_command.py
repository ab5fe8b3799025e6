"""`soarm twin` with the cameras of a bundle, without a twin."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from soarm import cli
from soarm.runtime.bundle import Bundle
from soarm.runtime.mounting import MountedCamera, Mounting
from soarm.twin import serving

ROOT = Path(__file__).parents[2]
FRONT = MountedCamera(24, 16, 1, "world", (0.0, -0.6, 0.46), (0.0, 0.6, -0.8), 30.0)


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What was served, in place of serving it."""
    monkeypatch.chdir(ROOT)
    found: list[Any] = []
    monkeypatch.setattr(serving, "serve", lambda sim, config, **how: found.append((sim, how)))
    return found


def test_the_cameras_of_a_bundle_are_drawn_whatever_the_profile(
    served: list[Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    read = Bundle.open(ROOT / "examples" / "bundle")
    object.__setattr__(read, "mounting", Mounting({"front": FRONT}, {}))
    monkeypatch.setattr(Bundle, "open", lambda folder: read)

    assert cli.main(["twin", "--pictures", str(tmp_path), "--cameras-of", "data/export"]) == 0
    (sim, how), camera = served[0], served[0][0].cameras["front"]
    assert (camera.width_px, camera.height_px, camera.position_m, camera.fovy_deg) == (24, 16, (0.0, -0.6, 0.46), 30.0)
    assert (list(sim.cameras), how["pictures"]) == (["front"], tmp_path)


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--pictures", "p"], "--pictures has nothing to draw: sim.cameras is empty; give --camera front:96x96"),
        (["--camera", "front", "--cameras-of", "b", "--pictures", "p"], "both say what --pictures draws; give one of them"),
        (["--cameras-of", "examples/bundle", "--pictures", "p"], "examples/bundle has no cameras, or does not say how they"),
    ],
)
def test_pictures_that_cannot_be_drawn_are_refused(
    served: list[Any], words: list[str], text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["twin", *words]) == 2
    assert text in capsys.readouterr().err
    assert not served
