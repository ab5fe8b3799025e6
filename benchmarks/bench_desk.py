"""What learning on an arm regains of what a desk costs: the rehearsal of `soarm rl-train --arm`, on twins that differ.

    python benchmarks/bench_desk.py --desks 1 2 --out runs/desks

A desk is a twin whose servos, zeros, cube and tracker differ from the simulator's, by its number; neither base nor residual
nor learner is told how. The residual that the simulator trained goes on learning there, through driver, safety chain and loop,
in lockstep. Success is counted on the same scenes before, on the way and at the end; with `--by-hand 0.25` a scripted person,
who sees the truth, takes over in a quarter of the episodes. Killed, it goes on where it was.

    python benchmarks/bench_desk.py --desks 1 2 4 7 --zeros --out runs/zeros

learns nothing but the zeros of the joints, from what the arm carried (`soarm find-zeros`), at each milestone from all steps.

    python benchmarks/bench_desk.py --directions runs/desks/desk-1-0.25

says of a folder whether the critics point where that person went: the cosine between the gradient of their value and the
person's correction, both less what the residual did before, on the person's own steps.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from soarm import params as params_file
from soarm.envs.interface import Interface
from soarm.evaluation.statistics import paired_table, wilson
from soarm.online import beside
from soarm.online import folder as layout
from soarm.online.arm_env import ArmEnv
from soarm.online.beside import Learning
from soarm.online.collecting import Collector
from soarm.online.folder import RunFolder
from soarm.online.followed_actor import FollowedActor
from soarm.online.make import twin_cell
from soarm.online.operator import TwinOperator
from soarm.online.params import OnlineParams
from soarm.online.steps import StepFile, read_all
from soarm.online.zeros import find_zeros
from soarm.policy import Array, Observation
from soarm.recording import RecordParams
from soarm.residual.controller import residual_policy
from soarm.residual.exploration import Explorer
from soarm.residual.objective import REACH
from soarm.residual.td3bc import ResidualTD3BC
from soarm.rollout import rollout
from soarm.seeds import scene_seeds
from soarm.sim.batch_env import BatchSim
from soarm.sim.params import SimParams
from soarm.sim.registry import sim_task
from soarm.spec import ENVIRONMENT_STATE, STATE
from soarm.tasks.registry import find
from soarm.twin.twin import Twin

_STREAM = 0xDE5C
_LATEST_STEP = 45
"""A person takes over in the first second and a half of an episode, if at all."""


def desk_of(seed: int, sim: SimParams) -> SimParams:
    """Return a desk: single values where the simulator has ranges, drawn by its number."""
    rng = np.random.default_rng([_STREAM, seed])

    def between(low: float, high: float) -> float:
        return round(float(rng.uniform(low, high)), 4)

    def one(low: float, high: float) -> list[float]:
        return [between(low, high)] * 2

    changes = {
        "physics": {
            "position_gain": one(15.0, 28.0),
            "latency_s": one(0.02, 0.05),
            "backlash_deg": one(0.3, 1.0),
            "cube_mass_kg": one(0.025, 0.045),
            "cube_friction": one(0.4, 0.8),
        },
        "servos": {
            "zero_deg": [between(-2.5, 2.5) for _ in range(6)],
            "gain_factor": [between(0.8, 1.2) for _ in range(6)],
        },
        "observation_error": {
            "offset_m": [0.0015] * 2,
            "jitter_m": [0.001] * 2,
            "offset_deg": [2.0] * 2,
            "jitter_deg": [1.0] * 2,
            "delay_s": one(0.0, 0.067),
        },
    }
    return params_file.changed(sim, changes, f"desk {seed}")


def recalibrated(desk: SimParams, zero_deg: ArrayLike) -> SimParams:
    """Return a desk whose arm got a calibration with these zeros: what it reads is off by less."""
    left = np.asarray(desk.servos.zero_deg) - np.asarray(zero_deg)
    return params_file.changed(desk, {"servos": {"zero_deg": left.tolist()}}, "recalibrated")


class ScriptedPerson:
    """The demonstrator as a person who sees what is true: takes over in some episodes, until they end.

    Args:
        twin: What is true.
        zero_deg: How far the zeros of the joints are off: a hand closes that gap by eye, shape (6,) [deg x 5, percent].
        share: Of the episodes.
        seed: Of what is drawn.
    """

    def __init__(self, twin: Twin, zero_deg: Array, share: float, seed: int) -> None:
        loaded = params_file.load(params_file.packaged(), twin.task.name).section("record", RecordParams)
        self._expert = sim_task(twin.task.name).expert(loaded.expert.noiseless(), 30)
        self._twin, self._zero, self._share, self._seed = twin, zero_deg, share, seed
        self._from = self._step = 0

    def start(self, seed: int) -> None:
        """See `soarm.online.intervention.Intervention`."""
        rng = np.random.default_rng([self._seed, seed])
        takes_over = rng.uniform() < self._share
        self._from, self._step = int(rng.integers(_LATEST_STEP)) if takes_over else -1, 0
        self._expert.reset(seed)

    def targets(self, observation: Observation) -> Array | None:
        """See `soarm.online.intervention.Intervention`."""
        self._step += 1
        if not 0 <= self._from < self._step:
            return None
        truth = {STATE: self._twin.q().astype(np.float32), ENVIRONMENT_STATE: self._twin.true_objects()}
        return self._expert.act(truth) + self._zero


def success(sim: SimParams, model: ResidualTD3BC, scenes: range) -> NDArray[np.bool_]:
    """Return which scenes base and residual solve."""
    policy = residual_policy(model.base_model, model.policy.actor.mu, model.spec, 25)
    return np.array([episode.success for episode in rollout(BatchSim(sim, 25), policy, scenes)])


class Rehearsal:
    """One desk, and what was counted there so far, in `found.json` of its folder.

    Args:
        run: The folder.
        sim: The simulator that base and residual know.
        desk: The desk.
        scenes: On which success is counted.
        zeros: Whether the zeros of the joints are found at each milestone.
    """

    def __init__(self, run: RunFolder, sim: SimParams, desk: SimParams, scenes: range, *, zeros: bool) -> None:
        self._run, self._desk, self._scenes, self._zeros = run, desk, scenes, zeros
        self.model = ResidualTD3BC.load(run.path / layout.RESIDUAL, device="cpu")
        self._file = run.path / "found.json"
        self.found: dict[str, Any] = json.loads(self._file.read_text()) if self._file.exists() else {}
        if not self.found:
            self.found["simulator"] = success(sim, self.model, scenes).tolist()
            self.found["true zeros"] = success(recalibrated(desk, desk.servos.zero_deg), self.model, scenes).tolist()
            self._count(0, 0)

    def _count(self, n_steps: int, n_human: int) -> None:
        desk = self._desk
        if self._zeros and n_steps:
            spec, episodes = self.model.spec, read_all(self._run.path / layout.STEPS)
            until = np.searchsorted(np.cumsum([len(episode) for episode in episodes]), n_steps)
            zeros = find_zeros(episodes[: until + 1], find(spec.task), spec.control_hz)
            desk = recalibrated(desk, zeros.zero_deg)
        solved = success(desk, self.model, self._scenes).tolist()
        self.found[str(n_steps)] = {"solved": solved, "human": n_human, "zero_deg": list(desk.servos.zero_deg)}
        self._file.write_text(json.dumps(self.found))

    def learn(self, milestones: list[int], share: float) -> None:
        """Learn, and count at each milestone that was not counted yet."""
        run, model, left = self._run, self.model, [n for n in milestones if str(n) not in self.found]
        if not left:
            return
        assert model.observation_space.shape is not None
        with (
            StepFile(run.path / layout.STEPS, model.observation_space.shape[0], run.about) as steps,
            twin_cell(self._desk) as cell,
        ):
            assert isinstance(cell.operator, TwinOperator)
            zero = np.asarray(self._desk.servos.zero_deg, np.float32)
            cell.intervention = ScriptedPerson(cell.operator.twin, zero, share, run.seed)
            learning = Learning(run, beside.build(run))
            actor = FollowedActor(model.policy.actor.mu, run.path / layout.ACTOR)
            explorer = Explorer(1, run.params.exploration, np.random.default_rng([run.seed, steps.n_episodes]))
            env = ArmEnv(Interface(params=self._desk), cell)
            collector = Collector(env, model.base_model, model.spec, actor, explorer, steps)
            scenes = scene_seeds("residual", 9)[1000 * run.seed :]
            while left:
                while learning.step():
                    pass
                learning.publish()
                actor.refresh()
                n_steps, n_human = learning.learner.n_steps, learning.learner.n_human
                if n_steps >= left[0]:
                    learning.save()
                    self._count(left.pop(0), n_human)
                    continue
                collector.episode(scenes[steps.n_episodes])
                learning.read()
            learning.close()


def directions(folder: Path) -> None:
    """Print where critics point on a person's steps, before and after learning, and where the actor went."""
    run = layout.opened(folder)
    model = ResidualTD3BC.load(folder / layout.RESIDUAL, device="cpu")
    episodes = [episode for episode in read_all(folder / layout.STEPS) if episode.human.any()]
    seen = torch.as_tensor(np.concatenate([episode.observations[:-1][episode.human] for episode in episodes]))
    corrected = torch.as_tensor(np.concatenate([episode.residuals[episode.human] for episode in episodes]))
    near = corrected.abs().amax(dim=1) <= REACH
    seen, corrected = seen[near], corrected[near]
    before = model.policy.actor.mu(seen).detach()
    needed = (corrected - before).mean(dim=0)
    print(f"{len(seen)} steps of a person; needed on the average {np.round(needed.numpy(), 2)} of the bound")

    def point(name: str) -> None:
        residual = before.clone().requires_grad_(True)
        torch.stack(model.policy.critic(seen, residual)).mean(dim=0).sum().backward()  # type: ignore[no-untyped-call]
        assert residual.grad is not None
        each = torch.nn.functional.cosine_similarity(residual.grad, corrected - before, dim=1)
        print(f"{name}: cosine of the means {cosine(residual.grad.mean(dim=0)):+.2f}, mean over steps {each.mean():+.2f}")

    def cosine(way: Tensor) -> float:
        return float(torch.nn.functional.cosine_similarity(way, needed, dim=0))

    point("critics of the simulator")
    learner = beside.build(run)
    model.policy.load_state_dict(learner.model.policy.state_dict())
    point(f"critics after {learner.n_updates} updates")
    moved = (model.policy.actor.mu(seen).detach() - before).mean(dim=0)
    print(f"the actor moved {np.round(moved.numpy(), 2)}, cosine {cosine(moved):+.2f}")


def line(name: str, solved: list[bool], before: list[bool], human: int | None = None) -> str:
    """Return a row of the table."""
    low, high = wilson(sum(solved), len(solved))
    table = paired_table(np.array(before), np.array(solved))
    by_hand = "" if human is None else f"{human:8d}"
    return (
        f"{name:>10}{100 * np.mean(solved):8.1f} %  ({100 * low:.0f} to {100 * high:.0f}){table.residual_only:+6d}"
        f"{-table.base_only:+5d}{by_hand}"
    )


def main() -> None:
    """Rehearse, and print a table per desk."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--desks", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--milestones", type=int, nargs="+", default=[2000, 5000, 10000], help="steps (%(default)s)")
    parser.add_argument("--scenes", type=int, default=100, help="on which success is counted (%(default)s)")
    parser.add_argument("--by-hand", type=float, default=0.0, help="share of episodes in which somebody takes over")
    parser.add_argument("--zeros", action="store_true", help="learn the zeros of the joints, and nothing else")
    parser.add_argument("--residual", type=Path, default=Path("data/train_residual/residual.zip"))
    parser.add_argument("--dataset", type=Path, help="demonstrations that are mixed in (none by default)")
    parser.add_argument("--set", nargs="*", default=[], help="of the section online: actor_lr=1e-4")
    parser.add_argument("--out", type=Path, default=Path("runs/desks"))
    parser.add_argument("--directions", type=Path, help="folder of a desk on which a person took over")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.directions is not None:
        directions(options.directions)
        return
    loaded = params_file.load(params_file.packaged(), "pick_place")
    sim, online = loaded.section("sim", SimParams), loaded.section("online", OnlineParams)
    online = dataclasses.replace(
        online, **{name: json.loads(value) for name, _, value in (x.partition("=") for x in options.set)}
    )
    if options.zeros:  # nothing else is learnt
        watched = dataclasses.replace(online.exploration, prefill_steps=max(options.milestones) + 1000)
        online = dataclasses.replace(online, exploration=watched)
    scenes = scene_seeds("validation")[5000 : 5000 + options.scenes]
    for number in options.desks:
        folder = options.out / f"desk-{number}-{options.by_hand:g}"
        run = layout.begin(folder, options.residual, online, options.dataset, fresh=False, seed=number)
        rehearsal = Rehearsal(run, sim, desk_of(number, sim), scenes, zeros=options.zeros)
        rehearsal.learn(options.milestones, options.by_hand)
        found, before = rehearsal.found, rehearsal.found["0"]["solved"]
        print(f"desk {number}, taken over in {100 * options.by_hand:g} % of the episodes", flush=True)
        print(f"{'steps':>10}{'success':>10}  (95 %)    gained lost  by hand")
        for name in ("simulator", "true zeros"):
            print(line(name, found[name], before))
        for n in [0, *options.milestones]:
            print(line(str(n), found[str(n)]["solved"], before, found[str(n)]["human"]), flush=True)


if __name__ == "__main__":
    main()
