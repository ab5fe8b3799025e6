import subprocess
import sys

FORBIDDEN = ("torch", "mujoco", "mlflow", "pandas", "gymnasium", "stable_baselines3", "pyarrow", "matplotlib", "dvc", "scipy")
PROGRAM = f"""
import sys
import numpy as np
from pathlib import Path
from soarm.runtime.bundle import Bundle
from soarm.runtime.latency import measure
from soarm.runtime.onnx_policy import load_policy
import soarm.runtime.__main__
bundle = Bundle.open(Path(sys.argv[1]))
measure(bundle, n_calls=2)
policy = load_policy(bundle, 1, "residual")
policy.act({{"observation.state": np.zeros((1, 6)), "observation.environment_state": np.zeros((1, 7))}}, np.arange(1))
print(sorted(set(sys.modules) & set({FORBIDDEN!r})))
"""


def test_the_runtime_loads_nothing_that_the_robot_host_does_not_have(bundle_folder):
    done = subprocess.run([sys.executable, "-c", PROGRAM, str(bundle_folder)], capture_output=True, text=True, check=False)

    assert (done.stdout, done.stderr) == ("[]\n", "")
