"""Scripted demonstrations -> LeRobot v3.0 dataset. Only successful tries are kept; the rate of failed ones is reported."""

from __future__ import annotations

import dataclasses

from soarm.dataset import layout
from soarm.dataset.recorder import Recorder
from soarm.policy import PerRow
from soarm.rollout import rollout
from soarm.seeds import scene_seeds
from soarm.sim.batch_env import BatchPickPlace
from soarm.sim.expert import Expert, ExpertParams
from soarm.sim.params import SimParams
from soarm.spec import ACTION, ENVIRONMENT_STATE, JOINT_FEATURE, OBJECTS_FEATURE, STATE
from soarm.stage import open_stage


@dataclasses.dataclass(frozen=True)
class RecordParams:
    """What is recorded.

    Attributes:
        n_episodes: Successful demonstrations to keep.
        n_rows: Episodes simulated at once.
        n_threads: Threads that step physics.
        task: What the robot is asked to do, in words.
        expert: How the demonstrator moves.
    """

    n_episodes: int
    n_rows: int
    n_threads: int
    task: str
    expert: ExpertParams


FEATURES = {STATE: JOINT_FEATURE, ENVIRONMENT_STATE: OBJECTS_FEATURE, ACTION: JOINT_FEATURE}


def main() -> None:
    """Run the stage."""
    with open_stage("record") as run:
        sim, params = run.params("sim", SimParams), run.params("record", RecordParams)
        env = BatchPickPlace(sim, params.n_rows, params.n_threads)
        policy = PerRow([Expert(params.expert, sim.control_hz) for _ in range(params.n_rows)])
        tries = frames = 0
        with Recorder.create(run.out, FEATURES, sim.control_hz, layout.ROBOT_TYPE, params.task) as recorder:
            for episode in run.track(rollout(env, policy, scene_seeds("record", run.seed)), total=params.n_episodes):
                tries += 1
                if episode.success:
                    recorder.save_episode(episode.observations, episode.actions)
                    frames += len(episode)
                if recorder.n_episodes == params.n_episodes:
                    break
        run.finish(
            {"episodes": params.n_episodes, "frames": frames, "tries": tries, "expert_success_rate": params.n_episodes / tries}
        )


if __name__ == "__main__":
    main()
