"""`soarm twin`: an SO-ARM100 in MuJoCo behind an emulated servo bus, for everybody who has no arm at hand.

    soarm twin --port /tmp/arm --objects /tmp/objects.json --calibration arm.json
    soarm doctor --port /tmp/arm --calibration arm.json                         # in another shell, as with a real arm
    soarm twin --port /tmp/arm --law sts3215 --volts 5 --fault sag:value=4.2,at_s=20

The port takes whatever takes a serial port: this project's commands, LeRobot's, Feetech's. It runs until Ctrl-C.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from soarm import params as params_file
from soarm.errors import SoarmError, TwinError
from soarm.hardware.calibration import Calibration
from soarm.sim.params import SimParams
from soarm.twin.faults import ON_REPLIES, ON_THE_ARM, Fault
from soarm.twin.servo import Unknowns
from soarm.twin.twin import Twin, TwinConfig

logger = logging.getLogger("soarm.twin")
_LOOK_S = 1.0 / 60


def main(arguments: Sequence[str] | None = None, wait: Callable[[float], None] = time.sleep) -> int:
    """Run the command line and return its exit status: 0 after Ctrl-C, 1 where the twin cannot be set up.

    Args:
        arguments: Without the program's name; None takes those of the process.
        wait: Waits so many seconds.
    """
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    try:
        sim = params_file.load(options.params).section("sim", SimParams)
        with Twin.start(sim, _config(options)) as twin:
            twin.reset(options.scene)
            for fault in map(Fault.parse, options.fault):
                twin.inject(fault)
            for name, port in zip(("arm", "leader"), twin.ports, strict=False):
                logger.info("%s on %s", name, port)
            logger.info("scene %d, law %s, %.1f V; Ctrl-C ends it", options.scene, options.law, options.volts)
            _watch(twin, options.objects, wait)
    except SoarmError as error:
        logger.error("%s", error)
        return 1
    except KeyboardInterrupt:
        logger.info("the twin is gone")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="soarm twin", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--port", type=Path, action="append", default=[], help="link to the port; a second one for a leader")
    parser.add_argument("--objects", type=Path, help="file that says where cube and bin are, for `soarm drive --objects`")
    parser.add_argument("--calibration", type=Path, help="how the servos are mounted; written if it does not exist")
    parser.add_argument("--scene", type=int, default=0, help="seed of the scene (%(default)s)")
    parser.add_argument("--law", choices=["position", "sts3215"], default="sts3215", help="the servos (%(default)s)")
    parser.add_argument("--volts", type=float, default=7.4, help="of the supply (%(default)s)")
    parser.add_argument("--clock", choices=["wall", "lockstep"], default="wall", help="what moves it (%(default)s)")
    parser.add_argument("--usb-delay", type=float, default=0.001, help="of the adapter [s] (%(default)s)")
    parser.add_argument("--torque-at-power-up", action="store_true", help="servos start with torque (sources disagree)")
    parser.add_argument("--goal-enables-torque", action="store_true", help="writing a goal switches torque on (the same)")
    kinds = ", ".join([*ON_REPLIES, *ON_THE_ARM])
    parser.add_argument(
        "--fault", action="append", default=[], help=f"as in mute:servo_id=3,at_s=10,count=5; any number of: {kinds}"
    )
    parser.add_argument("--params", type=Path, default=Path("params.yaml"), help="where the simulator is described")
    return parser


def _config(options: argparse.Namespace) -> TwinConfig:
    file = options.calibration
    if file is not None and not file.exists():
        Calibration.nominal().save(file)
        logger.info("wrote the twin's calibration to %s", file)
    return TwinConfig(
        law=options.law,
        clock=options.clock,
        volts=options.volts,
        calibration=Calibration.nominal() if file is None else Calibration.load(file),
        arms=2 if len(options.port) > 1 else 1,
        line_timing=options.clock == "wall",
        usb_delay_s=options.usb_delay if options.clock == "wall" else 0.0,
        unknowns=Unknowns(torque_at_power_up=options.torque_at_power_up, goal_enables_torque=options.goal_enables_torque),
        paths=tuple(options.port),
    )


def _watch(twin: Twin, objects: Path | None, wait: Callable[[float], None]) -> None:
    """Keep the file of objects fresh, and say once when the cube lies in the bin."""
    said = False
    while twin.running:
        wait(_LOOK_S)
        if objects is not None:
            part = objects.with_name(f"{objects.name}.{os.getpid()}.part")
            part.write_text(json.dumps({"objects": twin.objects().tolist()}), encoding="utf-8")
            part.replace(objects)
        outcome = twin.outcome()
        if outcome is not None and outcome.terminated and not said:
            logger.info("the cube lies in the bin, after %.1f s", twin.time_s())
            said = True
    raise TwinError("the twin stopped serving its port; what went wrong stands above")


if __name__ == "__main__":
    sys.exit(main())
