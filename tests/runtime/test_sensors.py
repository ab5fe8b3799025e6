"""Sensors that fail, grow old and follow the arm."""

from __future__ import annotations

import math

import numpy as np
import pytest

from soarm.errors import ObservationError
from soarm.runtime.sensors import SensorReader, Stamped, first_values

Q = np.zeros(6)


class Sensor:
    """Tells what the test puts in: a time, or why there is none."""

    def __init__(self, subject, at_s):
        self.subject, self.at_s = subject, at_s

    def read(self):
        if isinstance(self.at_s, str):
            raise ObservationError(self.at_s)
        return Stamped(self.at_s, np.zeros(2))


def test_a_sensor_that_fails_keeps_its_value_and_says_why_once_for_each_reason(caplog):
    good, bad = Sensor("cups", 5.0), Sensor("plates", 5.0)
    reader = SensorReader({"cups": good, "plates": bad})
    reader.read(Q, Q)
    good.at_s = 6.0
    for bad.at_s in ("broken", "broken", "lost"):
        reader.read(Q, Q)

    assert reader.oldest(7.0) == (2.0, "plates")
    assert reader.faults == "lost"
    assert [record.message for record in caplog.records] == ["broken", "lost"]
    bad.at_s = 6.5
    reader.read(Q, Q)
    assert (reader.oldest(7.0), reader.faults) == ((1.0, "cups"), "")


def test_without_a_first_value_a_failure_is_an_error_and_with_one_it_is_not():
    sensors = {"cups": Sensor("cups", "broken")}

    with pytest.raises(ObservationError, match="broken"):
        SensorReader(sensors).read(Q, Q)
    reader = SensorReader(sensors, {"cups": Stamped(3.0, np.zeros(2))})
    reader.read(Q, Q)
    assert reader.oldest(4.0) == (1.0, "cups")


def test_an_age_that_is_no_number_is_older_than_any_and_without_sensors_nothing_is_old():
    reader = SensorReader({"cups": Sensor("cups", 5.0), "plates": Sensor("plates", math.nan), "forks": Sensor("forks", 1.0)})
    reader.read(Q, Q)

    assert math.isnan(reader.oldest(7.0)[0])
    assert reader.oldest(7.0)[1] == "plates"
    assert SensorReader({}).oldest(7.0) == (0.0, "")


def test_a_run_begins_when_every_sensor_has_a_value_that_is_fresh():
    cups, plates = Sensor("cups", 5.0), Sensor("plates", 1.0)

    assert first_values({"cups": cups}, 2.0, now=lambda: 6.5)["cups"].t_s == 5.0
    with pytest.raises(ObservationError, match=r"plates were last seen 5.5 s ago, and 2 s are allowed"):
        first_values({"cups": cups, "plates": plates}, 2.0, now=lambda: 6.5)
