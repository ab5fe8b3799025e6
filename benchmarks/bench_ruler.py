"""Objects that were measured once against objects that are seen all the time: how many scenes are solved through the wire?

    python benchmarks/bench_ruler.py data/export --scenes 60

In lockstep, as `deploy_check`: the numbers depend on no machine. `live`: what the twin knows. `carried`: what
`soarm drive` makes of poses measured at the start, exactly and a few millimetres off. `fixed`: the same left
where they were.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np

from soarm import params as params_file
from soarm.deployment import DeployParams, WireStats, drive_stack, wired
from soarm.runtime.bundle import Bundle
from soarm.runtime.carried import CarriedObjects
from soarm.runtime.objects import CalledObjects
from soarm.runtime.sensors import Sensor
from soarm.seeds import scene_seeds
from soarm.sim.params import SimParams
from soarm.spec import ENVIRONMENT_STATE
from soarm.twin.actuator import ActuatorName
from soarm.twin.sensing import Scene, Source, told


def measured(kind: Callable[..., Sensor], off_m: float) -> Source:
    """Return a source of objects that were measured at the start, each coordinate off by so much (standard deviation)."""
    rng = np.random.default_rng(0)

    def source(scene: Scene) -> dict[str, Sensor]:
        seen = np.asarray(scene.objects(), np.float64)
        places = [at[axis] for at in scene.task.elements.values() for axis in ("x", "y")]
        seen[places] += off_m * rng.normal(size=len(places))
        return {ENVIRONMENT_STATE: kind(scene.task, seen, scene.now)}

    return source


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--scenes", type=int, default=60)
    parser.add_argument("--servo-model", choices=["position", "sts3215"], default="position")
    options = parser.parse_args()
    logging.basicConfig(level=logging.WARNING)
    bundle = Bundle.open(options.bundle)
    params = params_file.load(Path("params.yaml"), bundle.task.name)
    sim, deploy = params.section("sim", SimParams), params.section("deploy_check", DeployParams)
    servo_model: ActuatorName = options.servo_model
    sources: dict[str, Source] = {
        "live": told,
        "carried": measured(CarriedObjects, 0.0),
        "carried, 2 mm off": measured(CarriedObjects, 0.002),
        "carried, 4 mm off": measured(CarriedObjects, 0.004),
        "fixed": measured(lambda task, seen, now: CalledObjects(task, lambda: seen, now), 0.0),
    }
    for name, source in sources.items():
        with wired(sim, deploy, servo_model) as arm:
            seeds = scene_seeds("test")[: options.scenes]
            episodes = list(arm.episodes(lambda _: drive_stack(bundle, "residual"), seeds, WireStats(), source))
        print(f"{name:18} {sum(episode.success for episode in episodes):3d} of {len(episodes)} solved", flush=True)


if __name__ == "__main__":
    main()
