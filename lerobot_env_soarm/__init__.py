"""The simulated tasks as environments of LeRobot: `lerobot-eval --env.type=soarm` runs LeRobot's policies in them.

    lerobot-eval --env.discover_packages_path=lerobot_env_soarm --env.type=soarm --policy.path=FOLDER

LeRobot imports this package by that name, and it registers itself. Needs LeRobot 0.4 or later, MuJoCo and soarm.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from lerobot.envs.configs import EnvConfig

try:
    from lerobot.configs.types import FeatureType, PolicyFeature
except ImportError:  # since 0.6
    from lerobot.configs import FeatureType, PolicyFeature

from soarm.envs.single import SoArmEnv
from soarm.spec import ACTION, gym_keys
from soarm.tasks.registry import TASKS, find

IDS = {task.name: task.env_id.replace("SoArm/", "SoArmForLeRobot/") for task in TASKS.values()}
"""Task -> id of the environment in LeRobot's form."""


class LeRobotForm(gymnasium.ObservationWrapper[dict[str, Any], Any, dict[str, Any]]):
    """An environment of soarm as LeRobot reads it: all pictures in one mapping, and the instruction.

    Args:
        **options: Of `soarm.envs.single.SoArmEnv`.
    """

    def __init__(self, **options: Any) -> None:
        inner = SoArmEnv(**options)
        super().__init__(inner)
        assert isinstance(inner.observation_space, spaces.Dict)
        boxes = dict(inner.observation_space.spaces)
        keys = gym_keys(options.get("cameras", ()))
        self._pictures = {key: keys[key].rpartition(".")[2] for key in boxes if key.startswith("pixels")}
        pictures = spaces.Dict({camera: boxes.pop(key) for key, camera in self._pictures.items()})
        self.observation_space = spaces.Dict({**boxes, **({"pixels": pictures} if self._pictures else {})})
        self.task_description = find(options.get("task", "pick_place")).instruction

    @property
    def _max_episode_steps(self) -> int | None:
        """Control steps until an episode is truncated; LeRobot looks for this name."""
        spec = self.unwrapped.spec
        return None if spec is None else spec.max_episode_steps

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Start the scene of `seed`; LeRobot's options tell of its rollouts, and nothing of a scene."""
        return super().reset(seed=seed)

    def observation(self, observation: dict[str, Any]) -> dict[str, Any]:
        """Return an observation with its pictures under `pixels`, camera -> picture."""
        seen = dict(observation)
        pictures = {camera: np.ascontiguousarray(seen.pop(key)) for key, camera in self._pictures.items()}
        return {**seen, **({"pixels": pictures} if pictures else {})}


@EnvConfig.register_subclass("soarm")
@dataclasses.dataclass
class SoArmConfig(EnvConfig):  # type: ignore[misc]
    """LeRobot's configuration of a simulated task.

    Attributes:
        task: Name of the task (`--env.task=push`).
        fps: The simulator's rate [Hz].
        cameras: Cameras whose pictures are observed, separated by commas (`--env.cameras=front,wrist`).
        observation_width: Width of these pictures [px].
        observation_height: Height of these pictures [px].
        time_limit_s: Length of an episode [s]; None takes the task's.
    """

    task: str | None = "pick_place"
    fps: int = 30
    cameras: str = ""
    observation_width: int = 96
    observation_height: int = 96
    time_limit_s: float | None = None
    features: dict[str, PolicyFeature] = dataclasses.field(default_factory=dict)
    features_map: dict[str, str] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        """Say what a policy observes and gives."""
        task, size = find(self.task), (self.observation_height, self.observation_width, 3)
        names = {ACTION: ACTION, **gym_keys(self.camera_names)}
        vectors = {"agent_pos": FeatureType.STATE, "environment_state": FeatureType.ENV, ACTION: FeatureType.ACTION}
        for key, name in names.items():
            is_vector = key in vectors
            shape = task.features[name].shape if is_vector else size
            self.features[key] = PolicyFeature(vectors[key] if is_vector else FeatureType.VISUAL, shape)
            self.features_map[key] = name

    @property
    def camera_names(self) -> tuple[str, ...]:
        """Names of the cameras."""
        return tuple(filter(None, self.cameras.split(",")))

    @property
    def package_name(self) -> str:
        """The package that registers the environments: this one."""
        return __name__

    @property
    def gym_id(self) -> str:
        """Id of the task's environment."""
        return IDS[find(self.task).name]

    @property
    def gym_kwargs(self) -> dict[str, Any]:
        """What the environment is made with."""
        return {
            "cameras": self.camera_names,
            "observation_width": self.observation_width,
            "observation_height": self.observation_height,
            "time_limit_s": self.time_limit_s,
            "render_mode": "rgb_array",
        }


for name, id in IDS.items():
    if id not in gymnasium.registry:
        gymnasium.register(id, entry_point=LeRobotForm, kwargs={"task": name})
