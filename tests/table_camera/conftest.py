"""A table's calibration whose camera is known: that of the painted pictures."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from soarm.table_camera.table import Plane, Table, TouchTest

_SPEC = importlib.util.spec_from_file_location("painted", Path(__file__).with_name("painted.py"))
assert _SPEC is not None
assert _SPEC.loader is not None
painted = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(painted)


@pytest.fixture
def table():
    return Table(painted.CAMERA, Plane(0.0, 0.0, 0.0, 0.0), {}, TouchTest(3, 0.0005, 0.001), "hash", painted.textured())
