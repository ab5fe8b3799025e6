"""The exceptions of soarm. Bad input raises one of these; a broken promise of our own code raises AssertionError.

    SoarmError
    ├── ParamsError            params.yaml: unknown, missing or ill-typed key
    ├── SpecMismatchError      two artefacts that do not describe the same robot, task or policy
    ├── SimulationError        a scene that cannot be built, a backend that is missing, physics that blew up
    ├── DatasetError           a dataset that is missing, truncated, inconsistent, or may not be written
    ├── ObservationError       NaN, wrong shape or missing key in what a policy is asked to act on
    ├── TrainingError          a network that diverged while training
    ├── CheckpointError        a checkpoint that is missing, unreadable or of another run
    ├── BundleError            an ONNX bundle with a missing or changed file
    ├── ParityError            an exported network that does not compute what the trained one computes
    └── StageError             a stage that cannot start: missing input, dirty output, no git

Every message says what is wrong, the value found, what is allowed and what to do next.
"""


class SoarmError(Exception):
    """Base of every error soarm raises on purpose."""


class ParamsError(SoarmError, ValueError):
    """A section of params.yaml does not fit the dataclass that reads it."""


class SpecMismatchError(SoarmError, ValueError):
    """Two artefacts disagree on features, units, rates or provenance."""


class SimulationError(SoarmError, RuntimeError):
    """A scene, a rendering backend or a simulation step failed."""


class DatasetError(SoarmError, ValueError):
    """A LeRobot dataset on disk, or a write to it, is not acceptable."""


class ObservationError(SoarmError, ValueError):
    """An observation or action handed to a policy, an environment or a recorder is not usable."""


class TrainingError(SoarmError, RuntimeError):
    """Training cannot go on: the loss is no longer finite."""


class CheckpointError(SoarmError, ValueError):
    """A training checkpoint cannot be used."""


class BundleError(SoarmError, ValueError):
    """An exported bundle is incomplete or was changed after export."""


class ParityError(SoarmError, RuntimeError):
    """An exported network differs from the trained one by more than the threshold."""


class StageError(SoarmError, RuntimeError):
    """A pipeline stage cannot run as asked."""
