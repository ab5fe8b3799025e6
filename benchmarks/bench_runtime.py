"""The runtime on a robot host: import time, memory, latency. `python benchmarks/bench_runtime.py [BUNDLE]`.

Each figure comes from a fresh process that does nothing else. Memory is the resident set (VmRSS; the peak is VmHWM), as the
kernel counts it after both policies were loaded and have acted; Linux only.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

N_PROCESSES = 5
N_CALLS = 2000
HEAVY = ("torch", "mujoco", "mlflow", "pandas", "gymnasium", "stable_baselines3", "pyarrow", "matplotlib", "dvc")

IMPORT = """
import json, sys, time
start = time.perf_counter()
import soarm.runtime.onnx_policy
print(json.dumps({"import_s": time.perf_counter() - start, "modules": sorted(set(sys.modules) & set(sys.argv[1].split()))}))
"""

LOADED = """
import json, re, sys, time
from pathlib import Path
import numpy as np
from soarm.runtime.bundle import Bundle
from soarm.runtime.onnx_policy import load_policy
start = time.perf_counter()
bundle = Bundle.open(Path(sys.argv[1]))
opened_s = time.perf_counter() - start
shapes = {key: feature.shape for key, feature in bundle.spec.features.items() if key.startswith("observation.")}
observation, row = {key: np.zeros((1, *shape), np.float32) for key, shape in shapes.items()}, np.arange(1)
for which in ["base", "residual"] if len(bundle.sessions) > 1 else ["base"]:
    policy = load_policy(bundle, 1, which)
    for _ in range(200):
        policy.act(observation, row)
status = Path("/proc/self/status").read_text()
memory = {key: int(re.search(key + r":\\s+(\\d+) kB", status)[1]) / 1024 for key in ("VmRSS", "VmHWM")}
print(json.dumps({"open_s": opened_s, **memory}))
"""

LATENCY = """
import json, sys
from pathlib import Path
from soarm.runtime.bundle import Bundle
from soarm.runtime.latency import measure
print(json.dumps(measure(Bundle.open(Path(sys.argv[1])), int(sys.argv[2]))))
"""


def run(program: str, *arguments: str) -> Any:
    """Run a program in a fresh interpreter and return the JSON it prints."""
    done = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def main() -> None:
    """Print the table."""
    folder = sys.argv[1] if len(sys.argv) > 1 else "data/export"
    imports = [run(IMPORT, " ".join(HEAVY)) for _ in range(N_PROCESSES)]
    seconds = [one["import_s"] for one in imports]
    loaded = [run(LOADED, folder) for _ in range(N_PROCESSES)]
    latency = run(LATENCY, folder, str(N_CALLS))
    size_mb = sum(path.stat().st_size for path in Path(folder).iterdir()) / 2**20
    print(f"bundle {folder}: {size_mb:.1f} MB; median of {N_PROCESSES} processes (range)\n")
    print("| what | measured | at most |\n|---|---|---|")
    print(f"| import soarm.runtime.onnx_policy | {_spread(seconds, ' s')} | 0.5 s |")
    print(f"| heavy modules imported | {imports[0]['modules'] or 'none'} | none |")
    print(
        f"| open the bundle (checksums, specification, both networks) | {_spread([one['open_s'] for one in loaded], ' s')} | |"
    )
    print(
        f"| resident memory, both policies loaded and running | {_spread([one['VmRSS'] for one in loaded], ' MB')} | 150 MB |"
    )
    print(f"| peak of it | {_spread([one['VmHWM'] for one in loaded], ' MB')} | |")
    for name, (median_ms, p99_ms) in latency.items():
        print(f"| {name}, one arm, one thread, {N_CALLS} calls | {median_ms:.3f} ms, 99 % under {p99_ms:.3f} ms | |")


def _spread(values: list[float], unit: str) -> str:
    return f"{statistics.median(values):.2f}{unit} ({min(values):.2f}..{max(values):.2f})"


if __name__ == "__main__":
    main()
