"""The learner on episodes, its checkpoint, and the file between it and the arm."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from soarm.errors import DatasetError, OnlineError
from soarm.online import beside
from soarm.online import folder as layout
from soarm.online.beside import Learning
from soarm.online.collecting import Collector, EpisodeReport
from soarm.online.followed_actor import FollowedActor
from soarm.online.learning import OnlineLearner
from soarm.online.make import make
from soarm.online.steps import Episode, StepFile, read_all
from soarm.online.tally import Tally
from soarm.residual.exploration import Explorer
from soarm.residual.td3bc import ResidualTD3BC


def episode(number, n, success, human=(), dim=None, seed=0):
    rng = np.random.default_rng(seed + number)
    observations = rng.normal(size=(n + 1, dim)).astype(np.float32)
    by_hand = np.isin(np.arange(n), human)
    return Episode(number, observations, rng.uniform(-1, 1, (n, 6)).astype(np.float32), by_hand, success)


@pytest.fixture
def model(residual_zip):
    return ResidualTD3BC.load(residual_zip, device="cpu")


@pytest.fixture
def learner(model, params, make_demonstrations):
    return OnlineLearner(model, params, make_demonstrations(), fresh=False, seed=0)


def weights(learner):
    return torch.cat([p.flatten() for p in learner.model.policy.parameters()]).clone()


def dim(learner):
    return learner.model.observation_space.shape[0]


def test_nothing_is_owed_before_the_prefill_is_over_and_then_as_many_updates_as_steps_ask_for(learner):
    learner.add(episode(0, 15, True, dim=dim(learner)))
    before = learner.n_owed
    learner.add(episode(1, 15, False, dim=dim(learner)))

    assert before == 0
    assert learner.n_owed == 2 + 5  # the warm-up's, and half an update for each of ten steps
    while learner.n_owed:
        learner.update()
    assert learner.n_updates == 7


def test_a_success_ends_the_value_and_a_cut_episode_does_not(learner):
    learner.add(episode(0, 4, True, dim=dim(learner)))
    learner.add(episode(1, 3, False, dim=dim(learner)))
    buffer = learner.model.replay_buffer

    assert buffer.rewards[:7, 0].tolist() == [0, 0, 0, 1, 0, 0, 0]
    assert buffer.dones[:7, 0].tolist() == [0, 0, 0, 1, 0, 0, 1]
    assert buffer.timeouts[:7, 0].tolist() == [0, 0, 0, 0, 0, 0, 1]


def test_a_person_s_steps_count_as_demonstrated_and_their_value_goes_on_where_the_policy_took_over(learner):
    one = episode(0, 6, True, human=(1, 2, 5), dim=dim(learner))
    learner.add(one)
    shown = learner._by_hand
    drawn = learner.model.demonstrations.sample(8)

    assert (learner.n_human, shown.size()) == (3, 3)
    assert shown.rewards[:3, 0].tolist() == [0, 0, 1]
    assert shown.dones[:3, 0].tolist() == [0, 1, 1]
    assert shown.timeouts[:3, 0].tolist() == [0, 1, 0]
    of_hand = [any(np.array_equal(seen, own) for own in one.observations[[1, 2, 5]]) for seen in drawn.observations.numpy()]
    assert of_hand == [False, True] * 4


def test_without_demonstrations_a_person_s_steps_are_the_first(model, params):
    learner = OnlineLearner(model, params, None, fresh=False, seed=0)
    before = learner.model.demonstrations
    learner.add(episode(0, 30, True, human=range(5, 10), dim=dim(learner)))
    learner.update()

    assert before is None
    assert learner.model.demonstrations.sample(4).actions.shape == (4, 6)


def test_from_zero_it_is_the_base_until_it_learns_and_takes_its_own_statistics(model, params):
    learner = OnlineLearner(model, params, None, fresh=True, seed=3)
    learner.add(episode(0, 30, True, dim=dim(learner)))
    zero = learner.model.policy.actor.mu.predict_residual(np.ones((1, dim(learner)), np.float32))
    learner.update()

    assert not zero.any()
    seen = learner.model.replay_buffer.observations[:30, 0]
    np.testing.assert_allclose(learner.model.policy.actor.mu.sight.mean, seen.mean(axis=0), atol=1e-5)


def test_the_same_episodes_and_the_same_seed_give_the_same_networks(residual_zip, params, make_demonstrations):
    def learnt(seed):
        model = ResidualTD3BC.load(residual_zip, device="cpu")
        learner = OnlineLearner(model, params, make_demonstrations(), fresh=False, seed=seed)
        learner.add(episode(0, 30, True, dim=dim(learner)))
        for _ in range(5):
            learner.update()
        return weights(learner)

    assert torch.equal(learnt(0), learnt(0))
    assert not torch.equal(learnt(0), learnt(1))


def test_a_checkpoint_brings_networks_optimisers_and_the_number_of_updates_back(learner, residual_zip, params, tmp_path):
    learner.add(episode(0, 30, True, dim=dim(learner)))
    for _ in range(5):
        learner.update()
    learner.save(tmp_path / "learner.pt")
    again = OnlineLearner(ResidualTD3BC.load(residual_zip, device="cpu"), params, None, fresh=False, seed=1)
    again.load(tmp_path / "learner.pt")

    assert torch.equal(weights(again), weights(learner))
    assert again.n_updates == 5
    state = (
        learner.model.policy.critic.optimizer.state_dict()["state"],
        again.model.policy.critic.optimizer.state_dict()["state"],
    )
    assert all(
        torch.equal(one["exp_avg"], other["exp_avg"]) for one, other in zip(state[0].values(), state[1].values(), strict=True)
    )


def test_a_checkpoint_that_is_none_says_what_to_do(learner, tmp_path):
    (tmp_path / "learner.pt").write_bytes(b"nothing")

    with pytest.raises(OnlineError, match="Remove it: the steps beside it are learnt from again"):
        learner.load(tmp_path / "learner.pt")


# The folder, and a whole session in lockstep.


@pytest.fixture
def run(residual_zip, params, tmp_path):
    return layout.begin(tmp_path / "run", residual_zip, params, None, fresh=False, seed=0)


def collect(run, learning, n_episodes, first=0):
    """Run episodes on the twin, learning after each; return what the arm was driven with in the end."""
    model = ResidualTD3BC.load(run.path / layout.RESIDUAL, device="cpu")
    actor = FollowedActor(model.policy.actor.mu, run.path / layout.ACTOR)
    explorer = Explorer(1, run.params.exploration, np.random.default_rng(first))
    env = make("twin", time_limit_s=1.0)
    reports = []
    with StepFile(run.path / layout.STEPS, model.observation_space.shape[0], run.about) as steps:
        collector = Collector(env, model.base_model, model.spec, actor, explorer, steps)
        for i in range(n_episodes):
            reports.append(collector.episode(first + i, actor.refresh))
            learning.read()
            while learning.step():
                pass
            learning.publish()
            actor.refresh()
    env.close()
    return reports, model.policy.actor.mu


def begun(run):
    model = ResidualTD3BC.load(run.path / layout.RESIDUAL, device="cpu")
    StepFile(run.path / layout.STEPS, model.observation_space.shape[0], run.about).close()
    return Learning(run, beside.build(run))


def test_an_arm_learns_and_a_second_session_goes_on_where_the_first_one_ended(run):
    learning = begun(run)
    reports, driven = collect(run, learning, 2)
    learning.close()
    n_updates = learning.learner.n_updates
    again = begun(run)

    assert [report.n_steps for report in reports] == [30, 30]
    assert n_updates == 2 + 20
    assert (again.learner.n_steps, again.learner.n_updates, again.learner.n_owed) == (60, n_updates, 0)
    assert torch.equal(weights(again.learner), weights(learning.learner))
    for name, value in learning.learner.model.policy.actor.mu.state_dict().items():
        assert torch.equal(value, driven.state_dict()[name])
    collect(run, again, 1, first=2)
    assert again.learner.n_steps == 90
    assert Tally.of(run.path / layout.STEPS).n_episodes == 3
    again.close()


def test_what_was_executed_stands_in_the_file_and_adds_up_with_the_base(run):
    learning = begun(run)
    collect(run, learning, 1)
    (one,) = read_all(run.path / layout.STEPS)
    base = one.observations[:-1, learning.learner.model.policy.critic.sight.base_action]
    executed = base + 5.0 * one.residuals
    learning.close()

    assert np.abs(np.diff(executed, axis=0)).max() * 30 <= 361.0  # degrees per second: the safety chain's


def test_a_learner_that_was_killed_owes_the_updates_since_its_checkpoint(run):
    learning = begun(run)
    collect(run, learning, 2)
    again = begun(run)  # without a checkpoint, as after a kill

    assert again.learner.n_updates == 0
    assert again.learner.n_owed == 22
    learning.close()
    again.close()


def test_a_folder_goes_on_only_from_what_it_was_begun_with(run, residual_zip, params, tmp_path):
    other = dataclasses.replace(params, batch_size=32)
    same = layout.begin(run.path, residual_zip, other, None, fresh=False, seed=0)

    assert same == run  # as it was begun
    with pytest.raises(OnlineError, match="begun from another residual"):
        layout.begin(run.path, residual_zip, params, None, fresh=True, seed=0)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_text("x")
    with pytest.raises(OnlineError, match="holds other files"):
        layout.begin(tmp_path / "full", residual_zip, params, None, fresh=False, seed=0)
    with pytest.raises(OnlineError, match=r"train one \(`soarm rl-train`\)"):
        layout.begin(tmp_path / "new", tmp_path / "missing.zip", params, None, fresh=False, seed=0)


def test_a_folder_of_a_stage_is_no_place_for_it(residual_zip, params):
    with pytest.raises(DatasetError):
        layout.begin(
            beside.Path(__file__).parents[2] / "data" / "train_residual", residual_zip, params, None, fresh=False, seed=0
        )


def test_the_line_of_an_episode_says_success_share_by_hand_temperature_and_stops():
    tally = Tally()
    for success, stopped in ((True, None), (False, "the arm is in FAULT")):
        report = EpisodeReport(60, 15, success, False, stopped, 41, 0.0012)
        tally.add(report)

    line = tally.line(report, 30)
    assert "episode 2: the arm is in FAULT after 2.0 s; success of the last 2: 50 %" in line
    assert "120 steps, 25 % by hand; warmest servo 41 degC; stopped 1 times; ticks up to 1.2 ms late" in line


def test_the_penalty_pulls_to_the_residual_it_started_from(residual_zip, params):
    def moved(penalty):
        model = ResidualTD3BC.load(residual_zip, device="cpu")
        torch.manual_seed(1)
        torch.nn.init.normal_(model.policy.actor.mu.net[-2].weight, std=0.3)
        alone = dataclasses.replace(params, penalty=penalty, demonstration_share=0.0, warmup_updates=0, actor_lr=3e-3)
        learner = OnlineLearner(model, alone, None, fresh=False, seed=0)
        learner.add(episode(0, 30, True, dim=dim(learner)))
        before = model.policy.actor.mu.predict_residual(learner.model.replay_buffer.observations[:30, 0])
        for _ in range(60):
            learner.update()
        after = model.policy.actor.mu.predict_residual(learner.model.replay_buffer.observations[:30, 0])
        return np.abs(before).mean(), np.abs(after - before).mean()

    (size, free), (_, held) = moved(0.0), moved(100.0)
    assert size > 0.2
    assert held < free / 3


def test_the_first_updates_are_no_larger_than_the_learning_rate_whatever_the_optimisers_bring(residual_zip, params):
    model = ResidualTD3BC.load(residual_zip, device="cpu")
    for network in (model.policy.actor, model.policy.critic):  # as at the end of a training
        for parameter in network.optimizer.param_groups[0]["params"]:
            tiny = torch.full_like(parameter, 1e-12)
            network.optimizer.state[parameter] = {"step": torch.tensor(1e4), "exp_avg": 0 * tiny, "exp_avg_sq": tiny}
    learner = OnlineLearner(model, dataclasses.replace(params, warmup_updates=0), None, fresh=False, seed=0)
    learner.add(episode(0, 30, True, dim=dim(learner)))
    before = [p.clone() for p in model.policy.actor.parameters()]
    for _ in range(4):  # two of them are the actor's
        learner.update()

    moved = max(float((p - old).abs().max().detach()) for p, old in zip(model.policy.actor.parameters(), before, strict=True))
    assert 0 < moved <= 2.1 * params.actor_lr
