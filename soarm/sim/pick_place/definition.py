"""Pick and place as a `SimTask`."""

from __future__ import annotations

from soarm.sim import cubes
from soarm.sim.grasping import GraspParams
from soarm.sim.pick_place import bodies, draw, rules
from soarm.sim.pick_place.expert import Expert
from soarm.sim.pick_place.params import PickPlaceParams
from soarm.sim.task import SimTask
from soarm.tasks.pick_place import TASK

PICK_PLACE = SimTask(
    task=TASK,
    params_type=PickPlaceParams,
    expert_params=GraspParams,
    fields=cubes.FIELDS,
    add_to=bodies.add_to,
    draw=draw.draw,
    write=draw.write,
    write_physics=cubes.physics_writer("cube"),
    state=rules.state,
    objects=rules.objects,
    evaluate_progress=rules.evaluate_progress,
    expert=Expert,
)
