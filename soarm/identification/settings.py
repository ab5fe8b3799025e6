"""What was found, as settings of the simulator: `sim.servos` and `sim.physics.latency_s` of params.yaml."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from soarm.identification.model import physics_of
from soarm.identification.physics import ArmPhysics, Floats
from soarm.sim.params import SimParams

_DIGITS = 4


def applied(sim: SimParams, found: ArmPhysics) -> SimParams:
    """Return a simulator whose arm has these physics."""
    stiffer = np.array(sim.servos.gain_factor) * found.gain / physics_of(sim).gain
    plain = dataclasses.replace(
        sim.servos,
        gain_factor=_six(stiffer),
        damping_factor=_six(np.ones_like(stiffer)),
        armature_kgm2=_rounded(found.armature),
        friction_nm=_six(found.friction_nm),
    )
    usual = physics_of(dataclasses.replace(sim, servos=plain)).damping
    servos = dataclasses.replace(plain, damping_factor=_six(found.damping / usual))
    delay_s = round(found.delay_s, _DIGITS)
    return dataclasses.replace(sim, servos=servos, physics=dataclasses.replace(sim.physics, latency_s=(delay_s, delay_s)))


def settings(sim: SimParams, found: ArmPhysics) -> dict[str, Any]:
    """Return what of the section `sim` makes its arm have these physics, as plain numbers and lists."""
    made = applied(sim, found)
    names = ("latency_s", "volts") if sim.servos.law == "sts3215" else ("latency_s",)
    servos = {name: list(value) if isinstance(value, tuple) else value for name, value in vars(made.servos).items()}
    return {"sim": {"physics": {name: list(getattr(made.physics, name)) for name in names}, "servos": servos}}


def snippet(settings: dict[str, Any]) -> str:
    """Return settings as YAML, for a profile of params.yaml."""
    lines = []
    for section, content in settings["sim"].items():
        lines += [f"  {section}:", *(f"    {name}: {'null' if value is None else value}" for name, value in content.items())]
    return "\n".join(["sim:", *lines]) + "\n"


def _six(values: Floats) -> tuple[float, float, float, float, float, float]:
    a, b, c, d, e, f = (_rounded(value) for value in values.tolist())
    return a, b, c, d, e, f


def _rounded(value: float) -> float:
    """Return a number with four digits, without a needless sign of zero."""
    return float(f"{value:.{_DIGITS}g}") + 0.0
