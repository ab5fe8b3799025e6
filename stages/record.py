"""Demonstrations -> LeRobot v3.0 dataset: by the script, or by an exported policy. Only successful tries are kept."""

from __future__ import annotations

from pathlib import Path

from soarm.dataset import layout
from soarm.errors import StageError
from soarm.policies import HOLD_STEPS
from soarm.recording import RecordParams, features_of, record
from soarm.report.cards import dataset_card
from soarm.runtime.bundle import RESIDUAL, Bundle, checksums_json
from soarm.runtime.onnx_policy import Which, load_policy
from soarm.seeds import scene_seeds
from soarm.sim.params import SimParams
from soarm.smallfile import read_json
from soarm.spec import content_hash, require_fitting
from soarm.stage import command, open_stage


def main() -> None:
    """Run the stage."""
    with open_stage("record") as run:
        sim, params = run.params("sim", SimParams), run.params("record", RecordParams)
        seeds, scripted = scene_seeds("record", run.seed), params.policy is None
        if params.policy is None:
            made, how = record(run.out, sim, params, seeds, run.track), run.values("record")["expert"]
        else:
            bundle = _open(run.root / params.policy, params, sim)
            which: Which = "residual" if RESIDUAL in bundle.sessions else "base"
            policy = load_policy(bundle, params.n_rows, which)
            made = record(run.out, sim, params, seeds, run.track, policy, bundle.cameras)
            how = {"policy": which, "bundle": content_hash(checksums_json(bundle.checksums))}
        noise = {"noise_deg": params.noise_deg, "noise_hold_steps": HOLD_STEPS} if params.noise_deg else {}
        info = read_json(run.out / layout.INFO_PATH, StageError, remedy="record again.")
        how_made = {**how, **noise}
        card = dataset_card(run.task, features_of(sim, params), info, how_made, made.tries, layout.ROBOT_TYPE, scripted)
        (run.out / "README.md").write_text(card, encoding="utf-8")
        solved = made.episodes / made.tries
        success = {"expert_success_rate": solved} if scripted else {"policy_success_rate": solved, **how}
        run.finish({**made._asdict(), **success, **noise}, headline={"success": solved, "n": made.tries})


def _open(folder: Path, params: RecordParams, sim: SimParams) -> Bundle:
    """Open the bundle that demonstrates, and compare it with the simulator."""
    if not folder.is_dir():
        raise StageError(
            f"record.policy is {params.policy}, and there is no such folder; name a bundle that `dvc repro export` or `soarm "
            "export-policy` wrote, relative to the root of the repository or absolute, or null: the scripted demonstrator"
        )
    bundle = Bundle.open(folder)
    require_fitting({f"record.policy {params.policy}": bundle.spec}, sim.spec)
    return bundle


if __name__ == "__main__":
    command(main, __doc__)
