"""The exceptions of soarm. Bad input raises one of these; a broken promise of our own code raises AssertionError.

    SoarmError
    ├── SmallFileError         a file that cannot be read, or is not JSON; its reader names the file and raises its own error
    ├── MissingPackageError    a package of one of soarm's extras that is not installed here
    ├── ParamsError            params.yaml: unknown, missing or ill-typed key
    ├── SpecMismatchError      two artefacts that do not describe the same robot, task or policy
    ├── SimulationError        a scene that cannot be built, a backend that is missing, physics that blew up
    ├── DatasetError           a dataset that is missing, truncated, inconsistent, or may not be written
    ├── ViewError              a dataset that cannot be shown: no room for its page, no viewer
    ├── ObservationError       NaN, wrong shape or missing key in what a policy is asked to act on
    ├── TrainingError          a network that diverged while training
    ├── CheckpointError        a checkpoint that is missing, unreadable or of another run
    ├── BundleError            an ONNX bundle with a missing or changed file
    ├── ParityError            an exported network that does not compute what the trained one computes
    ├── StageError             a stage that cannot start: missing input, dirty output, no git
    ├── HardwareError          the arm, real or emulated
    │   ├── BusError           a servo that does not answer, or answers nonsense
    │   │   └── PortError      a serial port that is missing, busy, forbidden or was unplugged
    │   ├── CalibrationError   a joint that is not calibrated, or a calibration that is not this arm's
    │   └── FaultError         the arm stopped, or must not start: overload, heat, voltage, a joint that went silent
    ├── GateError              a bundle that was not trained for the arm it is to drive
    ├── LogError               the log of a run that cannot be read or replayed
    ├── OnlineError            learning on an arm that cannot start or go on: its folder, its steps, who resets it
    ├── ProofError             an evaluation on an arm: its folder is damaged, in use or of another bundle, or it is not over
    ├── TeleopError            an input device that is missing, or a session that cannot go on
    └── TwinError              an emulated arm that cannot be set up: unknown fault, unknown servo model, no pseudo-terminal

Every message says what is wrong, the value found, what is allowed and what to do next.
"""


def how_to_install(extra: str) -> str:
    """Return in words how to install an extra of soarm, for the messages of what is missing: soarm is on no package index."""
    return f"pip install -c constraints.txt '.[{extra}]' in the clone of soarm, in this environment"


class SoarmError(Exception):
    """Base of every error soarm raises on purpose."""


class SmallFileError(SoarmError, ValueError):
    """What is wrong with a file or a text, as a predicate without a subject: "is not JSON: ...", "cannot be read (...)"."""


class MissingPackageError(SoarmError, ImportError):
    """A package that an extra of soarm installs is not installed."""


class ParamsError(SoarmError, ValueError):
    """A section of params.yaml does not fit the dataclass that reads it."""


class SpecMismatchError(SoarmError, ValueError):
    """Two artefacts disagree on features, units, rates or provenance."""


class SimulationError(SoarmError, RuntimeError):
    """A scene, a rendering backend or a simulation step failed."""


class DatasetError(SoarmError, ValueError):
    """A LeRobot dataset on disk, or a write to it, is not acceptable."""


class ViewError(SoarmError, RuntimeError):
    """A dataset cannot be shown: another file is where its page should be, or there is no viewer."""


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


class HardwareError(SoarmError, RuntimeError):
    """The arm, real or emulated, cannot do what is asked of it."""


class BusError(HardwareError):
    """A servo does not answer, or what it answers is damaged."""


class PortError(BusError):
    """A serial port is missing, busy, forbidden or was unplugged."""


class CalibrationError(HardwareError, ValueError):
    """A calibration is missing, incomplete, impossible or of another arm."""


class FaultError(HardwareError):
    """The arm stopped, or must not start; the message names the joint and the cause."""


class GateError(SoarmError, ValueError):
    """A bundle must not drive this arm: it was trained for another one, or for other settings."""


class LogError(SoarmError, ValueError):
    """The log of a run cannot be read or replayed."""


class OnlineError(SoarmError, RuntimeError):
    """Learning on an arm cannot start or go on as asked."""


class ProofError(SoarmError, ValueError):
    """An evaluation on an arm cannot go on, or cannot be reported yet."""


class TeleopError(SoarmError, RuntimeError):
    """Teleoperation cannot start or go on."""


class TwinError(SoarmError, ValueError):
    """An emulated arm cannot be set up as asked."""
