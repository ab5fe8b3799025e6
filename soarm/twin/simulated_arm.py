"""The scene behind the wire: the simulator's task, with six servos in the place of its actuators.

The same seed gives the scene, the start and, with the servo model `position`, the physics of `soarm.sim.env`; what differs is
what the wire does: positions and goals are whole ticks, and nothing moves that the servos do not move.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

import mujoco
import numpy as np
from numpy.typing import ArrayLike, NDArray

from soarm import arm
from soarm.hardware.calibration import Calibration
from soarm.hardware.registers import TICKS_PER_TURN, Status
from soarm.motor import MAX_SPEED_TICKS_S
from soarm.sim.env import EpisodeSim
from soarm.sim.episode import StepOutcome
from soarm.sim.params import SimParams
from soarm.sim.servos import play, slew
from soarm.sim.task import BY_MOTOR
from soarm.twin.actuator import ActuatorModel, ActuatorName, Drive, PositionActuator, Sts3215Actuator
from soarm.twin.servo import Servo

Floats = NDArray[np.float64]
_AMBIENT_C = 25.0
_HEATING_C_PER_A2_S = 0.25
"""At 2 A some 60 K above the surroundings in the end: a gripper that holds hard cooks (phosphobot issue 241)."""
_START_C = 31.0
_COOLING_S = 240.0
_MOVING_TICKS_S = 20.0


class Profile(NamedTuple):
    """How the servos follow their goals, arrays of shape (6,).

    Attributes:
        goals: Where to [ticks, before the offset].
        speed: At most [ticks/s].
        acceleration: At most [ticks/s2]; infinite where there is no bound.
    """

    goals: Floats
    speed: Floats
    acceleration: Floats


class SimulatedArm(EpisodeSim):
    """One arm in one scene, moved by its servos.

    Args:
        sim: The simulator.
        servos: The six servos in the order of the joints; the scene moves them and is moved by them.
        calibration: How the servos are mounted: signs, zeros, offsets.
        servo_model: See `soarm.twin.actuator`.
        volts: Of the supply [V].

    Attributes:
        volts: At the servos, shape (6,) [V].
        heat_c: Temperatures, shape (6,) [degC].
        frozen: Servos whose encoder stands still.
    """

    def __init__(
        self, sim: SimParams, servos: Sequence[Servo], calibration: Calibration, servo_model: ActuatorName, volts: float
    ) -> None:
        super().__init__(sim, visuals=True)
        self.servos = tuple(servos)
        make = PositionActuator if servo_model == "position" else Sts3215Actuator
        self._actuator: ActuatorModel = make(self.model, self.data)
        self._delays = servo_model == "position"  # MuJoCo's actuators delay their goals
        self._outcome: StepOutcome | None = None
        self._substep = 0
        joints = calibration.joints
        self._mounted = np.array([joint.zero_ticks + joint.homing_offset for joint in joints])
        self._zero = self._mounted  # where the model's zeros are, in this episode
        self._per_unit = np.array([joint.sign * joint.ticks_per_unit for joint in joints])
        self._per_rad = self._per_unit * arm.PER_RAD  # ticks per radian of the model's joint
        self.volts = np.full(arm.N_JOINTS, volts)
        self.heat_c = np.full(arm.N_JOINTS, _START_C)
        self.frozen: set[int] = set()
        self._slewed = np.zeros(arm.N_JOINTS)  # goals as the servos follow them [ticks, before the offset]
        self._slew_speed = np.zeros(arm.N_JOINTS)  # how fast those run [ticks/s]
        self._played_rad = np.zeros(arm.N_JOINTS)  # where gears with backlash put the joints that follow them
        self._late: deque[Floats] = deque(maxlen=1)  # goals on their way, where MuJoCo does not delay them
        self._overloaded_s = np.zeros(arm.N_JOINTS)
        self.reset(0)

    def reset(self, seed: int, objects: ArrayLike | None = None, q: Floats | None = None) -> None:
        """Start the scene of a seed with cool servos; every servo's goal is where it is, and time stands still.

        Args:
            seed: Of the scene.
            objects: Where its things lie, in the order of `Task.objects`; None leaves them where the seed has them.
            q: Where the arm is, shape (6,) [deg x 5, percent]; None for the scene's start.
        """
        view = self.start(seed, objects=objects)
        self._told, _ = self.tell(view, seed)
        if self._fields:
            self._actuator.refresh()
        self._zero = self._mounted + self._per_unit * self._servos.zero[0]
        self._played_rad = self.data.qpos[: arm.N_JOINTS].copy()
        steps = 0 if self._delays else round(self._physics["latency_s"] / self.params.sim_dt_s)
        self._late = deque(maxlen=1 + steps)
        self.heat_c[:], self._overloaded_s[:] = _START_C, 0.0
        self._outcome, self._substep = None, 0
        if q is not None:
            self.carry(q)
        self.report()
        for servo in self.servos:
            servo.put("goal_position", min(max(servo.present_ticks, 0), TICKS_PER_TURN - 1))
        self._slewed, self._slew_speed = self._goals(), np.zeros(arm.N_JOINTS)

    def step(self, n_substeps: int) -> None:
        """Advance by so many physics steps; the task is judged after each control period of them."""
        profile, drive = self._registers()
        for _ in range(n_substeps):
            self._slew(profile)
            self._late.append((self._slewed - self._zero) / self._per_rad + arm.ZERO_RAD)
            self._played_rad = play(self._played_rad, self._late[0], self._servos.backlash_rad[0])
            self._actuator.apply(drive._replace(goal_rad=self._played_rad))
            mujoco.mj_step(self.model, self.data)
            self._substep += 1
            if self._substep % self.params.n_substeps == 0:
                self._end_period()
                profile, drive = self._registers()

    def carry(self, q: Floats) -> None:
        """Have a hand hold the limp arm somewhere, shape (6,) [deg x 5, percent]; nothing else moves, and no time passes."""
        self.data.qpos[: arm.N_JOINTS] = arm.to_radians(q)
        self.data.qvel[: arm.N_JOINTS] = 0.0
        self._slewed, self._slew_speed = self._zero + self._per_unit * q, np.zeros(arm.N_JOINTS)  # where torque begins
        self._played_rad = arm.to_radians(q)
        self._late.clear()
        mujoco.mj_forward(self.model, self.data)
        self.report()

    @property
    def time_s(self) -> float:
        """Time of the physics since `reset` [s]."""
        return float(self.data.time)

    def q(self) -> Floats:
        """Return where the joints are, shape (6,) [deg x 5, percent]."""
        return arm.from_radians(self.data.qpos[: arm.N_JOINTS])

    def objects(self) -> NDArray[np.float32]:
        """Return what policies are told of the objects: as they are, or with `sim.observation_error`'s errors; shape (n,)."""
        return self.true_objects() if self._tracker is None else self._told

    def true_objects(self) -> NDArray[np.float32]:
        """Return the objects as `observation.environment_state`, shape (n,)."""
        return np.array(self._task.objects(self._read()), np.float32)

    def outcome(self) -> StepOutcome | None:
        """Return what the last control period gave, None before the first."""
        return self._outcome

    def push(self, joint: int, torque_nm: float) -> None:
        """Apply a torque to a joint from outside until told otherwise [N m]."""
        self.data.qfrc_applied[joint] = torque_nm

    def _registers(self) -> tuple[Profile, Drive]:
        """Return how the goals are followed, and the servos' state.

        The model that policies know follows a goal at once; under its model only register 46 is a bound. Without torque the
        goal that a servo follows is where it is.
        """
        servos = self.servos
        live = np.array([servo.live for servo in servos])
        speed = np.array([servo.get("goal_velocity") or np.inf for servo in servos], np.float64)
        acceleration = np.full(arm.N_JOINTS, np.inf)
        if not isinstance(self._actuator, PositionActuator) or self._physics[BY_MOTOR]:
            speed = np.minimum(speed, MAX_SPEED_TICKS_S)
            acceleration = np.array([100.0 * servo.get("acceleration") or np.inf for servo in servos])
        if not live.all():
            self._slewed = np.where(live, self._slewed, self._zero + self._per_unit * self.q())
            self._slew_speed = np.where(live, self._slew_speed, 0.0)
        share = np.array([servo.torque_share for servo in servos])
        p = np.array([servo.get("p_coefficient") for servo in servos], np.float64)
        return Profile(self._goals(), speed, acceleration), Drive(self._slewed, live, share, p, self.volts)

    def _slew(self, profile: Profile) -> None:
        """Move the goals that the servos follow by one physics step."""
        at, bounds = (self._slewed, self._slew_speed), (profile.speed, profile.acceleration)
        self._slewed, self._slew_speed = slew(profile.goals, *at, *bounds, self.params.sim_dt_s)

    def _goals(self) -> Floats:
        return np.array([servo.goal_ticks for servo in self.servos], np.float64)

    def _end_period(self) -> None:
        view = self._read()
        self._outcome = self.account(view)
        if self._tracker is not None:
            self._told, _ = self.tell(view)
        self._protect()
        self.report()

    def _protect(self) -> None:
        """Let the servos heat up, and look after themselves: overload."""
        period_s = 1.0 / self.params.control_hz
        load, amperes = np.abs(self._actuator.load()), self._actuator.amperes()
        self.heat_c += period_s * (_HEATING_C_PER_A2_S * amperes**2 - (self.heat_c - _AMBIENT_C) / _COOLING_S)
        for i, servo in enumerate(self.servos):
            self._overloaded_s[i] = self._overloaded_s[i] + period_s if 100 * load[i] > servo.get("overload_torque") else 0.0
            if self._overloaded_s[i] > servo.get("protection_time") / 100:
                servo.set_status(Status.OVERLOAD)

    def report(self) -> None:
        """Write into the registers what the servos measure; after every period, and whenever something was changed outside."""
        ticks = self._zero + self._per_unit * self.q()  # an encoder is at the joint, after the gears
        speed = self._per_rad * self.data.qvel[: arm.N_JOINTS]
        load = np.clip(np.sign(self._per_rad) * self._actuator.load() * 1000, -1000, 1000)
        amperes = self._actuator.amperes()
        for i, servo in enumerate(self.servos):
            if servo.id not in self.frozen:
                servo.place(round(ticks[i]))
                servo.put("present_velocity", int(np.clip(speed[i], -32767, 32767)))
            servo.put("present_load", int(load[i]))
            servo.put("present_current", min(int(amperes[i] * 1000 / 6.5), 32767))
            servo.put("present_voltage", round(10 * self.volts[i]))
            servo.put("present_temperature", int(np.clip(self.heat_c[i], 0, 255)))
            servo.put("moving", int(abs(speed[i]) > _MOVING_TICKS_S))
            _latch(servo, Status.HEAT, self.heat_c[i] >= servo.get("max_temperature_limit"))
            volts = round(10 * self.volts[i])
            _latch(servo, Status.VOLTAGE, not servo.get("min_voltage_limit") <= volts <= servo.get("max_voltage_limit"))


def _latch(servo: Servo, status: Status, wrong: bool) -> None:
    if wrong:
        servo.set_status(status)
    else:
        servo.clear_status(status)
