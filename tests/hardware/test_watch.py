from __future__ import annotations

import json

import numpy as np
import pytest

from soarm import arm
from soarm.errors import FaultError
from soarm.hardware.config import ArmConfig, Gains
from soarm.hardware.registers import Status, Telemetry
from soarm.hardware.watch import Severity, Watch

WELL = Telemetry(2048, 0, 0.1, 7.4, 30, Status(0), False, 100.0)
HEARD = [0] * 6


def judged(watch, t_s=0.0, joint=0, misses=HEARD, **changes):
    telemetry = [WELL] * 6
    telemetry[joint] = WELL._replace(**changes)
    return watch.judge(t_s, telemetry, misses)


def test_a_well_arm_has_nothing_to_complain_of():
    assert judged(Watch(ArmConfig())) == []


@pytest.mark.parametrize("status", [Status.OVERLOAD, Status.CURRENT, Status.ANGLE])
def test_what_a_servo_protects_itself_from_is_a_fault(status):
    ((severity, joint, cause),) = judged(Watch(ArmConfig()), joint=2, status=status)

    assert (severity, joint) == (Severity.FAULT, 2)
    assert cause == f"reports {status.name}"


def test_a_silent_joint_is_judged_by_its_silence_alone():
    watch = Watch(ArmConfig())

    assert judged(watch, misses=[0, 0, 2, 0, 0, 0], joint=2, temperature_c=90) == []
    assert judged(watch, misses=[0, 0, 3, 0, 0, 0])[0].severity is Severity.HOLD
    assert judged(watch, misses=[0, 0, 10, 0, 0, 0])[0].severity is Severity.FAULT


def test_heat_is_said_once_then_takes_torque_and_gives_it_back_when_cool():
    watch = Watch(ArmConfig())
    heats = [54, 55, 56, 60, 61, 57, 54, 55]
    found = [[verdict.severity for verdict in judged(watch, joint=1, temperature_c=heat)] for heat in heats]

    note, derate = [Severity.NOTE], [Severity.DERATE]
    assert found == [[], note, [], derate, [], [], derate, note]
    assert watch.derated == {}


@pytest.mark.parametrize("changes", [{"temperature_c": 65}, {"status": Status.HEAT, "temperature_c": 50}])
def test_too_much_heat_is_a_fault_and_takes_the_torque(changes):
    assert judged(Watch(ArmConfig()), **changes)[0].severity is Severity.LET_GO


@pytest.mark.parametrize(
    ("changes", "severity"),
    [
        ({"voltage_v": 8.6}, Severity.FAULT),
        ({"voltage_v": 4.4}, Severity.HOLD),
        ({"status": Status.VOLTAGE}, Severity.HOLD),
    ],
)
def test_a_wrong_supply_stops_and_a_sagging_one_holds(changes, severity):
    assert judged(Watch(ArmConfig()), **changes)[0].severity is severity


def test_a_gripper_that_pushes_too_long_gets_a_quarter_of_its_torque_once():
    watch = Watch(ArmConfig())
    pushing = [judged(watch, t_s, arm.GRIPPER, current_ma=900.0) for t_s in np.arange(0, 8, 0.5)]
    said = [verdicts[0] for verdicts in pushing if verdicts]

    assert len(said) == 1
    assert said[0].severity is Severity.DERATE
    assert "pushed for 5.0 s with 900 mA" in said[0].cause
    assert watch.derated[arm.GRIPPER] == 0.25


def test_a_pause_forgives_a_push():
    watch = Watch(ArmConfig())
    for t_s in (0.0, 4.0):
        judged(watch, t_s, arm.GRIPPER, current_ma=900.0)
    judged(watch, 4.5, arm.GRIPPER, current_ma=100.0)

    assert judged(watch, 6.0, arm.GRIPPER, current_ma=900.0) == []


def test_settings_that_make_no_sense_are_refused_all_at_once(tmp_path):
    path = tmp_path / "arm_settings.json"
    path.write_text(json.dumps({"gains": {"p": [1, 2]}, "part": "24", "warn_c": 71, "park": [0.0], "park_speed": 0.0}))
    with pytest.raises(FaultError) as caught:
        ArmConfig.load(path)
    text = str(caught.value)
    for part in (
        "gains.p has 2 entries; it takes 6",
        "part is '24'; allowed are ['7.4', '12']",
        "warn_c is 71; it must be above 0 and at most 70",
        "park is [0.0]; it must be 6 numbers in -360..360",
        "park_speed is 0.0; it must be above 0 and at most 300",
    ):
        assert part in text


def test_settings_that_are_built_in_python_are_held_against_the_same_bounds():
    with pytest.raises(ValueError, match=r"gains\.p has 2 entries; it takes 6; gains\.d is .*register 22"):
        Gains(p=(1, 2), d=(255,) * 6)
    speed = r"settings\.park_speed is 1000000000\.0; it must be above 0 and at most 300"
    with pytest.raises(ValueError, match=rf"settings\.part is '24'; .*settings\.park is \[0\.0\]; .*{speed}"):
        ArmConfig(part="24", park=(0.0,), park_speed=1e9)


def test_temperatures_rise_and_an_arm_holds_before_it_stops(tmp_path):
    path = tmp_path / "arm_settings.json"
    path.write_text(json.dumps({"warn_c": 70, "hold_after_misses": 9, "stop_after_misses": 3}))
    with pytest.raises(FaultError, match=r"temperatures are 70, 60, 65; they must rise; hold_after_misses 9 must be below"):
        ArmConfig.load(path)


def test_settings_come_from_a_file(tmp_path):
    path = tmp_path / "arm_settings.json"
    path.write_text(json.dumps({"part": "12", "gains": {"p": [16] * 6}, "park": [0, -90, 80, 60, 0, 5]}))
    config = ArmConfig.load(path)

    assert config.volts == (9.5, 14.0)
    assert config.gains.p == (16,) * 6
    assert config.gains.d == Gains().d
    assert config.park[1] == -90


@pytest.mark.parametrize("content", [None, "{", "[1]", '{"speed": 3}', '{"gains": {"q": [1]}}'])
def test_a_file_of_settings_that_is_none_is_refused(tmp_path, content):
    path = tmp_path / "arm_settings.json"
    if content is not None:
        path.write_text(content)

    with pytest.raises(FaultError, match=r"(?s)settings.json holds no settings that can drive an arm.* may name gains, part"):
        ArmConfig.load(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            {"gains": {"p": [32, 32, 300, 32, 32, 32]}},
            r"gains\.p is .*, 300, .*; it must be whole numbers 0 to 254, which register 21",
        ),
        ({"gains": {"d": [-1] * 6}}, r"gains\.d is .*; it must be whole numbers 0 to 254, which register 22 takes"),
        ({"gains": {"i": [0.5] * 6}}, r"gains\.i\[0\] is 0\.5 of type float; it must be int"),
        ({"gains": {"torque_limit": [1001] * 6}}, "whole numbers 0 to 1000, which register 48 takes"),
        ({"gains": {"acceleration": [True] * 6}}, r"gains\.acceleration\[0\] is True of type bool; it must be int"),
        ({"gains": {"velocity": [-5] * 6}}, "whole numbers 0 to 32767, which register 46 takes"),
        ({"park_speed": float("inf")}, "park_speed is inf; it must be above 0 and at most 300"),
        ({"park_speed": float("nan")}, "park_speed is nan"),
        ({"park_speed": 301}, "park_speed is 301"),
        ({"park": [0, float("nan"), 0, 0, 0, 0]}, r"park\[1\] is nan; it must be a finite number"),
        ({"timeout_s": 0}, "timeout_s is 0; it must be above 0 and at most 10"),
        ({"stall_s": float("inf")}, "stall_s is inf"),
    ],
)
def test_settings_that_no_servo_takes_are_refused_by_their_register(tmp_path, content, message):
    path = tmp_path / "arm_settings.json"
    path.write_text(json.dumps(content))

    with pytest.raises(FaultError, match=rf"(?s)holds no settings that can drive an arm.*{message}"):
        ArmConfig.load(path)
