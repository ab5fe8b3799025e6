"""ACT and residual -> an ONNX bundle that computes what torch computes, with its cards: data/export."""

from __future__ import annotations

import dataclasses

from soarm.base import load_base
from soarm.dataset.reader import Dataset
from soarm.export import agreement, parity
from soarm.export.bundle import add_eye, seal, write_bundle
from soarm.export.int8 import quantise_bundle
from soarm.export.params import ExportParams
from soarm.export.setting import mounting_of, training_arm_of
from soarm.eye import checkpoint
from soarm.eye.world import environments
from soarm.records import write_json
from soarm.report import bundle_cards
from soarm.residual import actor
from soarm.residual.controller import residual_policy
from soarm.runtime import latency
from soarm.runtime.bundle import BASE, PARITY_FILE, RESIDUAL, Bundle, network_file
from soarm.runtime.eye import seeing
from soarm.runtime.onnx_policy import load_policy
from soarm.seeds import scene_seeds
from soarm.sim.batch_env import BatchSim
from soarm.sim.params import SimParams
from soarm.spec import require_fitting
from soarm.stage import command, open_stage


def main() -> None:
    """Run the stage."""
    with open_stage("export") as run:
        params, sim = run.params("export", ExportParams), run.params("sim", SimParams)
        dataset = Dataset.open(run.dataset(), run.dataset_units)
        act_folder, residual_folder = run.input("train_act"), run.input("train_residual")
        act, (residual, spec) = load_base(act_folder), actor.load(residual_folder)
        require_fitting({f"{dataset.path}": dataset.spec, "data/train_act": act.spec, "data/train_residual": spec}, sim.spec)

        spec = dataclasses.replace(spec, git_rev=run.git_rev)
        write_bundle(run.out, spec, act, residual, params.opset, mounting_of(sim), training_arm_of(sim))
        if sim.objects_from == "eye":
            add_eye(run.out, spec, checkpoint.load(run.input("train_eye")), params.opset)
        episodes = parity.recorded(dataset, params.n_observations, act.inputs)
        gaps = parity.measure(Bundle.open(run.out), act, residual, spec, episodes)
        gaps.require(params.max_abs_deg)
        world = BatchSim(sim, params.n_rows, params.n_threads)
        int8 = quantise_bundle(run.out, world, params).to_dict() if params.int8 else {}
        write_json(run.out / PARITY_FILE, {**gaps.to_dict(), **int8})
        seal(run.out)

        bundle = Bundle.open(run.out)
        env = environments(sim, run.input("train_eye"))(params.n_rows, params.n_threads)
        unexported = residual_policy(act, residual, spec, params.n_rows)
        onnx, seeds = load_policy(bundle, params.n_rows, "residual"), scene_seeds("test")[: params.n_check]
        outcomes = agreement.compare(env, unexported, onnx, seeds, seeing(bundle, world))
        outcomes.require(params.min_p)
        times = latency.measure(bundle, params.n_latency_calls)
        how = {"train_act": run.values("train_act"), "train_residual": run.values("train_residual")}
        training = bundle_cards.training(dataset, run.root, how, run.profile, run.seed, run.git_rev)
        evaluation = bundle_cards.evaluation(run.input_if_any("compare"), act_folder, residual_folder)
        measured = {"parity_max_abs_deg": gaps.max_abs_deg, **outcomes.to_dict(), **int8}  # no times, which differ
        bundle_cards.write(run.out, run.task, spec, training, evaluation, measured, list(bundle.eye_cameras))
        files = {network: run.out / network_file(network) for network in bundle.sessions}
        run.networks(run.out, {"base": files[BASE], "residual": files[RESIDUAL]}, params.register)
        run.finish(
            {
                **gaps.metrics,
                **{f"{name}_ms": one.median_ms for name, one in times.items()},
                **{f"{name}_p99_ms": one.p99_ms for name, one in times.items()},
                **{f"{network}_bytes": path.stat().st_size for network, path in files.items()},
                **outcomes.to_dict(),
                **int8,
            },
            headline={"success": float(outcomes.exported.mean()), "n": params.n_check},
        )


if __name__ == "__main__":
    command(main, __doc__)
