"""A camera over the table, calibrated by the emulated arm: how far off is it, and how many scenes does a policy solve with it?

    python benchmarks/bench_track.py examples/bundle --camera front --scenes 100

All of it in lockstep, on the twin's rendered camera with noise (4 of 255 per value), blur (0.6 px) and one control period of
delay. The calibration is that of `soarm calibrate-table`: the arm sets the cube down on spots over the wire, and the camera
looks; the bin stands out of the way meanwhile. `--zeros` turns the twin's joints against what the driver believes. Before a
scene the tracker sees it with the arm in its rest pose, as it does on a table. After a scene that was not solved the arm is
connected anew: its driver may have lowered the torque of a gripper that pressed for long.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import logging
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from soarm import arm as joints
from soarm import kinematics
from soarm import params as params_file
from soarm.deployment import DriveStack, WiredArm, WireStats, drive_stack
from soarm.errors import ObservationError
from soarm.hardware.calibration import Calibration
from soarm.hardware.config import ArmConfig
from soarm.hardware.driver import Arm
from soarm.runtime.bundle import Bundle
from soarm.runtime.lockstep import Clock
from soarm.runtime.sensors import Sensor
from soarm.runtime.tracked import TrackedObjects
from soarm.seeds import scene_seeds
from soarm.sim.cameras import PolicyCameras
from soarm.sim.look import draw_look
from soarm.sim.params import CameraParams, SimParams
from soarm.spec import ENVIRONMENT_STATE
from soarm.table_camera.calibrating import calibrate
from soarm.table_camera.colours import Colour, as_grey
from soarm.table_camera.drawing import drawn
from soarm.table_camera.moved import N_AVERAGED, Reference, mean_of
from soarm.table_camera.table import Table
from soarm.table_camera.tracker import CameraTracker, Tracker
from soarm.tasks.registry import find
from soarm.tasks.tabletop import CUBE
from soarm.twin.rendering import RenderedCamera, RenderedCameras
from soarm.twin.sensing import Scene, told
from soarm.twin.twin import Twin
from soarm.twin.twin_config import AS_SIMULATED, TwinConfig, driver_config

TASK = find("pick_place")
MOVED_M = 0.01
Floats = np.ndarray[tuple[int, ...], np.dtype[np.float64]]


def with_camera(sim: SimParams, name: str, size_px: tuple[int, int]) -> SimParams:
    """Return the simulator with one camera, its pictures noisy, blurred and late."""
    spread = dataclasses.replace(sim.look.picture, noise=(4.0, 4.0), blur_px=(0.6, 0.6), latency_steps=(1, 1))
    look = dataclasses.replace(sim.look, picture=spread)
    return dataclasses.replace(sim, cameras={name: CameraParams(*size_px)}, look=look)


@contextlib.contextmanager
def connected(sim: SimParams, zeros_deg: list[float], seed: int) -> Iterator[tuple[Twin, Arm, RenderedCameras, Clock]]:
    """Start a twin whose joints are turned against what its driver believes, and hold its arm."""
    believed, clock = Calibration.nominal(), Clock()
    turned = [
        dataclasses.replace(joint, zero_ticks=joint.zero_ticks + off * joint.ticks_per_unit)
        for joint, off in zip(believed.joints, [*zeros_deg, 0.0], strict=True)
    ]
    config = driver_config(ArmConfig(), "position")
    twin_config = TwinConfig(calibration=Calibration(tuple(turned)), registers=AS_SIMULATED)
    with Twin.start(sim, twin_config) as twin, RenderedCameras(twin, sim) as cameras:
        twin.reset(seed)
        with Arm.connect(twin.ports[0], believed, config, sleep=clock.sleep) as driver:
            driver.hold()
            driver.activate()
            yield twin, driver, cameras, clock


def calibrated(sim: SimParams, name: str, zeros_deg: list[float], seed: int) -> Table:
    """Return the calibration that the emulated arm makes; the cube is put between its fingers, 5 mm and 3 degrees askew."""
    aside: dict[str, Any] = {"bin_radius_m": (0.4, 0.4), "bin_angle_deg": (85.0, 85.0)}
    task = dataclasses.replace(sim.task, **aside)
    with connected(dataclasses.replace(sim, task=task), zeros_deg, seed) as (twin, driver, cameras, clock):

        def put(_: str) -> None:
            objects, (tcp_m, rotation) = twin.objects(), kinematics.forward(twin.q())
            opening = -rotation[:2, 0]
            objects[:2] = tcp_m[:2] + 0.01 * opening + 0.005 * np.array([-opening[1], opening[0]])
            askew = 4 * (np.arctan2(opening[1], opening[0]) + np.radians(3.0))
            objects[3:5] = np.cos(askew), np.sin(askew)
            twin.reset(seed, objects, twin.q())

        return calibrate(driver, RenderedCamera(cameras.take, name, clock.now), CUBE, Colour(216.0), put)


class AtRest:
    """Pictures of a scene with the arm in its rest pose."""

    def __init__(self, sim: SimParams, name: str) -> None:
        self._sim, self._name, self._cameras = sim, name, PolicyCameras(sim)
        self._rest = joints.to_radians(np.array(ArmConfig().park))

    def pictures(self, twin: Twin, n: int) -> list[np.ndarray[tuple[int, ...], np.dtype[np.uint8]]]:
        """Return so many pictures of the twin's scene."""
        seed, _, qpos, mocap_pos = twin.moment()
        qpos[: joints.N_JOINTS] = self._rest
        look = draw_look(self._sim, seed)
        return [self._cameras.render(qpos, mocap_pos, look, i)[self._name] for i in range(n)]


def accuracy(sim: SimParams, name: str, table: Table, seeds: Sequence[int]) -> None:
    """Print how far off cube and bin are, the arm at rest, and how long a picture takes."""
    rest, errors, heights, turns, bins, seconds, hidden = AtRest(sim, name), [], [], [], [], [], 0
    with Twin.start(sim) as twin:
        for seed in seeds:
            twin.reset(seed)
            tracker = Tracker(TASK, table)
            for i, picture in enumerate(rest.pictures(twin, 8)):
                began = time.process_time()
                sighting = tracker.see(picture, i / 30)
                seconds.append(time.process_time() - began)
            if sighting.objects is None:
                hidden += 1
                continue
            true = twin.objects()
            errors.append(np.linalg.norm(sighting.objects[:2] - true[:2]))
            heights.append(abs(sighting.objects[2] - true[2]))
            yaw = [float(np.degrees(np.arctan2(values[4], values[3]))) / 4 for values in (sighting.objects, true)]
            turns.append(abs((yaw[0] - yaw[1] + 45) % 90 - 45))
            bins.append(np.linalg.norm(sighting.objects[5:7] - true[5:7]))
    for what, values, unit in (
        ("cube", 1e3 * np.array(errors), "mm"),
        ("z", 1e3 * np.array(heights), "mm"),
        ("yaw", np.array(turns), "deg"),
        ("bin", 1e3 * np.array(bins), "mm"),
    ):
        most = np.percentile(values, 95)
        print(f"{what:5} median {np.median(values):.2f} {unit}, 95 % below {most:.2f}, at most {values.max():.2f}")
    print(f"not seen whole, the arm at rest: {hidden} of {len(seeds)} scenes")
    took_ms = 1e3 * np.array(seconds)
    line = f"median {np.median(took_ms):.1f} ms, 95 % below {np.percentile(took_ms, 95):.1f}"
    print(f"a picture of {table.camera.width_px} x {table.camera.height_px} px takes one core {line}")


def moved(sim: SimParams, name: str, table: Table, seeds: Sequence[int]) -> None:
    """Print what is said of a camera that was moved by a centimetre in three directions, and of one that was not."""
    reference = Reference(table)
    model_at = {"front": ([0.36, -0.66, 0.42], [0.0, -0.17, 0.085]), "top": ([0.0, -0.21, 0.75], [0.0, -0.2, 0.0])}[name]
    for axis, off in (("not at all", (0, 0, 0)), ("x", (1, 0, 0)), ("y", (0, 1, 0)), ("z", (0, 0, 1))):
        at, target = (tuple((np.array(one) + MOVED_M * np.array(off)).tolist()) for one in model_at)
        camera = dataclasses.replace(sim.cameras[name], position_m=at, target_m=target)
        turned = dataclasses.replace(sim, cameras={name: camera})
        rest, said = AtRest(turned, name), []
        with Twin.start(turned) as twin:
            for seed in seeds:
                twin.reset(seed)
                said.append(reference.shift(mean_of([as_grey(one) for one in rest.pictures(twin, N_AVERAGED)])))
        n = sum(shift.moved for shift in said)
        known = sum(shift.is_known for shift in said)
        sizes = [1e3 * shift.table_m for shift in said if shift.is_known]
        on_table = f"on the table {np.median(sizes):.1f} mm in the median"
        print(f"moved {axis:10} said moved in {n:2d} of {len(said)}, known in {known}; {on_table}")


def driven(
    bundle: Bundle,
    sim: SimParams,
    name: str,
    table: Table,
    seeds: Sequence[int],
    zeros_deg: list[float],
    who: Literal["tracker", "truth"],
) -> int:
    """Return how many scenes the bundle solves, one run each; prints those that it does not."""
    rest, failed, waiting = AtRest(sim, name), [], list(seeds)

    def stack(seed: int) -> DriveStack:
        return drive_stack(bundle, "residual")

    while waiting:
        stats = WireStats()
        with connected(sim, zeros_deg, waiting[0]) as (twin, driver, cameras, _):

            def source(scene: Scene, twin: Twin = twin) -> dict[str, Sensor]:
                tracker = Tracker(TASK, table)
                for i, picture in enumerate(rest.pictures(twin, 4)):
                    tracker.see(picture, scene.now() - 1.0 + i / 30)
                seen = CameraTracker(tracker, RenderedCamera(scene.pictures, name, scene.now))
                return {ENVIRONMENT_STATE: TrackedObjects(scene.task, seen, scene.now)}

            wired = WiredArm(sim, twin, driver, cameras)
            try:
                for episode in wired.episodes(stack, list(waiting), stats, source if who == "tracker" else told):
                    said = "solved" if episode.success else "not solved"
                    print(f"{who}: scene {waiting.pop(0)} {said}, {len(episode)} steps", flush=True)
                    if not episode.success:
                        failed.append((episode.seed, *stats.stops))
                        break
            except ObservationError as error:  # hidden from the beginning: the arm does not move
                failed.append((waiting.pop(0), str(error)))
    print(f"{who}: {len(seeds) - len(failed)} of {len(seeds)} scenes solved", f"not {failed}" if failed else "", flush=True)
    return len(seeds) - len(failed)


def draw(sim: SimParams, name: str, table: Table, seed: int, target: Path) -> None:
    """Write a picture of what is seen in a scene as `soarm track` shows it."""
    import cv2

    with Twin.start(sim) as twin, RenderedCameras(twin, sim) as cameras:
        twin.reset(seed)
        tracker = Tracker(TASK, table)
        for i, picture in enumerate(AtRest(sim, name).pictures(twin, 8)):
            tracker.see(picture, i / 30)
        picture = cameras.take()[name]
        cv2.imwrite(str(target), drawn(picture, tracker.see(picture, 1.0), table)[..., ::-1])


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--camera", choices=["front", "top"], default="front")
    parser.add_argument("--scenes", type=int, default=100)
    parser.add_argument("--zeros", type=float, nargs=5, default=[0.0] * 5, help="of the five joints [deg]")
    parser.add_argument("--calibrate-on", type=int, default=0, help="scene of the calibration")
    parser.add_argument("--size", type=int, nargs=2, default=[640, 480], help="of the pictures [px]")
    parser.add_argument("--first", type=int, default=0, help="of the scenes, to go through them in parts")
    parser.add_argument("--table", type=Path, help="calibration to use, or to write where there is none")
    parser.add_argument("--truth", action="store_true", help="drive once more on where the objects truly are")
    parser.add_argument("--picture", type=Path, help="write what is seen in a scene, drawn in")
    options = parser.parse_args()
    logging.basicConfig(level=logging.ERROR)
    bundle = Bundle.open(options.bundle)
    sim = params_file.load(Path("params.yaml"), TASK.name).section("sim", SimParams)
    sim, seeds = (
        with_camera(sim, options.camera, (options.size[0], options.size[1])),
        scene_seeds("test")[options.first : options.first + options.scenes],
    )
    if options.table is not None and options.table.exists():
        table = Table.load(options.table)
    else:
        table = calibrated(sim, options.camera, options.zeros, options.calibrate_on)
        if options.table is not None:
            table.save(options.table)
    print(f"camera {options.camera}, zeros off by {options.zeros} deg; {table.test.words()}", flush=True)
    if options.picture is not None:
        draw(sim, options.camera, table, seeds[0], options.picture)
    if not any(options.zeros) and not options.first:
        accuracy(sim, options.camera, table, seeds[:60])
        moved(sim, options.camera, table, seeds[:10])
    driven(bundle, sim, options.camera, table, seeds, options.zeros, "tracker")
    if options.truth:
        driven(bundle, sim, options.camera, table, seeds, options.zeros, "truth")


if __name__ == "__main__":
    main()
