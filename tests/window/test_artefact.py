"""What can be watched: bundles, checkpoints, demonstrators, and what is told of everything else."""

from __future__ import annotations

import dataclasses
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from soarm.act.config import ACTConfig
from soarm.act.model import ACT
from soarm.base import save_base
from soarm.errors import BundleError, CheckpointError, SimulationError, SpecMismatchError
from soarm.eye import checkpoint
from soarm.eye.network import Eye, EyeConfig
from soarm.residual import actor
from soarm.spec import Feature
from soarm.tasks.pick_place import TASK
from soarm.window import watching
from soarm.window.artefact import DEMONSTRATOR, ListeningResidual, open_artefact

ROOT = Path(__file__).parents[2]
BUNDLE = ROOT / "examples" / "bundle"
PARAMS = ROOT / "params.yaml"


def test_a_bundle_is_watched_with_its_residual_first_and_tells_how_large_it_is() -> None:
    artefact = open_artefact(BUNDLE, params=PARAMS)
    alone, corrected = watching.lanes(artefact, ["base", "residual"])
    for lane in (alone, corrected):
        lane.start(40_000_000)
        lane.step()

    assert list(artefact.makers) == ["residual", "base"]
    assert not alone.share.any()
    assert (np.abs(corrected.share) <= 1.0).all()
    assert corrected.share.any()
    assert corrected.contender.residual is not None
    corrected.start(40_000_000)
    assert not corrected.share.any()


def test_a_bundle_needs_no_torch() -> None:
    program = (
        "import sys; from pathlib import Path; from soarm.window import artefact, watching\n"
        f"watching.lanes(artefact.open_artefact(Path({str(BUNDLE)!r}), params=Path({str(PARAMS)!r})), ['residual'])\n"
        "print({'torch', 'gymnasium', 'matplotlib', 'scipy'} & set(sys.modules))"
    )

    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)

    assert done.stdout == "set()\n"


def test_a_residual_that_is_not_there_is_asked_for_in_vain() -> None:
    artefact = open_artefact(Path(DEMONSTRATOR), task="push", params=PARAMS)

    assert list(artefact.makers) == ["demonstrator"]
    with pytest.raises(SimulationError, match="demonstrator has no base and no residual; it has demonstrator"):
        watching.lanes(artefact, ["base", "residual"])


def test_what_is_nothing_to_watch_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"is nothing to watch: .*checksums.*or the word demonstrator"):
        open_artefact(tmp_path, params=PARAMS)
    (tmp_path / "checksums.json").write_text("{}")
    with pytest.raises(BundleError, match="was changed"):
        open_artefact(tmp_path, params=PARAMS)


def test_a_bundle_of_another_rate_is_refused(tmp_path: Path) -> None:
    slower = tmp_path / "params.yaml"
    slower.write_text(PARAMS.read_text().replace("control_hz: 30", "control_hz: 20"))

    with pytest.raises(SpecMismatchError, match="its rate is 30 Hz; the simulator runs at"):
        open_artefact(BUNDLE, params=slower)


def test_the_residual_is_that_of_the_first_row() -> None:
    class Model:
        def predict_residual(self, seen: np.ndarray) -> np.ndarray:
            return seen[:, :6]

    heard = ListeningResidual(Model(), (2.0,) * 6)
    heard.predict_residual(np.stack([np.full(9, 0.25), np.full(9, 0.5)]).astype(np.float32))

    np.testing.assert_array_equal(heard.share, np.full(6, 0.25))


def test_checkpoints_are_watched_as_they_were_trained(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    spec = TASK.spec(30)
    spec = dataclasses.replace(spec, chunk_size=6, n_action_steps=4, residual_scale=(4.0,) * 6, dataset_hash="0" * 16)
    sizes = {"dim_model": 16, "n_heads": 2, "dim_feedforward": 32, "latent_dim": 4}
    layers = {"n_encoder_layers": 1, "n_decoder_layers": 1, "n_vae_encoder_layers": 1}
    chunks = {"chunk_size": 6, "n_action_steps": 4, "temporal_ensemble_coeff": None}
    config = ACTConfig(**sizes, **layers, **chunks, use_vae=False, kl_weight=1.0, dropout=0.0)
    save_base(ACT(config, dataclasses.replace(spec, residual_scale=None)), tmp_path / "train_act")
    actor.save(actor.ResidualActor((8,), layer_norm=True), spec, tmp_path / "train_residual")

    assert list(open_artefact(tmp_path / "train_act", params=PARAMS).makers) == ["base"]
    assert list(open_artefact(tmp_path / "train_residual", params=PARAMS).makers) == ["residual", "base"]
    with pytest.raises(CheckpointError, match=r"elsewhere.* does not exist"):
        open_artefact(tmp_path / "train_residual", base=tmp_path / "elsewhere", params=PARAMS)

    assert not caplog.text
    through_an_eye = tmp_path / "params.yaml"
    through_an_eye.write_text(PARAMS.read_text().replace("profile: default", "profile: ci_pixels"))
    makers = open_artefact(tmp_path / "train_residual", params=through_an_eye).makers
    assert [makers[role]().label for role in makers] == ["ACT + residual, told true poses", "ACT, told true poses"]
    assert re.search(
        r"train_residual goes with an eye, and there is none in \S+train_eye: the simulator tells .* the true poses",
        caplog.text,
    )

    caplog.clear()
    network = EyeConfig(vision_backbone="light", n_keypoints=2, n_glimpses=1, map_channels=1, map_dim=2, hidden=4)
    (tmp_path / "train_eye").mkdir()
    checkpoint.save(
        Eye(network, TASK, {"front": Feature.image(32, 48), "wrist": Feature.image(32, 32)}), tmp_path / "train_eye"
    )
    opened = open_artefact(tmp_path / "train_residual", params=through_an_eye)
    assert [opened.makers[role]().label for role in opened.makers] == [
        "ACT + residual, through its eye",
        "ACT, through its eye",
    ]
    assert (opened.eye is not None, list(opened.sim.cameras), caplog.text) == (True, ["front", "wrist"], "")
