"""The twin as a whole: pseudo-terminals, servos and a scene, served by a thread.

    with Twin.start(sim, TwinConfig()) as twin:
        Arm.connect(twin.ports[0], twin.config.calibration)

Two clocks. `lockstep`: each SYNC WRITE of goals moves the physics on by one control period before anything else is answered,
and nothing else does; a test or a stage gives the same numbers on any machine, however busy. `wall`: physics follows the real
time, for people and for tests of timing.
"""

from __future__ import annotations

import os
import select
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from soarm.errors import TwinError
from soarm.hardware.registers import TICKS_PER_TURN, Status
from soarm.sim.episode import StepOutcome
from soarm.sim.params import SimParams
from soarm.tasks.task import Task
from soarm.twin.emulator import BusEmulator, fault_of_servo
from soarm.twin.faults import Fault
from soarm.twin.hand import Bench, Hand
from soarm.twin.outgoing import Outgoing
from soarm.twin.port import Port
from soarm.twin.servo import Servo
from soarm.twin.simulated_arm import SimulatedArm
from soarm.twin.twin_config import TwinConfig, servos_of

_CYCLE_S = 0.005
"""In wall clock the physics follows at least this often; what a servo reports is as old at most [s]."""
_MOST_BEHIND_S, _ROUND_S = 0.25, 1.0


class Moment(NamedTuple):
    """A state of the scene: its seed, the time since `reset` [s], and MuJoCo's qpos (nq,) and mocap_pos (nmocap, 3)."""

    seed: int
    time_s: float
    qpos: NDArray[np.float64]
    mocap_pos: NDArray[np.float64]


class Twin:
    """A running twin; make it with `start`. All methods may be called from any thread.

    Attributes:
        config: How it was made.
        ports: Paths of the serial ports, the follower's first.
        servos: The follower's servos, by the id that their joint has in the calibration.
    """

    def __init__(self, sim: SimParams, config: TwinConfig, now: Callable[[], float] = time.monotonic) -> None:
        """Set everything up; not for callers, see `start`."""
        self.config, self._now = config, now
        self._lock = threading.RLock()
        joints = [servos_of(config, new=config.new and i == 0) for i in range(config.arms)]
        extra_servos = [Servo(servo_id, {}, config.assumptions) for servo_id in config.extra_servos]
        self._emulators = [
            BusEmulator([*servos, *(extra_servos if i == 0 else ())], config.assumptions) for i, servos in enumerate(joints)
        ]
        self.servos = {joint.servo_id: servo for joint, servo in zip(config.calibration.joints, joints[0], strict=True)}
        self._simulated = SimulatedArm(sim, joints[0], config.calibration, config.servo_model, config.volts)
        self._sim, self._seed = sim, 0
        self._emulators[0].bench = Bench(joints[0]) if config.new else None
        if config.hand:
            for emulator, servos, place in zip(self._emulators, joints, (self._simulated.carry, self.lead), strict=False):
                emulator.hand = Hand(servos, place, now)
        self._supply_others()
        paths = config.paths or (None,) * config.arms
        with ExitStack() as opened:
            self._lines = [opened.enter_context(closing(Port(path))) for path in paths]
            opened.pop_all()
        self.ports = tuple(str(line.path) for line in self._lines)
        self._outgoing = [Outgoing(line_timing=config.line_timing, usb_delay_s=config.usb_delay_s) for _ in self._lines]
        self._wake_in, self._wake_out = os.pipe()
        self._stopping = False
        self._went_round = threading.Event()
        self._started_s = now()
        self._behind_s = 0.0
        self._thread = threading.Thread(target=self._serve, name="soarm-twin", daemon=True)

    @classmethod
    def start(cls, sim: SimParams, config: TwinConfig | None = None) -> Twin:
        """Start a twin on the scene of seed 0.

        Raises:
            TwinError: No pseudo-terminal can be had.
        """
        twin = cls(sim, config or TwinConfig())
        twin._thread.start()
        return twin

    def __enter__(self) -> Twin:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End the thread and close the ports; a second time does nothing."""
        if self._stopping:
            return
        self._stopping = True
        self._wake()
        self._thread.join()
        for line in self._lines:
            line.close()
        os.close(self._wake_in)
        os.close(self._wake_out)

    def reset(self, seed: int, objects: ArrayLike | None = None, q: NDArray[np.float64] | None = None) -> None:
        """Put the arm home and start the scene of a seed; every goal is where its joint is, torque stays as it was.

        Args:
            seed: Of the scene.
            objects: Where its things lie, in the order of `Task.objects`; None leaves them where the seed has them.
            q: Where the arm is put, shape (6,) [deg x 5, percent]; None for the scene's start.
        """
        with self._lock:
            self._simulated.reset(seed, objects, q)
            self._seed = seed
            self._started_s, self._behind_s = self._now(), 0.0

    @property
    def task(self) -> Task:
        """The task of its scenes."""
        return self._sim.sim_task.task

    def objects(self) -> NDArray[np.float32]:
        """Return what a tracker tells of the objects, in the order of `Task.objects`: see `sim.observation_error`."""
        with self._lock:
            return self._simulated.objects()

    def true_objects(self) -> NDArray[np.float32]:
        """Return where the objects are, in the same order."""
        with self._lock:
            return self._simulated.true_objects()

    def outcome(self) -> StepOutcome | None:
        """Return what the last control period gave the task; None right after `reset`."""
        with self._lock:
            return self._simulated.outcome()

    def q(self) -> NDArray[np.float64]:
        """Return where the joints truly are, shape (6,) [deg x 5, percent]."""
        with self._lock:
            return self._simulated.q()

    def moment(self) -> Moment:
        """Return what a camera needs of the scene."""
        with self._lock:
            data = self._simulated.data
            return Moment(self._seed, self._simulated.time_s, data.qpos.copy(), data.mocap_pos.copy())

    def time_s(self) -> float:
        """Return the time of the physics since the last `reset` [s]."""
        with self._lock:
            return self._simulated.time_s

    def torque(self, servo_id: int) -> bool:
        """Return whether a servo's torque register is on."""
        with self._lock:
            return self.servos[servo_id].get("torque_enable") == 1

    @property
    def running(self) -> bool:
        """Whether the ports are served."""
        return self._thread.is_alive()

    def goal_writes(self) -> int:
        """Return how often goals were written."""
        with self._lock:
            return self._emulators[0].goal_writes

    def lead(self, q: ArrayLike) -> None:
        """Put the leader's joints somewhere, shape (6,) [deg x 5, percent].

        Raises:
            TwinError: There is no leader.
        """
        if len(self._emulators) < 2:
            raise TwinError("this twin has no leader; start it with arms=2")
        ticks = [joint.zero_ticks + joint.homing_offset for joint in self.config.calibration.joints]
        per_unit = [joint.sign * joint.ticks_per_unit for joint in self.config.calibration.joints]
        with self._lock:
            for servo, zero, scale, value in zip(self._emulators[1].servos, ticks, per_unit, np.asarray(q), strict=True):
                servo.place(round(zero + scale * float(value)) % TICKS_PER_TURN)

    def inject(self, fault: Fault) -> None:
        """Let a fault happen to the follower, now or when it says."""
        with self._lock:
            self._emulators[0].script.add(fault, self._emulators[0].goal_writes)
            self._happen()

    def mend(self) -> None:
        """Take back every fault that can be: replies, adapter, supply, heat, encoders, hearing, pushes."""
        with self._lock:
            emulator = self._emulators[0]
            emulator.script.clear()
            emulator.echo = False
            self._simulated.volts[:], self._simulated.heat_c[:] = self.config.volts, 31.0
            self._simulated.frozen.clear()
            for i, servo in enumerate(self._simulated.servos):
                servo.deaf, servo.turns = False, 0
                servo.put("phase", servo.get("phase") & ~0b0001_0000)
                self._simulated.push(i, 0.0)
            self._simulated.report()

    def unplug(self) -> None:
        """Pull the follower's cable."""
        with self._lock:
            self._lines[0].unplug()
            self._outgoing[0].clear()
            self._went_round.clear()
        self._wake()
        self._went_round.wait(_ROUND_S)  # a line that is waited for stays open

    def replug(self) -> None:
        """Plug the follower's cable in again: the same path, nothing in flight."""
        with self._lock:
            self._emulators[0].parser.clear()
            self._lines[0].plug_in()
        self._wake()

    def power_cycle(self) -> None:
        """Switch the servos' supply off and on; the arm stays where it is."""
        with self._lock:
            for emulator in self._emulators:
                for servo in emulator.servos:
                    servo.power_up()
            self._simulated.report()
            self._supply_others()

    def _supply_others(self) -> None:
        """Tell the leader's servos, and the extra ones, their voltage: no simulated arm does."""
        for servo in {servo for emulator in self._emulators for servo in emulator.servos} - set(self._simulated.servos):
            servo.put("present_voltage", round(10 * self.config.volts))

    def _wake(self) -> None:
        os.write(self._wake_out, b"x")

    def _serve(self) -> None:
        while not self._stopping:
            fds = [self._wake_in, *(line.fd for line in self._lines if line.fd >= 0)]
            try:
                ready, _, _ = select.select(fds, [], [], self._patience_s())
            except OSError:  # the cable was pulled in the meantime
                ready = []
            self._went_round.set()
            if self._wake_in in ready:
                os.read(self._wake_in, 64)
            with self._lock:
                for i in range(len(self._lines)):
                    self._listen(i)
                self._send()
                self._follow_the_clock()

    def _patience_s(self) -> float | None:
        """Return how long nothing needs to be done [s]."""
        waits = [outgoing.next_s - self._now() for outgoing in self._outgoing if outgoing.next_s is not None]
        if self.config.clock == "wall":
            waits.append(_CYCLE_S)
        return max(0.0, min(waits)) if waits else None

    def _listen(self, i: int) -> None:
        data, emulator = self._lines[i].read(), self._emulators[i]
        if not data:
            return
        if i == 0 and self.config.wire_log is not None:
            self.config.wire_log.write("tx", data)
        emulator.baud = self._lines[i].baud
        for instruction in emulator.parser.feed(data):
            if i == 0:
                self._happen()
            writes = emulator.goal_writes
            replies = emulator.execute(instruction)
            self._outgoing[i].put(replies, 0 if emulator.echo else len(instruction.raw), self._now())
            if i == 0 and emulator.goal_writes > writes and self.config.clock == "lockstep":
                self._simulated.step(self._sim.n_substeps)
                self._happen()

    def _send(self) -> None:
        now_s = self._now()
        for i, outgoing in enumerate(self._outgoing):
            due = outgoing.due(now_s)
            if due:
                if i == 0 and self.config.wire_log is not None:
                    self.config.wire_log.write("rx", due)
                self._lines[i].write(due)

    def _follow_the_clock(self) -> None:
        """In wall clock, bring the physics up to now; what a stalled machine missed beyond `_MOST_BEHIND_S` is left out.

        Physics stands still while a hand holds the follower.
        """
        hands = [emulator.hand for emulator in self._emulators if emulator.hand is not None]
        for hand in hands:
            hand.hold()
        if self.config.clock != "wall" or (hands and hands[0].holds):
            return
        behind_s = self._now() - self._started_s - self._behind_s - self._simulated.time_s
        if behind_s > _MOST_BEHIND_S:
            self._behind_s += behind_s - _MOST_BEHIND_S
            behind_s = _MOST_BEHIND_S
        if behind_s >= self._sim.sim_dt_s:
            self._simulated.step(int(behind_s / self._sim.sim_dt_s))
            self._happen()

    def _happen(self) -> None:
        """Let the faults of the arm happen that are due."""
        emulator, simulated = self._emulators[0], self._simulated
        for fault in emulator.script.due(simulated.time_s, emulator.goal_writes):
            index = next((i for i, servo in enumerate(simulated.servos) if servo.id == fault.servo_id), None)
            value = fault.value or 0.0
            if fault.kind == "echo":
                emulator.echo = True
            elif fault.kind == "unplug":
                self._lines[0].unplug()
                self._outgoing[0].clear()
            elif fault.kind == "sag":
                simulated.volts[:] = value
            elif index is None:
                raise TwinError(f"there is no servo {fault.servo_id} for the fault {fault.kind!r}")
            elif fault_of_servo(simulated.servos[index], fault):
                pass
            elif fault.kind == "frozen":
                simulated.frozen.add(simulated.servos[index].id)
            elif fault.kind == "overload":
                simulated.servos[index].set_status(Status.OVERLOAD)
            elif fault.kind == "heat":
                simulated.heat_c[index] = value
            else:
                simulated.push(index, value)
            simulated.report()
