"""Stack as a `SimTask`: two free cubes on the table."""

from __future__ import annotations

import mujoco

from soarm.sim import cubes
from soarm.sim.grasping import GraspParams
from soarm.sim.stack import draw, rules
from soarm.sim.stack.expert import Expert
from soarm.sim.stack.params import StackParams
from soarm.sim.task import SimTask
from soarm.tasks.stack import TASK


def _add_to(spec: mujoco.MjSpec, params: StackParams) -> None:
    largest_m = params.widest_physics["cube_edge_m"][1]
    cubes.add_cube(spec, "cube", params.physics, largest_m)
    cubes.add_cube(spec, "base_cube", params.physics, largest_m, rgba=(0.90, 0.52, 0.16, 1))
    cubes.add_touch_sensors(spec, "cube")


STACK = SimTask(
    task=TASK,
    params_type=StackParams,
    expert_params=GraspParams,
    fields=cubes.FIELDS,
    add_to=_add_to,
    draw=draw.draw,
    write=draw.write,
    write_physics=cubes.physics_writer("cube", "base_cube"),
    state=rules.state,
    objects=rules.objects,
    evaluate_progress=rules.evaluate_progress,
    expert=Expert,
)
