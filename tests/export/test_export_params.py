from pathlib import Path

import pytest
import yaml

from soarm import params
from soarm.errors import ParamsError
from soarm.export.params import ExportParams

GOOD = {
    "opset": 20,
    "n_observations": 1000,
    "max_abs_deg": 1e-3,
    "n_check": 50,
    "n_rows": 25,
    "n_threads": 2,
    "min_p": 0.01,
    "n_latency_calls": 100,
    "register": True,
    "int8": False,
    "int8_scenes": 200,
    "int8_max_loss": 0.02,
}


def test_good_parameters_are_taken():
    assert params.build(ExportParams, GOOD, "export") == ExportParams(**GOOD)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("n_check", 0, "n_check is 0; it must be at least 1"),
        ("opset", 11, "opset is 11; it must be at least 18 and at most 100: the exporter of torch knows 18 and above"),
        ("max_abs_deg", 0.0, "max_abs_deg is 0.0; it must be above 0"),
        ("int8_max_loss", 2.0, "int8_max_loss is 2.0; it must be at least 0 and at most 1"),
        ("min_p", 1.0, "min_p is 1.0; it must be above 0 and below 1"),
        ("opset", "20", "opset is '20' of type str; it must be int"),
        ("tolerance", 1.0, r"unknown keys \['tolerance'\]; legal keys are \['opset'"),
    ],
)
def test_bad_parameters_are_refused(key, value, message):
    with pytest.raises(ParamsError, match=message):
        params.build(ExportParams, GOOD | {key: value}, "export")


def test_networks_of_tiny_settings_are_registered_nowhere():
    data = yaml.safe_load((Path(__file__).parents[2] / "params.yaml").read_text())
    registered = {
        profile: {**data["base"]["export"], **data[profile]["export"]}["register"]
        for profile in data
        if profile not in ("profile", "task", "seed", "dataset", "dataset_units", "tracking", "base", "tasks")
    }

    assert registered == {
        **{
            "default": True,
            "desk": True,
            "full": True,
            "pixels": True,
            "pixels_mild": True,
            "seed_size": True,
            "visual": True,
        },
        **{"ci": False, "ci_pixels": False},
    }
