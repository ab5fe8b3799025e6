"""Settings of every test: one thread, no tracking, few and repeatable examples."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, settings

# Read when NumPy and torch are first imported, so set here, before any test is collected.
for _variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[_variable] = "1"
os.environ["SOARM_TRACKING"] = "off"
os.environ["MPLBACKEND"] = "Agg"

# No deadline: the machine may be shared. Derandomised: a red test is red for everybody.
settings.register_profile(
    "soarm", max_examples=25, deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("soarm")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start the chain first: it takes longest, and with `-n 2` the rest of the suite runs beside it."""
    items.sort(key=lambda item: item.get_closest_marker("chain") is None)
