"""The bundle on an emulated arm: data/export -> data/deploy_check (success through the wire, timing, clamps, twin gap)."""

from __future__ import annotations

from soarm import deployment
from soarm.deployment import DeployParams
from soarm.evaluation.evaluator import EvaluationParams, results_of
from soarm.evaluation.statistics import paired_table
from soarm.evaluation.summary import Summary, summarise
from soarm.report import gallery
from soarm.rollout import rollout
from soarm.runtime.bundle import RESIDUAL, Bundle
from soarm.runtime.eye import seeing
from soarm.runtime.onnx_policy import Which, load_policy
from soarm.seeds import scene_seeds
from soarm.sim.batch_env import BatchSim
from soarm.sim.params import SimParams
from soarm.spec import require_fitting
from soarm.stage import command, open_stage
from soarm.twin.actuator import ActuatorName
from soarm.twin.sensing import senses_of


def main() -> None:
    """Run the stage."""
    with open_stage("deploy_check") as run:
        params, sim = run.params("deploy_check", DeployParams), run.params("sim", SimParams)
        away_m = run.params("eval_base", EvaluationParams).knocked_away_m
        bundle = Bundle.open(run.input("export"))
        require_fitting({"data/export": bundle.spec}, sim.spec)
        which: Which = "residual" if RESIDUAL in bundle.sessions else "base"
        seeds = scene_seeds("test")[: params.n_scenes]
        env = seeing(bundle, BatchSim(sim, params.n_rows, params.n_threads))

        scenes = run.track(seeds, description="in the simulator")
        played = list(rollout(env, load_policy(bundle, params.n_rows, which), scenes))
        results = {"direct": results_of(played, run.task, sim.control_hz, knocked_away_m=away_m)}
        stats, gaps, stack = {}, {}, lambda _: deployment.drive_stack(bundle, which)
        ways: list[tuple[str, ActuatorName, int]] = [
            ("wire", "position", params.n_scenes),
            ("servo", "sts3215", params.n_servo_scenes),
        ]
        for name, servo_model, n in ways:
            stats[name] = deployment.WireStats()
            with deployment.wired(sim, params, servo_model) as arm:
                scenes = run.track(seeds[:n], description=f"through the wire, servo model {servo_model}")
                episodes = arm.episodes(stack, scenes, stats[name], senses_of(bundle))
                results[name] = results_of(episodes, run.task, sim.control_hz, knocked_away_m=away_m)
                gaps[name] = deployment.gap_per_joint([arm.follow(one) for one in played[: params.n_replayed]])

        summaries: dict[str, Summary] = {name: summarise(rows) for name, rows in results.items()}
        for name, rows in results.items():
            rows.save(run.out, name)
        gallery.save_all(gallery.of_deployment(summaries, gaps), run.out / "figures")
        for figure in sorted((run.out / "figures").glob("*.png")):
            run.artifact(figure)
        wire, p = summaries["wire"], paired_table(results["direct"].success, results["wire"].success).mcnemar_p
        low, high = wire.success_ci95
        run.finish(
            {
                "policy": which,
                "n_scenes": params.n_scenes,
                **{name: deployment.brief(summary) for name, summary in summaries.items()},
                "mcnemar_p": p,
                **stats["wire"].to_dict(1.0 / sim.control_hz),
                "servo_path": stats["servo"].to_dict(1.0 / sim.control_hz),
                "gap_deg": gaps["wire"],
                "servo_gap_deg": gaps["servo"],
            },
            headline={"success": wire.success_rate, "low": low, "high": high, "p": p, "n": params.n_scenes},
        )


if __name__ == "__main__":
    command(main, __doc__)
