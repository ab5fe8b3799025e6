from __future__ import annotations

import dataclasses
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from soarm import kinematics
from soarm.chunking import Step
from soarm.errors import ParamsError
from soarm.params import build
from soarm.policies import N_LOOKAHEAD, RESIDUAL_BLOCKS, RESIDUAL_OBSERVATION_DIM, residual_observation
from soarm.residual import actor
from soarm.residual.actor import ResidualActor
from soarm.residual.sight import COARSE_M, EVERYTHING, FINE_DEG, FINE_M, MAGNIFIED, N_MAGNIFIED, Sight, SightParams, magnify
from soarm.residual.td3bc import ResidualTD3BC
from soarm.spec import ENVIRONMENT_STATE, STATE


def test_a_millimetre_beside_the_cube_is_seen() -> None:
    change = (magnify(Observed(cube_x_m=0.201).tensor()) - magnify(Observed().tensor())).abs().max()

    assert change > 0.04  # standardised by the 0.15 m the arm sweeps it would be 0.007


@dataclasses.dataclass(frozen=True)
class Observed:
    """A residual observation made where every policy gets it from, so that the slices of `magnify` are held to its layout."""

    cube_x_m: float = 0.2

    def tensor(self) -> torch.Tensor:
        state = np.zeros((1, 6), np.float32)
        tcp = kinematics.forward(state)[0][0]
        objects = np.array([[self.cube_x_m - 0.2 + tcp[0], tcp[1], tcp[2], 1.0, 0.0, 0.3, 0.0]], np.float32)
        step = Step(state + 1.0, np.zeros(1, np.float32), np.full((1, N_LOOKAHEAD, 6), 2.0, np.float32))
        return torch.from_numpy(residual_observation({STATE: state, ENVIRONMENT_STATE: objects}, step))


def test_magnified_part_holds_the_vectors_to_cube_and_bin_at_two_scales_and_the_coming_movement() -> None:
    seen = Observed(cube_x_m=0.21).tensor()
    magnified = magnify(seen)[0]
    vectors = seen[0, RESIDUAL_BLOCKS["cube_in_plane"].start : RESIDUAL_BLOCKS["bin_in_plane"].stop]

    assert magnified.shape == (N_MAGNIFIED,)
    assert magnified[:8].tolist() == pytest.approx(torch.tanh(vectors / FINE_M).tolist())
    assert magnified[8:16].tolist() == pytest.approx(torch.tanh(vectors / COARSE_M).tolist())
    assert magnified[16:22].tolist() == pytest.approx([np.tanh(1.0 / FINE_DEG)] * 6)
    assert magnified[22:].tolist() == pytest.approx([np.tanh(2.0 / FINE_DEG)] * 6)


def observations(n: int = 3) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).normal(0, 5, (n, RESIDUAL_OBSERVATION_DIM)).astype(np.float32))


def test_blocks_are_those_of_the_observation() -> None:
    at = [(block.start, block.stop) for block in RESIDUAL_BLOCKS.values()]
    seen = Observed(cube_x_m=0.21).tensor()[0]

    assert [start for start, _ in at] == [0, *(stop for _, stop in at[:-1])]
    assert at[-1][1] == RESIDUAL_OBSERVATION_DIM
    assert seen[RESIDUAL_BLOCKS["cube_offset"]].tolist() == pytest.approx([0.01, 0.0, 0.0], abs=1e-5)
    assert seen[RESIDUAL_BLOCKS["base_action"]].tolist() == [1.0] * 6
    assert seen[RESIDUAL_BLOCKS["phase"]].tolist() == [0.0, 1.0]
    assert seen[RESIDUAL_BLOCKS["lookahead"]].tolist() == [2.0] * 18


@pytest.mark.parametrize("name", list(RESIDUAL_BLOCKS))
def test_hidden_block_changes_nothing_that_is_seen(name: str) -> None:
    whole, blind = Sight(EVERYTHING), Sight(SightParams((name,), magnified=True))
    moved = observations()
    moved[:, RESIDUAL_BLOCKS[name]] += 3.0

    assert not torch.equal(whole(moved), whole(observations()))
    assert torch.equal(blind(moved), blind(observations()))
    assert int(blind.mask.sum()) < len(blind.mask)


def test_what_is_not_hidden_is_seen_as_before() -> None:
    whole, blind = Sight(EVERYTHING)(observations()), Sight(SightParams(("phase",), magnified=True))(observations())
    phase = RESIDUAL_BLOCKS["phase"]

    assert torch.equal(blind[:, : phase.start], whole[:, : phase.start])
    assert torch.equal(blind[:, phase.stop :], whole[:, phase.stop :])


def test_without_magnification_only_the_standardised_observation_is_seen() -> None:
    plain = Sight(SightParams((), magnified=False))(observations())

    assert torch.equal(plain[:, :-N_MAGNIFIED], Sight(EVERYTHING)(observations())[:, :-N_MAGNIFIED])
    assert (plain[:, -N_MAGNIFIED:] == 0).all()
    assert magnify(observations()).shape[1] == sum(n for n, _ in MAGNIFIED)


def test_unknown_block_is_refused_with_the_names_there_are() -> None:
    with pytest.raises(ParamsError, match=r"unseen\[0\] is 'clock'; it must be a block of the observation, one of \['state'"):
        build(SightParams, {"unseen": ["clock"], "magnified": True}, "sight.actor")


def test_saved_actor_is_as_blind_as_it_was(task: ModuleType, tmp_path: Path) -> None:
    network = ResidualActor((8,), layer_norm=True, sight=SightParams(("phase", "lookahead"), magnified=False))
    torch.nn.init.normal_(network.net[-2].weight)
    actor.save(network, dataclasses.replace(task.SPEC, residual_scale=task.SCALE), tmp_path)
    loaded, _ = actor.load(tmp_path)

    assert loaded.sight.params == network.sight.params
    assert torch.equal(loaded(observations()), network(observations()))


def test_critics_can_see_what_the_actor_cannot(task: ModuleType, tmp_path: Path) -> None:
    hidden = SightParams(("objects", "cube_offset"), magnified=True)
    model = task.make_model(policy_kwargs={"actor_sight": hidden})
    torch.nn.init.normal_(model.actor.mu.net[-2].weight)
    model.save(tmp_path / "residual.zip")
    policy = ResidualTD3BC.load(tmp_path / "residual.zip").policy
    moved, still = observations(), torch.zeros(3, 6)
    moved[:, RESIDUAL_BLOCKS["objects"]] += 1.0

    assert torch.equal(policy.actor(moved), policy.actor(observations()))
    assert not torch.equal(policy.critic(moved, still)[0], policy.critic(observations(), still)[0])
    assert policy.actor.mu.sight.params == hidden
