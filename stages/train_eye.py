"""Train the eye on drawn frames of demonstrators at work -> data/train_eye (config.json, eye.safetensors)."""

from __future__ import annotations

from soarm.eye import checkpoint
from soarm.eye.training import TrainEyeParams, train
from soarm.policy import VectorPolicy
from soarm.recording import RecordParams
from soarm.report.eye import of_eye
from soarm.report.style import save
from soarm.sim.params import SimParams
from soarm.stage import command, open_stage

_NONE = "No eye: the simulator tells policies where the objects are (`sim.objects_from`). Profile `pixels` trains one.\n"


def main() -> None:
    """Run the stage."""
    with open_stage("train_eye") as run:
        sim, params = run.params("sim", SimParams), run.params("train_eye", TrainEyeParams)
        habits = run.params("record", RecordParams).expert
        if sim.objects_from == "simulator":
            (run.out / "README.md").write_text(_NONE, encoding="utf-8")
            run.finish({"eye": None}, headline={})
            return
        result = train(
            sim,
            VectorPolicy([sim.sim_task.expert(habits, sim.control_hz) for _ in range(params.n_rows)]),
            params,
            seed=run.seed,
            scratch=run.scratch,
            log=run.log,
            track=run.track,
        )
        checkpoint.save(result.model, run.out)
        for figure in of_eye([row._asdict() for row in result.errors.rows]):
            save(figure, run.out / "figures")
        for path in sorted((run.out / "figures").glob("*.png")):
            run.artifact(path)
        run.finish({"eye": "trained", **result.metrics}, headline=result.errors.headline())


if __name__ == "__main__":
    command(main, __doc__)
