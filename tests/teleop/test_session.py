from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from soarm.dataset import layout
from soarm.dataset.reader import Dataset
from soarm.dataset.recorder import Recorder
from soarm.errors import FaultError, TeleopError
from soarm.spec import ENVIRONMENT_STATE, IMAGES, STATE, Feature
from soarm.tasks.pick_place import TASK
from soarm.teleop.session import TRANSITIONS, Command, Session, SessionParams, SessionState

HZ = 10


class Clock:
    """Passes when somebody sleeps; `delays` are added to single sleeps by their number."""

    def __init__(self, delays: dict[int, float] | None = None) -> None:
        self.time_s, self.sleeps, self.delays = 0.0, 0, delays or {}

    def now(self) -> float:
        return self.time_s

    def sleep(self, seconds: float) -> None:
        self.time_s += seconds + self.delays.get(self.sleeps, 0.0)
        self.sleeps += 1


class Follower:
    control_hz = HZ

    def __init__(self) -> None:
        self.seeds: list[int] = []
        self.sent: list[np.ndarray] = []
        self.stopped = False
        self.is_done: bool | None = None
        self.limit = np.inf
        self.stale: range = range(0)
        self.silent: range = range(0)
        self.holds: Iterable[int] = ()
        self.observed = 0

    def reset(self, seed: int) -> None:
        self.seeds.append(seed)

    def observe(self) -> dict[str, np.ndarray]:
        self.observed += 1
        return {STATE: np.full(6, float(len(self.sent)), np.float32), ENVIRONMENT_STATE: np.zeros(7, np.float32)}

    def unfit(self) -> str | None:
        return "cube and bin were last seen 0.40 s ago" if len(self.sent) in self.stale else None

    def is_stale(self) -> bool:
        return len(self.sent) in self.silent

    def held(self) -> str | None:
        return "elbow_flex (servo 3) did not answer for 3 cycles" if self.observed in self.holds else None

    def act(self, action: np.ndarray) -> np.ndarray:
        self.sent.append(np.minimum(action, self.limit))
        return self.sent[-1]

    def done(self) -> bool | None:
        return self.is_done

    def stop(self) -> None:
        self.stopped = True


class Hand:
    def __init__(self) -> None:
        self.connected = self.closed = False

    def connect(self) -> None:
        self.connected = True

    def start(self, observation: Any) -> None:
        pass

    def action(self, observation: Any) -> np.ndarray:
        return np.asarray(observation[STATE] + 1, np.float32)

    def close(self) -> None:
        self.closed = True


class Script:
    """Commands by step."""

    def __init__(self, by_step: dict[int, Command]) -> None:
        self.by_step, self.step = by_step, -1

    def __call__(self) -> Iterable[Command]:
        self.step += 1
        if self.step > 1000:
            raise AssertionError("the session does not end")
        return [self.by_step[self.step]] if self.step in self.by_step else []


def run(
    folder: Path,
    script: dict[int, Command],
    clock: Clock | None = None,
    follower: Follower | None = None,
    **params: Any,
) -> tuple[Session, Follower]:
    clock, follower = clock or Clock(), follower or Follower()
    with Recorder.create(folder, TASK.features, HZ, layout.ROBOT_TYPE, "pick") as recorder:
        session = Session(
            follower, Hand(), recorder, SessionParams(**{"n_episodes": 2, **params}), Script(script), clock.now, clock.sleep
        )
        session.run()
    return session, follower


def test_kept_episodes_hold_what_was_seen_before_each_action(tmp_path: Path) -> None:
    session, follower = run(tmp_path / "d", {2: Command.START, 6: Command.KEEP, 8: Command.START, 11: Command.KEEP})
    dataset = Dataset.open(tmp_path / "d")

    assert [timing.steps for timing in session.report.kept] == [4, 3]
    assert dataset.n_episodes == 2
    np.testing.assert_array_equal(dataset.columns["action"], dataset.columns[STATE] + 1)
    assert follower.seeds == [0, 1, 2]
    assert follower.stopped


def test_what_is_recorded_as_action_is_what_was_sent(tmp_path: Path) -> None:
    follower = Follower()
    follower.limit = 3.5
    run(tmp_path / "d", {0: Command.START, 6: Command.KEEP, 7: Command.QUIT}, follower=follower)

    assert Dataset.open(tmp_path / "d").columns["action"][:, 0].tolist() == [1.0, 2.0, 3.0, 3.5, 3.5, 3.5]


def test_objects_that_are_too_old_end_the_episode_at_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    follower = Follower()
    follower.stale = range(3, 5)
    script = {0: Command.START, 6: Command.KEEP, 8: Command.START, 12: Command.KEEP, 13: Command.QUIT}
    session, _ = run(tmp_path / "d", script, follower=follower)

    assert [timing.steps for timing in session.report.kept] == [4]
    assert session.report.refused == 1
    assert follower.seeds == [0, 0, 1]
    assert "the episode is dropped: cube and bin were last seen 0.40 s ago" in caplog.text
    np.testing.assert_array_equal(Dataset.open(tmp_path / "d").columns[STATE][:, 0], [8, 9, 10, 11])


def test_an_episode_in_which_the_arm_held_by_itself_is_dropped_and_the_session_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    follower = Follower()
    follower.holds = range(21, 27)
    script = {
        0: Command.START, 3: Command.KEEP, 5: Command.START, 14: Command.START,
        22: Command.START, 25: Command.KEEP, 26: Command.QUIT,
    }  # fmt: skip
    session, _ = run(tmp_path / "d", script, follower=follower, n_episodes=5)

    assert [timing.steps for timing in session.report.kept] == [3, 3]
    assert session.report.refused == 1
    assert "the episode is dropped: the arm holds because elbow_flex (servo 3) did not answer for 3 cycles" in caplog.text
    assert "the arm follows again" in caplog.text
    assert Dataset.open(tmp_path / "d").n_episodes == 2


def test_an_episode_cannot_be_started_or_kept_while_the_arm_holds(tmp_path: Path) -> None:
    follower = Follower()
    follower.holds = range(12, 2000)
    script = {0: Command.START, **dict.fromkeys(range(5, 20), Command.KEEP), 21: Command.START, 23: Command.QUIT}
    session, _ = run(tmp_path / "d", {**script, 5: Command.START}, follower=follower)

    assert [len(session.report.kept), session.report.tries] == [1, 1]


def test_discarded_and_repeated_episodes_are_not_in_the_dataset(tmp_path: Path) -> None:
    script = {0: Command.START, 3: Command.DISCARD, 4: Command.START, 7: Command.REPEAT, 9: Command.KEEP, 12: Command.QUIT}
    session, follower = run(tmp_path / "d", script)

    assert Dataset.open(tmp_path / "d").n_episodes == 1
    assert session.report.kept[0].steps == 2
    assert session.report.tries == 3
    assert follower.seeds == [0, 1, 1, 2]  # the repeated episode is of the same scene


def test_quitting_keeps_what_was_kept_and_drops_what_runs(tmp_path: Path) -> None:
    run(tmp_path / "d", {0: Command.START, 3: Command.KEEP, 4: Command.START, 8: Command.QUIT})

    assert Dataset.open(tmp_path / "d").n_episodes == 1


def test_an_interrupt_keeps_what_was_kept_and_stops_the_arm(tmp_path: Path) -> None:
    follower, clock = Follower(), Clock()
    commands = Script({0: Command.START, 3: Command.KEEP})

    def interrupted() -> Iterable[Command]:
        if commands.step == 6:
            raise KeyboardInterrupt
        return commands()

    with (
        pytest.raises(KeyboardInterrupt),
        Recorder.create(tmp_path / "d", TASK.features, HZ, layout.ROBOT_TYPE, "pick") as recorder,
    ):
        Session(follower, Hand(), recorder, SessionParams(5), interrupted, clock.now, clock.sleep).run()

    assert Dataset.open(tmp_path / "d").n_episodes == 1
    assert follower.stopped


def test_a_device_that_goes_away_ends_the_session_and_the_arm_holds(tmp_path: Path) -> None:
    follower, clock, hand = Follower(), Clock(), Hand()
    script = Script({0: Command.START, 3: Command.KEEP, 4: Command.START})

    def gone(observation: Any) -> np.ndarray:
        if script.step == 8:
            raise TeleopError("the gamepad went away")
        return np.asarray(observation[STATE] + 1, np.float32)

    hand.action = gone  # type: ignore[method-assign]
    with (
        pytest.raises(TeleopError, match="the gamepad went away"),
        Recorder.create(tmp_path / "d", TASK.features, HZ, layout.ROBOT_TYPE, "pick") as recorder,
    ):
        Session(follower, hand, recorder, SessionParams(5), script, clock.now, clock.sleep).run()

    assert follower.stopped
    assert hand.closed
    assert Dataset.open(tmp_path / "d").n_episodes == 1


def test_what_ended_a_session_is_told_and_not_what_it_led_to(caplog: pytest.LogCaptureFixture) -> None:
    class Failing(Follower):
        def act(self, action: np.ndarray) -> np.ndarray:
            raise FaultError("shoulder_lift (servo 2) reports OVERLOAD")

        def stop(self) -> None:
            raise FaultError("the arm is in FAULT; this needs ACTIVE")

    hand, clock = Hand(), Clock()
    with pytest.raises(FaultError, match="OVERLOAD"):
        Session(Failing(), hand, None, SessionParams(5), Script({}), clock.now, clock.sleep).run()

    assert "could not hold: the arm is in FAULT" in caplog.text
    assert hand.closed


def test_late_steps_are_counted_and_missed_ones_left_out(tmp_path: Path) -> None:
    # after steps 2 and 4 of 0.1 s: one 0.06 s late, one 0.27 s late, which leaves two steps out and is late again
    clock = Clock({2: 0.06, 4: 0.27})
    session, _ = run(tmp_path / "d", {0: Command.START, 10: Command.KEEP, 11: Command.QUIT}, clock, max_late_share=1.0)

    assert session.report.kept == [(10, 2, 2)]
    assert session.report.kept[0].late_share == pytest.approx(4 / 12)


def test_a_step_with_a_joint_s_number_of_the_step_before_counts_as_late(tmp_path: Path) -> None:
    follower = Follower()
    follower.silent = range(3, 5)
    session, _ = run(
        tmp_path / "d", {0: Command.START, 10: Command.KEEP, 11: Command.QUIT}, follower=follower, max_late_share=1.0
    )

    assert session.report.kept == [(10, 2, 0)]


def test_an_episode_that_was_too_late_too_often_is_refused(tmp_path: Path) -> None:
    script = {0: Command.START, 10: Command.KEEP, 11: Command.START, 14: Command.KEEP, 16: Command.QUIT}
    session, _ = run(tmp_path / "d", script, Clock({2: 0.06}))

    assert session.report.refused == 1
    assert [timing.steps for timing in session.report.kept] == [3]


def test_nothing_recorded_is_nothing_kept(tmp_path: Path) -> None:
    script = {0: Command.KEEP, 1: Command.DISCARD, 2: Command.START, 4: Command.KEEP, 5: Command.QUIT}
    session, _ = run(tmp_path / "d", script)

    assert [timing.steps for timing in session.report.kept] == [2]


def test_automatic_sessions_give_up_after_so_many_tries(tmp_path: Path) -> None:
    session, _ = run(tmp_path / "d", {}, automatic=True, time_limit_s=0.5, max_tries=3)

    assert session.report.tries == 3
    assert session.report.kept == []


def test_who_rehearses_plays_every_episode_and_records_none() -> None:
    clock, follower, said = Clock(dict.fromkeys(range(40), 0.09)), Follower(), []
    script = Script({0: Command.START, 4: Command.KEEP, 5: Command.START, 8: Command.KEEP})
    params = SessionParams(2, rehearses=True)
    session = Session(follower, Hand(), None, params, script, clock.now, clock.sleep, said.append)
    session.run()

    assert [timing.steps for timing in session.report.kept] == [4, 3], "late or not"
    assert session.report.kept[0].late > 0
    assert said[-1] == "2 of 2 played; nothing is recorded without --dataset"
    assert follower.stopped


def test_every_command_ends_or_keeps_a_state_that_exists() -> None:
    assert {state for state, _ in TRANSITIONS} == {SessionState.IDLE, SessionState.RECORDING}
    assert all((state, Command.QUIT) in TRANSITIONS for state in (SessionState.IDLE, SessionState.RECORDING))


class Watched(Follower):
    """Its camera shows how many targets were sent."""

    def observe(self) -> dict[str, np.ndarray]:
        picture = np.full((32, 32, 3), 10 + 4 * len(self.sent), np.uint8)
        return {**super().observe(), f"{IMAGES}.front": picture}


def test_pictures_of_kept_episodes_are_recorded_as_they_come_and_those_of_others_are_dropped(tmp_path: Path) -> None:
    script = {1: Command.START, 4: Command.DISCARD, 5: Command.START, 9: Command.KEEP, 10: Command.START, 12: Command.REPEAT}
    script |= {15: Command.KEEP}
    clock, features = Clock(), {**TASK.features, f"{IMAGES}.front": Feature.image(32, 32)}
    with Recorder.create(tmp_path / "d", features, HZ, layout.ROBOT_TYPE, "pick") as recorder:
        Session(Watched(), Hand(), recorder, SessionParams(2), Script(script), clock.now, clock.sleep).run()
        waiting = recorder.waiting
    dataset = Dataset.open(tmp_path / "d")

    shown = dataset.pictures[f"{IMAGES}.front"].gather(np.arange(dataset.n_frames)).mean(axis=(1, 2, 3))
    assert np.diff(dataset.episode_starts).tolist() == [4, 3]
    assert shown == pytest.approx(10 + 4 * dataset.columns[STATE][:, 0], abs=2)
    assert waiting.pictures == 3 + 4 + 2 + 3
