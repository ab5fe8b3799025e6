"""Scripted demonstrations -> LeRobot v3.0 dataset. Only successful tries are kept; the rate of failed ones is reported."""

from __future__ import annotations

from soarm.dataset import layout
from soarm.errors import StageError
from soarm.recording import RecordParams, features_of, record
from soarm.report.cards import dataset_card
from soarm.seeds import scene_seeds
from soarm.sim.params import SimParams
from soarm.smallfile import read_json
from soarm.stage import command, open_stage


def main() -> None:
    """Run the stage."""
    with open_stage("record") as run:
        sim, params = run.params("sim", SimParams), run.params("record", RecordParams)
        made = record(run.out, sim, params, scene_seeds("record", run.seed), run.track)
        info = read_json(run.out / layout.INFO_PATH, StageError, remedy="record again.")
        how = run.values("record")["expert"]
        card = dataset_card(run.task, features_of(sim, params), info, how, made.tries, layout.ROBOT_TYPE)
        (run.out / "README.md").write_text(card, encoding="utf-8")
        solved = made.episodes / made.tries
        run.finish({**made._asdict(), "expert_success_rate": solved}, headline={"success": solved, "n": made.tries})


if __name__ == "__main__":
    command(main, __doc__)
