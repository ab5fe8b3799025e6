"""Train the eye on drawn frames: data/train_act's rollouts -> data/train_eye (config.json, eye.safetensors)."""

from __future__ import annotations

from soarm.base import load_base
from soarm.eye import checkpoint
from soarm.eye.training import TrainEyeParams, train
from soarm.policies import ChunkedPolicy
from soarm.policy import BatchPolicy, VectorPolicy
from soarm.recording import RecordParams
from soarm.report.eye import of_eye
from soarm.report.style import save
from soarm.sim.params import SimParams
from soarm.spec import require_fitting
from soarm.stage import command, open_stage


def main() -> None:
    """Run the stage."""
    with open_stage("train_eye") as run:
        sim, params = run.params("sim", SimParams), run.params("train_eye", TrainEyeParams)
        if sim.objects_from == "simulator":
            run.out.mkdir(exist_ok=True)
            run.finish({"eye": None})
            return
        recorded, act = run.params("record", RecordParams), load_base(run.input("train_act"))
        require_fitting({"data/train_act": act.spec}, sim.spec)

        def policies(n_rows: int) -> list[BatchPolicy]:
            experts = [sim.sim_task.expert(recorded.expert, sim.control_hz) for _ in range(n_rows)]
            return [VectorPolicy(experts), ChunkedPolicy(act, act.spec, n_rows)]

        result = train(sim, policies, params, seed=run.seed, scratch=run.scratch, log=run.log, track=run.track)
        checkpoint.save(result.model, run.out)
        for figure in of_eye([row._asdict() for row in result.errors.rows]):
            save(figure, run.out / "figures")
        for path in sorted((run.out / "figures").glob("*.png")):
            run.artifact(path)
        run.finish({"eye": "trained", **result.metrics}, headline=result.errors.headline())


if __name__ == "__main__":
    command(main, __doc__)
