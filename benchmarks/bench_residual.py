"""Environment steps per second of learning a residual, beside Stable-Baselines3's own TD3 on the same task.

    python benchmarks/bench_residual.py

Needs data/train_act. But for what its name says, every row has the same: the frozen ACT in front of as many environments,
batch, n-step returns, width of the networks and updates per step of all environments, as `train_residual` in params.yaml has.

    sb3 gym            TD3 and its networks, a DummyVecEnv of SoArm/PickPlace-v0
    sb3 gym, our nets  the same with our networks: LayerNorm, tanh features, critics on the executed action
    sb3 batch          TD3 and its networks, our environments on mujoco.batch
    ours, in turn      ResidualTD3BC with `overlap: false`
    ours               ResidualTD3BC: updates run while the environments step

torch and physics have one thread each. The rows take turns, --repeats times; medians are printed, of the ratios within a
repeat too. It wants two idle cores: a learner of two threads that shares them measures the others.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import threadpoolctl
import torch
from stable_baselines3 import TD3
from stable_baselines3.common.noise import NormalActionNoise
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv

from soarm import arm, params
from soarm.base import BasePolicy, load_base
from soarm.residual.feature_keys import with_feature_keys
from soarm.residual.policies import ResidualCritic, ResidualTD3Policy
from soarm.residual.td3bc import ResidualTD3BC
from soarm.residual.training import TrainResidualParams
from soarm.residual.vec_env import BatchVecEnv, ResidualVecEnvWrapper
from soarm.seeds import scene_seeds
from soarm.sim.batch_env import BatchSim
from soarm.sim.params import SimParams

ENV_ID = "soarm.envs:SoArm/PickPlace-v0"
BOUND = (7.0, 6.0, 7.0, 6.0, 15.0, 20.0)
"""Of the residual [deg x 5, percent]; speed does not depend on it."""
PREFILL_VEC_STEPS = 40


def main() -> None:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("data"), help="folder with train_act")
    parser.add_argument("--updates", type=int, help="per step of all environments, in place of gradient_steps / train_freq")
    parser.add_argument("--vec-steps", type=int, default=60, help="steps of all environments in a measurement")
    parser.add_argument("--repeats", type=int, default=9)
    args = parser.parse_args()
    torch.set_num_threads(1)
    loaded = params.load(Path("params.yaml"))
    settings = loaded.section("train_residual", TrainResidualParams)
    updates = settings.learner.gradient_steps // settings.learner.train_freq if args.updates is None else args.updates
    bench = Bench(loaded.section("sim", SimParams), settings, load_base(args.data / "train_act"), updates)
    with threadpoolctl.threadpool_limits(1):
        learners = {
            "sb3 gym": bench.sb3(bench.gym_envs(), "MlpPolicy"),
            "sb3 gym, our nets": bench.sb3(bench.gym_envs(), _OurNets),
            "sb3 batch": bench.sb3(bench.batch_envs(), "MlpPolicy"),
            "ours, in turn": bench.ours(overlap=False),
            "ours": bench.ours(overlap=True),
        }
        n_steps = args.vec_steps * settings.n_envs
        for learner in learners.values():  # prefill, warm-up, and the first updates, which are slower
            learner.learn((PREFILL_VEC_STEPS + 10) * settings.n_envs, log_interval=None)  # type: ignore[arg-type]
        times = [{name: timed(learner, n_steps) for name, learner in learners.items()} for _ in range(args.repeats)]
    sys.stdout.write(
        f"{settings.n_envs} environments, {updates} updates of {settings.learner.batch_size} per step of all of them, "
        f"networks {list(settings.hidden)}, load {os.getloadavg()[0]:.1f}\n"
    )
    for name in learners:
        wall_s, cpu_s = (statistics.median(repeat[name][i] for repeat in times) for i in (0, 1))
        ratios = [
            statistics.median(repeat[other][0] / repeat[name][0] for repeat in times)
            for other in ("sb3 gym", "sb3 gym, our nets")
        ]
        sys.stdout.write(
            f"{name:18s}{n_steps / wall_s:7.0f} steps/s{1e3 * cpu_s / n_steps:7.2f} ms CPU/step   "
            f"{ratios[0]:.2f} x sb3 gym, {ratios[1]:.2f} x with our nets\n"
        )


class _OurNets(ResidualTD3Policy):
    """Our networks under Stable-Baselines3's TD3, which asks the first head by a name of its own."""

    def make_critic(self, features_extractor: BaseFeaturesExtractor | None = None) -> ResidualCritic:
        """Return our critics with that name."""
        critic = super().make_critic(features_extractor)
        critic.q1_forward = lambda obs, actions: critic(obs, actions, heads=(0,))[0]  # type: ignore[method-assign]
        return critic


class Bench:
    """Learners that differ in what a row's name says.

    Args:
        sim: The simulator.
        settings: What they have in common.
        act: The frozen base.
        updates: Per step of all environments.
        threads: Of physics.
    """

    def __init__(self, sim: SimParams, settings: TrainResidualParams, act: BasePolicy, updates: int, threads: int = 1) -> None:
        self._settings, self._act, self._threads = settings, act, threads
        self._max_steps = round(settings.time_limit_s * sim.control_hz)
        self._sim, self._prefill = sim, PREFILL_VEC_STEPS * settings.n_envs
        self._learner = dataclasses.replace(
            settings.learner, train_freq=1, gradient_steps=updates, warmup_updates=0, buffer_size=50_000
        )

    def gym_envs(self) -> VecEnv:
        """Return environments one by one; the checker that Gymnasium adds by default is left out, it costs time."""
        options: dict[str, Any] = {"params": self._sim, "max_episode_steps": self._max_steps, "disable_env_checker": True}
        venv = DummyVecEnv([lambda: gymnasium.make(ENV_ID, **options) for _ in range(self._settings.n_envs)])
        return ResidualVecEnvWrapper(with_feature_keys(venv), self._act, self._act.spec, BOUND)

    def batch_envs(self) -> VecEnv:
        """Return ours."""
        return ResidualVecEnvWrapper(self._raw(), self._act, self._act.spec, BOUND)

    def _raw(self) -> BatchVecEnv:
        env = BatchSim(self._sim, self._settings.n_envs, self._threads)
        return BatchVecEnv(env, self._act.spec, scene_seeds("residual", 0), self._max_steps)

    def sb3(self, env: VecEnv, policy: str | type[_OurNets]) -> OffPolicyAlgorithm:
        """Return Stable-Baselines3's learner."""
        learner, n = self._learner, arm.N_JOINTS
        kwargs = {"net_arch": list(self._settings.hidden), "n_critics": self._settings.n_critics}
        return TD3(
            policy,
            env,
            learning_rate=learner.critic_lr,
            buffer_size=learner.buffer_size,
            learning_starts=self._prefill,
            batch_size=learner.batch_size,
            tau=learner.tau,
            gamma=learner.gamma,
            train_freq=1,
            gradient_steps=learner.gradient_steps,
            action_noise=NormalActionNoise(np.zeros(n), np.full(n, 0.1)),
            n_steps=learner.n_steps,
            policy_delay=learner.policy_delay,
            policy_kwargs=kwargs if policy == "MlpPolicy" else {**kwargs, "scale": BOUND},
            seed=0,
            device="cpu",
        )

    def ours(self, *, overlap: bool, device: str = "cpu") -> OffPolicyAlgorithm:
        """Return ours."""
        return ResidualTD3BC(
            "ResidualPolicy",
            self._raw(),
            base_model=self._act,
            residual_scale=BOUND,
            learner=dataclasses.replace(self._learner, overlap=overlap),
            exploration=dataclasses.replace(self._settings.exploration, prefill_steps=self._prefill),
            policy_kwargs={"net_arch": list(self._settings.hidden), "n_critics": self._settings.n_critics},
            seed=0,
            device=device,
        )


def timed(learner: OffPolicyAlgorithm, n_steps: int) -> tuple[float, float]:
    """Return wall and CPU seconds of learning for so many steps."""
    wall_s, cpu_s = time.perf_counter(), time.process_time()
    learner.learn(n_steps, log_interval=None, reset_num_timesteps=False)  # type: ignore[arg-type]
    return time.perf_counter() - wall_s, time.process_time() - cpu_s


if __name__ == "__main__":
    main()
