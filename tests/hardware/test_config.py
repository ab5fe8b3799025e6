from __future__ import annotations

import dataclasses
import json
from pathlib import Path

from soarm.hardware.config import DEFAULT, ArmConfig, Gains

EXAMPLE = Path(__file__).parents[2] / "examples" / "arm_settings.json"


def test_the_example_has_every_setting_at_its_default():
    data = json.loads(EXAMPLE.read_text())

    assert ArmConfig.load(EXAMPLE) == DEFAULT
    assert list(data) == [field.name for field in dataclasses.fields(ArmConfig)]
    assert list(data["gains"]) == [field.name for field in dataclasses.fields(Gains)]
