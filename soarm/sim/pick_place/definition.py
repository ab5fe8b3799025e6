"""Pick and place as a `SimTask`."""

from __future__ import annotations

from soarm.sim.pick_place import bodies, draw, rules
from soarm.sim.pick_place.expert import Expert, ExpertParams
from soarm.sim.pick_place.params import PickPlaceParams
from soarm.sim.task import SimTask
from soarm.tasks.pick_place import TASK


class _PickPlace:
    task, params_type, expert_params, fields = TASK, PickPlaceParams, ExpertParams, draw.FIELDS
    add_to = staticmethod(bodies.add_to)
    draw, write, write_physics = staticmethod(draw.draw), staticmethod(draw.write), staticmethod(draw.write_physics)
    state, objects = staticmethod(rules.state), staticmethod(rules.objects)
    evaluate_progress = staticmethod(rules.evaluate_progress)
    expert = staticmethod(Expert)


PICK_PLACE: SimTask = _PickPlace()
