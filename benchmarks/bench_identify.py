"""What `soarm identify` finds of arms whose physics are known: emulated ones, in lockstep, through driver and safety chain.

    python benchmarks/bench_identify.py                        # five arms, each with stiffness, friction and delay of its own
    python benchmarks/bench_identify.py --servos               # the STS3215's motor law, fitted by both laws of the simulator
    python benchmarks/bench_identify.py --bundle examples/bundle   # gap per joint of episodes played again, before and after

Delay: 0 to 66 ms. Stiffness: 15 to 60 N m/rad per joint. Friction: 0.02 to 0.3 N m.
"""

from __future__ import annotations

import argparse
import dataclasses
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from soarm import arm, params
from soarm.deployment import DeployParams, gap_per_joint, wired
from soarm.hardware.calibration import Calibration
from soarm.hardware.config import ArmConfig
from soarm.identification.identified import Identified, as_logged, identify
from soarm.identification.model import physics_of
from soarm.identification.settings import applied
from soarm.rollout import Episode, rollout
from soarm.runtime import log
from soarm.runtime.bundle import Bundle
from soarm.runtime.excite import ExciteConfig, excite
from soarm.runtime.lockstep import Clock
from soarm.runtime.onnx_policy import load_policy
from soarm.seeds import scene_seeds
from soarm.sim.batch_env import BatchSim
from soarm.sim.params import SimParams
from soarm.twin.actuator import ActuatorName
from soarm.twin.twin import Twin
from soarm.twin.twin_config import AS_SIMULATED, TwinConfig, driver_config

Floats = NDArray[np.float64]


def desk(sim: SimParams, seed: int) -> SimParams:
    """Return an arm of a seed."""
    rng = np.random.default_rng(seed)
    gain, friction = rng.uniform(15, 60, 6) / sim.physics.position_gain[0], rng.uniform(0.02, 0.3, 6)
    delay_s = float(rng.uniform(0, 0.066))
    servos = dataclasses.replace(sim.servos, gain_factor=six(gain), friction_nm=six(friction))
    return dataclasses.replace(sim, servos=servos, physics=dataclasses.replace(sim.physics, latency_s=(delay_s, delay_s)))


def six(values: Floats) -> tuple[float, float, float, float, float, float]:
    """Return an array as the parameters want it."""
    a, b, c, d, e, f = values.tolist()
    return a, b, c, d, e, f


def swing(sim: SimParams, config: TwinConfig, seconds: float, p: int = 32) -> log.Run:
    """Play the exciting motion on an emulated arm, and return the log."""
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder, Twin.start(sim, config) as twin:
        how = ExciteConfig(Path(folder) / "swing.log", seconds, bus_hz=30, deadman=False)
        usual = ArmConfig(gains=dataclasses.replace(ArmConfig().gains, p=(p,) * 6))
        settings = driver_config(usual, config.servo_model)
        report = excite(how, twin.ports[0], Calibration.nominal(), settings, clock.now, clock.sleep)
        assert report.ended_well, report.lines()
        return log.read(how.log)


def position_twin() -> TwinConfig:
    """Return an arm with the simulator's own servos."""
    return TwinConfig(registers=AS_SIMULATED)


def found_by(sim: SimParams, runs: Sequence[log.Run]) -> tuple[Identified, float]:
    """Return what is found, and how long that took [s]."""
    began_s = time.perf_counter()
    return identify(runs, sim, n_threads=2), time.perf_counter() - began_s


def gaps(identified: Identified) -> str:
    """Return the gap before and after in words."""
    before, after = (float(np.sqrt((gap**2).mean())) for gap in (identified.gap_before, identified.gap_after))
    return f"gap {before:.2f} -> {after:.2f} deg, {identified.explained_in_all:.0%} explained"


def of_desks(sim: SimParams, seeds: Sequence[int], seconds: float) -> None:
    """Print true and found for arms of some seeds."""
    print(f"{seconds:g} s of motion each; found in place of true")
    for seed in seeds:
        true = desk(sim, seed)
        of_true = physics_of(true)
        identified, took_s = found_by(sim, [swing(true, position_twin(), seconds)])
        found = identified.fitted.physics
        each = zip(arm.JOINT_NAMES, found.gain, of_true.gain, found.friction_nm, of_true.friction_nm, strict=True)
        delays = f"{1e3 * found.delay_s:.1f} for {1e3 * of_true.delay_s:.1f} ms"
        print(f"seed {seed}: delay {delays}; {gaps(identified)}; {took_s:.0f} s")
        for name, gain, true_gain, friction, true_friction in each:
            print(
                f"    {name:<14} stiffness {gain:5.1f} for {true_gain:5.1f} ({gain / true_gain - 1:+.1%})   "
                f"friction {friction:.3f} for {true_friction:.3f}"
            )
        off = float(np.abs(found.gain / of_true.gain - 1).max())
        print(f"    most: stiffness {off:.1%}, delay {1e3 * abs(found.delay_s - of_true.delay_s):.1f} ms", flush=True)


def of_servos(sim: SimParams, seconds: float) -> None:
    """Print what both laws of the simulator find of the STS3215's."""
    for p, volts in ((32, 7.4), (16, 7.4), (32, 5.0)):
        run = swing(sim, TwinConfig(servo_model="sts3215", volts=volts), seconds, p)
        for law in ("position", "sts3215"):
            servos = dataclasses.replace(sim.servos, law=law)
            by = as_logged(dataclasses.replace(sim, servos=servos), [run])
            identified, took_s = found_by(by, [run])
            found = identified.fitted.physics
            print(
                f"P {p}, {volts} V, by the law {law}: stiffness {found.gain.min():.1f} to {found.gain.max():.1f}, damping "
                f"{found.damping.min():.2f} to {found.damping.max():.2f}, inertia {found.armature:.4f}, friction "
                f"{found.friction_nm.min():.3f} to {found.friction_nm.max():.3f}, delay {1e3 * found.delay_s:.1f} ms; "
                f"{gaps(identified)}; {took_s:.0f} s",
                flush=True,
            )


def deploy_params(n: int) -> DeployParams:
    """Return how episodes go through the wire."""
    return DeployParams(n_scenes=n, n_servo_scenes=n, n_rows=n, n_threads=1, n_replayed=n, p=32, volts=7.4)


def played(sim: SimParams, bundle: Bundle, n: int) -> list[Episode]:
    """Return episodes of a bundle in a simulator."""
    return list(rollout(BatchSim(sim, n), load_policy(bundle, n, "residual"), scene_seeds("test")[:n]))


def of_replays(sim: SimParams, bundle: Bundle, seeds: Sequence[int], seconds: float, n: int) -> None:
    """Print how far joints go from where the simulator has them, given the same targets, before and after."""
    for seed in seeds:
        servo: ActuatorName
        for servo in ("position", "sts3215"):
            true = desk(sim, seed) if servo == "position" else sim
            by = sim if servo == "position" else dataclasses.replace(sim, servos=dataclasses.replace(sim.servos, law=servo))
            run = swing(true, position_twin() if servo == "position" else TwinConfig(servo_model=servo), seconds)
            by = as_logged(by, [run])
            identified, _ = found_by(by, [run])
            with wired(true, deploy_params(n), servo) as robot:
                for when, simulator in (("before", sim), ("after", applied(by, identified.fitted.physics))):
                    gap = gap_per_joint([robot.follow(episode) for episode in played(simulator, bundle, n)])
                    each = ", ".join(f"{name} {x:.2f}" for name, x in gap.items())
                    print(f"seed {seed}, {servo}, {when}: {each}", flush=True)


def main() -> None:
    """Print the tables that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--servos", action="store_true")
    parser.add_argument("--bundle", type=Path)
    parser.add_argument("--scenes", type=int, default=10)
    options = parser.parse_args()
    sim = params.load(params.packaged()).section("sim", SimParams)
    if options.servos:
        of_servos(sim, options.seconds)
    elif options.bundle is not None:
        of_replays(sim, Bundle.open(options.bundle), options.seeds, options.seconds, options.scenes)
    else:
        of_desks(sim, options.seeds, options.seconds)


if __name__ == "__main__":
    main()
