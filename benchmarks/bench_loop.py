"""The control loop on the twin, in real time: is every deadline met, how late do ticks begin, and is the task done?

    python benchmarks/bench_loop.py data/export --seconds 60                 # one long run
    python benchmarks/bench_loop.py data/export --scenes 20 --servo-model position   # success in real time

The twin runs in a process of its own, as `soarm twin` does; its servos have torque from the start, so that the arm stands
where the scene has it.
"""

from __future__ import annotations

import argparse
import logging
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from soarm.hardware.calibration import Calibration
from soarm.hardware.config import ArmConfig
from soarm.runtime import drive, gate
from soarm.runtime.bundle import RESIDUAL, Bundle
from soarm.runtime.drive import DriveConfig, run
from soarm.runtime.loop import RunReport
from soarm.runtime.objects import FileObjects
from soarm.runtime.onnx_policy import Which
from soarm.seeds import scene_seeds
from soarm.spec import ENVIRONMENT_STATE


def one(bundle: Bundle, scene: int, options: argparse.Namespace, folder: Path) -> tuple[RunReport, bool]:
    """Run one scene and return the report, and whether the task was done."""
    port, objects, calibration = folder / f"arm{scene}", folder / f"objects{scene}.json", folder / "arm.json"
    twin = [sys.executable, "-u", "-m", "soarm", "twin", "--port", str(port), "--objects", str(objects)]
    twin += ["--servo-model", options.servo_model]
    twin += ["--calibration", str(calibration), "--scene", str(scene), "--torque-at-power-up"]
    with subprocess.Popen(twin, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        while not objects.exists():
            assert process.poll() is None, "the twin could not be started"
        which: Which = options.which or ("residual" if RESIDUAL in bundle.sessions else "base")
        settings = DriveConfig(
            bundle,
            which,
            {ENVIRONMENT_STATE: FileObjects(bundle.task, objects)},
            options.seconds,
            options.bus_hz,
            allow=gate.CHECKS,
            park=False,
            deadman=False,
            keep_going=True,
        )
        try:
            report = run(settings, str(port), Calibration.load(calibration), ArmConfig())
        finally:
            process.terminate()
        return report, bundle.task.goal.words in process.stdout.read()


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--scenes", type=int, default=1)
    parser.add_argument("--bus-hz", type=int, help="twice the policy's rate by default")
    parser.add_argument("--servo-model", choices=["position", "sts3215"], default="sts3215")
    parser.add_argument("--fade", type=float, default=drive.FADE_S, help="from chunk to chunk [s]")
    parser.add_argument("--which", choices=["base", "residual"])
    options = parser.parse_args()
    logging.basicConfig(level=logging.WARNING)
    bundle = Bundle.open(options.bundle)
    drive.FADE_S = options.fade
    lateness, missed, solved, clamped, ticks = [], 0, 0, 0, 0
    with tempfile.TemporaryDirectory() as folder:
        for scene in scene_seeds("validation")[: options.scenes]:
            report, success = one(bundle, scene, options, Path(folder))
            lateness += report.lateness_s
            missed, solved, clamped, ticks = (
                missed + report.missed,
                solved + success,
                clamped + report.clamped,
                ticks + report.ticks,
            )
            print(f"scene {scene}: {'solved' if success else 'not solved'}; {report.cause}", flush=True)
    late_ms = 1e3 * np.array(lateness)
    p50, p99 = np.percentile(late_ms, [50, 99])
    print(f"{ticks} ticks, {missed} deadlines missed; lateness p50 {p50:.2f} ms, p99 {p99:.2f} ms, max {late_ms.max():.2f} ms")
    print(
        f"clamped {clamped / ticks:.1%} of the ticks; {solved} of {options.scenes} scenes solved; load "
        f"{os.getloadavg()[0]:.1f}"
    )


if __name__ == "__main__":
    main()
