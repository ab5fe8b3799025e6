"""The methods of the study by name. `residual` is the project's own; the baselines have a file each."""

from __future__ import annotations

from soarm.study.filtered_bc import filtered_bc
from soarm.study.method import Method
from soarm.study.more_demonstrations import more_demonstrations
from soarm.study.ppo import ppo
from soarm.study.residual import residual
from soarm.study.scratch import scratch

METHODS: dict[str, Method] = {
    "residual": residual,
    "more_demonstrations": more_demonstrations,
    "scratch": scratch,
    "ppo": ppo,
    "filtered_bc": filtered_bc,
}
