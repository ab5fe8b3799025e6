"""Files and words of LeRobot's policies (0.4 to 0.6), which reading and writing share."""

from __future__ import annotations

from typing import Final

from soarm.spec import ACTION, ENVIRONMENT_STATE, IMAGES, STATE

CONFIG_FILE: Final = "config.json"
WEIGHTS_FILE: Final = "model.safetensors"
SPEC_FILE: Final = "soarm_spec.json"
"""Our specification beside LeRobot's files, which have no place for units, rate and names; LeRobot does not read it."""
PREPROCESSOR, POSTPROCESSOR = "policy_preprocessor", "policy_postprocessor"
NORMALIZER, UNNORMALIZER = "normalizer_processor", "unnormalizer_processor"
PASSING: Final = ("rename_observations_processor", "to_batch_processor", "device_processor")
"""Steps that change no number."""
PREFIX: Final = "model."
"""What the names of weights begin with: a policy holds its network under that name."""
RECOMPUTED: Final = "vae_encoder_pos_enc"
"""A buffer that LeRobot saves and that follows from the sizes."""
EPS: Final = 1e-8
"""What LeRobot adds to the standard deviation of its inputs, not to that of its outputs."""
MEAN_STD, IDENTITY = "MEAN_STD", "IDENTITY"


def kind_of(key: str) -> str | None:
    """Return LeRobot's type of a feature that ACT observes or gives; None of any other."""
    kinds = {STATE: "STATE", ENVIRONMENT_STATE: "ENV", ACTION: "ACTION"}
    return kinds.get(key, "VISUAL" if key.startswith(f"{IMAGES}.") else None)
