import subprocess
import sys
from pathlib import Path

FORBIDDEN = ("torch", "mujoco", "mlflow", "pandas", "gymnasium", "stable_baselines3", "pyarrow", "matplotlib", "dvc", "scipy")
PROGRAM = f"""
import sys
import numpy as np
from pathlib import Path
from soarm.runtime.bundle import Bundle
from soarm.runtime.latency import measure
from soarm.runtime.onnx_policy import load_policy
import soarm.runtime.drive, soarm.runtime.placed, soarm.runtime.log_summary, soarm.cli.program
bundle = Bundle.open(Path(sys.argv[1]))
measure(bundle, n_calls=2)
policy = load_policy(bundle, 1, "residual")
policy.act({{"observation.state": np.zeros((1, 6)), "observation.environment_state": np.zeros((1, 7))}}, np.arange(1))
print(sorted(set(sys.modules) & set({FORBIDDEN!r})))
"""


def test_the_runtime_loads_nothing_that_the_robot_host_does_not_have(bundle_folder):
    done = subprocess.run([sys.executable, "-c", PROGRAM, str(bundle_folder)], capture_output=True, text=True, check=False)

    assert (done.stdout, done.stderr) == ("[]\n", "")


WATCH = """
import logging, sys
from pathlib import Path
from soarm.sim import camera
camera.find_fault = lambda backend: None if backend == "ray" else "not asked for"
from soarm.window import artefact, watching
logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(message)s")
opened = artefact.open_artefact(Path(sys.argv[1]), params=Path(sys.argv[2]))
lane, other = watching.lanes(opened, ["residual", "base"])
asked, look = [], opened.eye.network.look
opened.eye.network.look = lambda seen: (asked.append({key: value.shape[1:] for key, value in seen.items()}), look(seen))[1]
lane.start(3)
lane.step()
print(lane.contender.label, "-", other.contender.label, list(opened.sim.cameras))
print(asked)
print(sorted(set(sys.modules) & {"torch", "onnx", "gymnasium", "matplotlib", "scipy"}))
"""


def test_a_bundle_with_an_eye_is_watched_through_it_without_torch(tmp_path, eye_files, write_bundle):
    bundle, params_file = write_bundle(tmp_path / "bundle", eye_files()), Path(__file__).parents[2] / "params.yaml"
    done = subprocess.run([sys.executable, "-c", WATCH, bundle, params_file], capture_output=True, text=True, check=False)

    assert (done.stderr, done.stdout.splitlines()) == (
        "",
        [
            f"the eye of {bundle} says where the objects are: it sees what front would see, drawn at every step",
            "ACT + residual, through its eye - ACT, through its eye ['front']",
            "[{'observation.images.front': (4, 6, 3), 'observation.state': (6,)}]",
            "[]",
        ],
    )


DRIVE = """
import sys
from pathlib import Path
from soarm import params
from soarm.rollout import rollout
from soarm.runtime.bundle import Bundle
from soarm.runtime.onnx_policy import load_policy
from soarm.sim.batch_env import BatchSim
from soarm.sim.params import SimParams
sim = params.load(Path(sys.argv[2]), "pick_place").section("sim", SimParams)
policy = load_policy(Bundle.open(Path(sys.argv[1])), 2, "residual")
episodes = list(rollout(BatchSim(sim, 2), policy, range(2)))
print([len(episode) == sim.max_steps for episode in episodes], "torch" in sys.modules)
"""


def test_a_bundle_drives_the_simulator_without_torch(bundle_folder):
    params_file = Path(__file__).parents[2] / "params.yaml"
    command = [sys.executable, "-c", DRIVE, str(bundle_folder), str(params_file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert (done.stdout, done.stderr) == ("[True, True] False\n", "")
