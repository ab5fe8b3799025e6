"""Compare a bundle with the arm at hand. Every difference has a name, and is refused unless it is allowed by that name.

Checksums, networks and the specification's form are looked at when the bundle is opened. Here the arm comes in: units, rate,
the stiffness that gains and supply make, and torque. A softer arm, as far as one was measured, is named and driven. Not the
calibration: it brings every arm to the same degrees, and what a policy is trained on names none.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from soarm import arm
from soarm.errors import GateError
from soarm.hardware.config import ArmConfig
from soarm.motor import p_for, stall_torque, stiffness
from soarm.runtime.training_arm import TrainingArm
from soarm.spec import ACTION, STATE, PolicySpec

STIFFNESS_RATIO = 1.5
"""How much softer or stiffer than in training an arm may be without a word, and how much stiffer or weaker at all."""
MEASURED_RATIO = 2.85
"""How much softer it may be at all. `deploy_check` measured a factor of 2.81, servos of 17.8 N m/rad (P 32, 7.4 V) under a
policy trained with 50: 88 and 95 % of 100 scenes in two trainings, where the servos of training solved 97 %. The rest is the
0.1 V in which servos report their supply."""
CHECKS = ("features", "rate", "gains", "torque")
_GRIPPER = arm.GRIPPER


def faults(
    spec: PolicySpec, trained: TrainingArm | None, config: ArmConfig, volts: float, sensors: Collection[str]
) -> dict[str, list[str]]:
    """Return what does not fit: name of a check -> faults in words.

    Args:
        spec: Of the bundle.
        trained: The arm it was trained on; None in a bundle that does not say.
        config: The arm's settings.
        volts: What the servos measure [V].
        sensors: Keys of the features that sensors tell.
    """
    found: dict[str, list[str]] = {name: [] for name in CHECKS}
    for key in (STATE, ACTION):
        feature = spec.features.get(key)
        if feature is None or tuple(feature.names) != arm.FEATURE_NAMES or tuple(feature.units) != arm.UNITS:
            found["features"].append(f"{key} is {feature}; this arm has {arm.FEATURE_NAMES} in {arm.UNITS}")
    missing = sorted(key for key in spec.features if key not in (STATE, ACTION, *sensors))
    if missing:
        found["features"].append(f"the policy wants {missing}; this runtime gives {' and '.join([STATE, *sensors])}")
    if trained is None:
        found["gains"].append(
            "the bundle does not say on which arm it was trained (training_arm.json), as one of a base alone never does: hold "
            "the arm's gains against those of the demonstrations. What the chain trained says it: `soarm export`"
        )
        return found
    if trained.control_hz != spec.control_hz:
        found["rate"].append(
            f"the policy was trained at {trained.control_hz} actions per second (training_arm.json) and is specified for "
            f"{spec.control_hz} (spec.json): the files are of two trainings; export again"
        )
    found["gains"] += _stiffness_faults(trained, config, volts)
    weakest = min(stall_torque(limit, volts) for i, limit in enumerate(config.gains.torque_limit) if i != _GRIPPER)
    if weakest < trained.force_limit_nm[0] / STIFFNESS_RATIO:
        found["torque"].append(
            f"at {volts:.1f} V the weakest joint has {weakest:.2f} N m, in training it had {trained.force_limit_nm[0]:g}"
        )
    return found


def remarks(trained: TrainingArm | None, config: ArmConfig, volts: float) -> list[str]:
    """Return, in words, what differs from training and may be driven, as far as was measured.

    Args:
        trained: The arm the bundle was trained on; None in a bundle that does not say.
        config: The arm's settings.
        volts: What the servos measure [V].
    """
    if trained is None:
        return []
    low, _ = trained.position_gain_nm_per_rad
    found = np.array([stiffness(p, volts) for p in config.gains.p])
    soft = (found < low / STIFFNESS_RATIO) & (found >= low / MEASURED_RATIO)
    if not soft.any():
        return []
    return [
        f"the arm is {low / float(found[soft].min()):.1f} times softer than in training, {low:g} N m/rad: "
        f"{_joints(found, config, soft)}. Measured at 2.8 times, on the emulated arm, 100 scenes each: pick_place "
        "88 to 95 % where the stiffness of training solved 97, push 64 in place of 88, stack 76 in place of 93 (deploy_check)"
    ]


def require(found: dict[str, list[str]], allowed: Collection[str]) -> list[str]:
    """Refuse what does not fit and is not allowed; return, in words, what is allowed all the same.

    Args:
        found: See `faults`.
        allowed: Names of checks.

    Raises:
        GateError: Names every fault and how to allow it, or a name that is no check.
    """
    unknown = sorted(set(allowed) - set(CHECKS))
    if unknown:
        raise GateError(f"there is no check named {', '.join(unknown)}; known are {', '.join(CHECKS)}")
    refused = [f"{name}: {text}" for name, texts in found.items() if name not in allowed for text in texts]
    if refused:
        names = " ".join(dict.fromkeys(f"--allow {text.partition(':')[0]}" for text in refused))
        raise GateError("\n  ".join(["this bundle was not made for this arm:", *refused]) + f"\nGo on all the same: {names}")
    return [f"{name} (allowed): {text}" for name, texts in found.items() for text in texts]


def _stiffness_faults(trained: TrainingArm, config: ArmConfig, volts: float) -> list[str]:
    low, high = trained.position_gain_nm_per_rad
    found = np.array([stiffness(p, volts) for p in config.gains.p])
    wrong = (found < low / MEASURED_RATIO) | (found > high * STIFFNESS_RATIO)
    if not wrong.any():
        return []
    wanted = p_for((low + high) / 2, volts)
    return [
        f"trained at {low:g} to {high:g} N m/rad; at {volts:.1f} V this arm has {_joints(found, config, wrong)}, and what is "
        f"softer than {low / MEASURED_RATIO:.1f} was not measured. P {wanted} would be it: raise it in small steps and watch "
        "for shaking, or train with the arm's stiffness (sim.physics.position_gain)"
    ]


def _joints(found: NDArray[np.float64], config: ArmConfig, which: NDArray[np.bool_]) -> str:
    """Return those of the joints by name, with stiffness and P register."""
    each = zip(arm.JOINT_NAMES, found, config.gains.p, which, strict=True)
    return ", ".join(f"{name} {value:.1f} (P {p})" for name, value, p, counts in each if counts)
