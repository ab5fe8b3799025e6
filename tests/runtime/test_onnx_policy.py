import dataclasses
import json
import threading

import numpy as np
import onnx
import pytest

from soarm.errors import BundleError, ObservationError
from soarm.policies import ChunkedPolicy
from soarm.policy import add_residual, clip_to_limits
from soarm.runtime.bundle import Bundle
from soarm.runtime.onnx_policy import OnnxBase, OnnxResidual, load_policy
from soarm.spec import ENVIRONMENT_STATE, STATE
from soarm.tasks.pick_place import TASK
from soarm.tasks.residual_observation import N_LOOKAHEAD

LAYOUT = TASK.residual_observation


def observations(n, seed=0):
    rng = np.random.default_rng(seed)
    state, objects = 20 * rng.normal(size=(n, 6)), rng.normal(size=(n, 7))
    return {STATE: state.astype(np.float32), ENVIRONMENT_STATE: objects.astype(np.float32)}


@pytest.fixture
def bundle(bundle_folder):
    return Bundle.open(bundle_folder)


def weight(content):
    model = onnx.load_from_string(content)
    return next(onnx.numpy_helper.to_array(one) for one in model.graph.initializer if one.name == "weight")


@pytest.mark.parametrize("n", [1, 2, 7])
def test_chunks_are_what_the_graph_says_for_any_batch(bundle, bundle_files, n):
    seen = observations(n)

    chunks = OnnxBase(bundle).predict_chunks(seen)

    expected = np.concatenate([seen[STATE], seen[ENVIRONMENT_STATE]], axis=1) @ weight(bundle_files["act.onnx"])
    assert chunks.shape == (n, 5, 6)
    assert chunks.dtype == np.float32
    np.testing.assert_allclose(chunks, expected.reshape(n, 5, 6), atol=1e-5)


@pytest.mark.parametrize("n", [1, 3])
def test_residuals_are_what_the_graph_says_for_any_batch(bundle, bundle_files, n):
    seen = np.random.default_rng(2).normal(size=(n, LAYOUT.dim)).astype(np.float32)

    np.testing.assert_allclose(
        OnnxResidual(bundle).predict_residual(seen), np.tanh(seen @ weight(bundle_files["residual.onnx"])), atol=1e-6
    )


def test_float64_observations_are_taken(bundle):
    seen = observations(2)

    assert np.array_equal(
        OnnxBase(bundle).predict_chunks({key: value.astype(np.float64) for key, value in seen.items()}),
        OnnxBase(bundle).predict_chunks(seen),
    )


def test_the_residual_policy_is_the_base_plus_the_scaled_residual(bundle, spec):
    rows = np.arange(3)
    policy = load_policy(bundle, 3, "residual")
    base = ChunkedPolicy(OnnxBase(bundle), spec, 3, N_LOOKAHEAD)
    policy.reset(rows, [0, 1, 2])

    for t in range(7):
        seen = observations(3, seed=t)
        step = base.advance(seen, rows)
        residual = OnnxResidual(bundle).predict_residual(LAYOUT.compute(seen, step))

        assert np.array_equal(policy.act(seen, rows), add_residual(step.action, residual, spec.residual_scale))


def test_the_base_policy_plays_each_chunk_for_n_action_steps(bundle):
    row = np.arange(1)
    policy = load_policy(bundle, 1, "base")
    first = OnnxBase(bundle).predict_chunks(observations(1, seed=0))[0]
    fourth = OnnxBase(bundle).predict_chunks(observations(1, seed=3))[0]

    actions = np.concatenate([policy.act(observations(1, seed=t), row) for t in range(4)])

    np.testing.assert_allclose(actions, clip_to_limits([*first[:3], fourth[0]]), atol=1e-5)


def test_nan_in_an_observation_is_refused(bundle):
    seen = observations(1)
    seen[STATE][0, 2] = np.nan

    with pytest.raises(ObservationError, match=r"observation.state holds values that are not finite at \[\(0, 2\)\]"):
        load_policy(bundle, 1, "base").act(seen, np.arange(1))


def test_asking_for_a_residual_that_is_not_there_is_refused(tmp_path, write_bundle, networks, spec):
    alone = dataclasses.replace(spec, residual_scale=None)
    files = {"act.onnx": networks["act"](alone).SerializeToString(), "spec.json": json.dumps(alone.to_dict()).encode()}
    bundle = Bundle.open(write_bundle(tmp_path / "alone", files))

    with pytest.raises(BundleError, match="holds no residual; ask for the base policy"):
        load_policy(bundle, 1, "residual")


def test_opening_and_running_a_bundle_starts_no_threads(bundle):
    options = bundle.sessions["act"].get_session_options()

    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (1, 1)
    for kind in ("intra_op", "inter_op"):
        assert options.get_session_config_entry(f"session.{kind}.allow_spinning") == "0"


def test_two_threads_may_share_a_network(bundle):
    act, seen = OnnxBase(bundle), observations(4)
    expected, found = act.predict_chunks(seen), []
    threads = [threading.Thread(target=lambda: found.extend(act.predict_chunks(seen) for _ in range(50))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(found) == 100
    assert all(np.array_equal(expected, one) for one in found)
