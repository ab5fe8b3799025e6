"""The stages of the chain: `python -m stages.<name>`.

Importing it, which every stage does before NumPy and torch, restricts their kernels to AVX2: sums then have one order on every
x86-64 processor of the last ten years, whatever else it can do. It costs nothing measurable. What is set already in the
environment stays; a processor without AVX2, or of another architecture, keeps its own kernels and rounds in its own way.
"""

import os
import platform
from pathlib import Path

AVX2_KERNELS = {
    "ATEN_CPU_CAPABILITY": "avx2",  # torch's own kernels
    "MKL_CBWR": "AVX2",  # torch's matrix products: conditional numerical reproducibility
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "OPENBLAS_CORETYPE": "Haswell",  # NumPy's and SciPy's matrix products
    "NPY_DISABLE_CPU_FEATURES": "X86_V4 AVX512_ICL AVX512_SPR",
}
"""Environment variable -> what restricts the kernels of a library to AVX2."""

_CPU = Path("/proc/cpuinfo")
if platform.machine() in ("x86_64", "AMD64") and (not _CPU.exists() or " avx2 " in _CPU.read_text(encoding="utf-8")):
    for _name, _value in AVX2_KERNELS.items():
        os.environ.setdefault(_name, _value)
