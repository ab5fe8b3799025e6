"""Push as a `SimTask`."""

from __future__ import annotations

from soarm.sim import cubes
from soarm.sim.push import bodies, draw, rules
from soarm.sim.push.expert import Pusher, PushExpertParams
from soarm.sim.push.params import PushParams
from soarm.sim.task import SimTask
from soarm.tasks.push import TASK

PUSH = SimTask(
    task=TASK,
    params_type=PushParams,
    expert_params=PushExpertParams,
    fields=cubes.FIELDS,
    add_to=bodies.add_to,
    draw=draw.draw,
    write=draw.write,
    write_physics=cubes.physics_writer("cube"),
    state=rules.state,
    objects=rules.objects,
    evaluate_progress=rules.evaluate_progress,
    expert=Pusher,
)
