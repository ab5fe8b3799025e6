"""The kernels that the stages compute with."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SHOW = "import os, torch, numpy._core._multiarray_umath as numpy; print(torch.backends.cpu.get_cpu_capability())"
SHOW += "; print(numpy.__cpu_features__['X86_V4']); print(os.environ['OPENBLAS_CORETYPE'])"
SWITCHES = {"ATEN_CPU_CAPABILITY", "MKL_CBWR", "ONEDNN_MAX_CPU_ISA", "OPENBLAS_CORETYPE", "NPY_DISABLE_CPU_FEATURES"}
HAS_AVX2 = "avx2" in Path("/proc/cpuinfo").read_text(encoding="utf-8")


def told(program: str, **environment: str) -> list[str]:
    """Run a program in a process that knows none of the switches, and return the lines it printed."""
    clean = {name: value for name, value in os.environ.items() if name not in SWITCHES}
    command = [sys.executable, "-c", program]
    return subprocess.run(
        command, cwd=ROOT, env=clean | environment, check=True, capture_output=True, text=True
    ).stdout.splitlines()


@pytest.mark.skipif(not HAS_AVX2, reason="a processor without AVX2 keeps its own kernels")
def test_stages_compute_with_avx2_whatever_else_the_processor_can() -> None:
    assert told(f"import stages; {SHOW}") == ["AVX2", "False", "Haswell"]


@pytest.mark.skipif(not HAS_AVX2, reason="a processor without AVX2 keeps its own kernels")
def test_what_the_environment_says_stays() -> None:
    shown = told("import stages, os; print(os.environ['MKL_CBWR'], os.environ['ATEN_CPU_CAPABILITY'])", MKL_CBWR="COMPATIBLE")

    assert shown == ["COMPATIBLE avx2"]
