"""Scripted demonstrations -> LeRobot v3.0 dataset. Only successful tries are kept; the rate of failed ones is reported."""

from __future__ import annotations

from soarm.recording import RecordParams, record
from soarm.seeds import scene_seeds
from soarm.sim.params import SimParams
from soarm.stage import command, open_stage


def main() -> None:
    """Run the stage."""
    with open_stage("record") as run:
        sim, params = run.params("sim", SimParams), run.params("record", RecordParams)
        made = record(run.out, sim, params, scene_seeds("record", run.seed), run.track)
        run.finish({**made._asdict(), "expert_success_rate": made.episodes / made.tries})


if __name__ == "__main__":
    command(main, __doc__)
