"""An eye in a bundle, and what it sees as a sensor of a run."""

from __future__ import annotations

import json

import numpy as np
import pytest

from soarm.errors import BundleError, ObservationError
from soarm.estimation import Questions
from soarm.runtime import senses
from soarm.runtime.bundle import BASE, EYE, RESIDUAL, Bundle
from soarm.runtime.eye import SeenObjects, load_eye
from soarm.runtime.picture_file import encode
from soarm.runtime.sensors import Stamped
from soarm.runtime.tracked import TrackedObjects
from soarm.spec import ENVIRONMENT_STATE, IMAGES, STATE, Feature
from soarm.tasks.pick_place import TASK

FRONT = f"{IMAGES}.front"
SEEN = [0.1, -0.2, 0.0125, 1.0, 0.0, 0.15, -0.1]
Q = np.array([0.0, 0.0, 5.0, 80.0, -80.0, 30.0])


@pytest.fixture
def make_bundle(tmp_path, eye_files, write_bundle):
    return lambda **how: Bundle.open(write_bundle(tmp_path / "bundle", eye_files(**how)))


class Still:
    """A camera whose picture was taken at some time."""

    subject = "pictures of the camera front"

    def __init__(self, t_s=10.0):
        self.t_s = t_s

    def read(self):
        return Stamped(self.t_s, np.zeros((4, 6, 3), np.uint8))


def test_a_bundle_with_an_eye_says_what_it_looks_through(make_bundle):
    bundle = make_bundle()

    assert set(bundle.sessions) == {BASE, RESIDUAL, EYE}
    assert bundle.eye_cameras == {"front": Feature.image(4, 6)}
    assert bundle.cameras == {}
    assert (
        bundle.mounting.cameras["front"]
        .words()
        .startswith("6 x 4 px, on world at (0.000, -0.600, 0.460) m, looking along (0.000, 0.600, -0.800), 30 deg of view")
    )
    answers = load_eye(bundle).network.look({FRONT: np.zeros((2, 4, 6, 3), np.uint8), STATE: np.tile(Q, (2, 1))})
    assert answers.shape == (2, Questions(TASK).dim)


def test_an_eye_of_other_pictures_or_without_their_sizes_is_refused(tmp_path, eye_files, write_bundle):
    files = eye_files()
    wide = {"front": {**json.loads(files["cameras.json"])["cameras"]["front"], "width_px": 8}}
    del files["cameras.json"]

    with pytest.raises(BundleError, match=r"cameras.json is not listed in checksums.json; an eye needs it"):
        Bundle.open(write_bundle(tmp_path / "none", files))
    with pytest.raises(BundleError, match=r"its inputs are .*\(4, 6, 3\).* spec.json has .*\(4, 8, 3\)"):
        Bundle.open(write_bundle(tmp_path / "wide", eye_files(cameras=wide)))
    with pytest.raises(BundleError, match=r"cameras.json does not describe cameras: camera 'front': width_px is 0"):
        Bundle.open(write_bundle(tmp_path / "bad", eye_files(cameras={"front": {**wide["front"], "width_px": 0}})))


def test_objects_are_seen_when_the_picture_was_taken_and_with_the_joints_of_that_time(make_bundle):
    asked, clock = [], [9.0]
    eye = load_eye(make_bundle())
    look = eye.network.look
    eye.network.look = lambda observation: (asked.append(observation[STATE]), look(observation))[1]
    seen = SeenObjects(TASK, eye, {FRONT: Still(9.75)}, now=lambda: clock[0])
    with pytest.raises(ObservationError, match="before the arm says where it is"):
        seen.read()
    for clock[0], shift in ((9.5, 0.0), (10.0, 4.0)):
        seen.update(Q + shift, Q)

    found = seen.read()
    assert found.t_s == 9.75
    np.testing.assert_allclose(found.value, SEEN, atol=1e-6)
    np.testing.assert_allclose(asked, [[Q + 2.0]])  # one arm is one row
    assert seen.subject == "cube and bin"


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"error_m": 0.1}, r"the eye does not see the cube \(expected error 0.100 m\) and the bin .*; 0.06 m are allowed"),
        ({"objects": [0.9, *SEEN[1:]]}, r"what the eye says: cube or bin cannot be there"),
        ({"objects": [np.nan, *SEEN[1:]]}, r"the eye does not see the cube \(expected error nan m\)"),
    ],
)
def test_what_the_eye_does_not_believe_or_cannot_be_is_no_sight(make_bundle, how, message):
    seen = SeenObjects(TASK, load_eye(make_bundle(**how)), {FRONT: Still()})
    seen.update(Q, Q)

    with pytest.raises(ObservationError, match=message):
        seen.read()


def test_a_yaw_that_is_a_little_too_long_is_believed(make_bundle):
    seen = SeenObjects(TASK, load_eye(make_bundle(objects=[*SEEN[:3], 1.1, 0.0, *SEEN[5:]])), {FRONT: Still()})
    seen.update(Q, Q)

    assert seen.read().value[3] == pytest.approx(1.1)


def test_a_bundle_with_an_eye_wants_its_cameras_unless_somebody_tells_the_objects(make_bundle, tmp_path):
    bundle, picture = make_bundle(), tmp_path / "front.ppm"
    picture.write_bytes(encode(np.zeros((4, 6, 3), np.uint8)))
    with senses.opened(bundle, None, [], [f"front={picture}"]) as sensors:
        assert list(sensors) == [FRONT, ENVIRONMENT_STATE]
        assert isinstance(sensors[ENVIRONMENT_STATE], SeenObjects)
    with senses.opened(bundle, tmp_path / "objects.json") as sensors:
        assert isinstance(sensors[ENVIRONMENT_STATE], TrackedObjects)
    with (
        pytest.raises(ObservationError, match="looks through front: the camera front is missing; give --camera front=DEVICE"),
        senses.opened(bundle),
    ):
        pass
