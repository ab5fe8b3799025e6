"""One training run of ACT at some step: network, average, optimiser, data, and how they move on.

Knows no file: `soarm.act.training` drives and stores it.
"""

from __future__ import annotations

import copy
import dataclasses
import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from soarm import arm
from soarm.act.loss import Objective, masked_l1
from soarm.act.model import ACT, Blueprint
from soarm.act.normalisation import Statistics
from soarm.act.params import TrainActParams
from soarm.act.poses import PoseHead, require_poses
from soarm.act.windows import Shuffle, Windows, observed, require_usable, rows_of, split_episodes
from soarm.base import Demonstrations
from soarm.errors import ParamsError, TrainingError
from soarm.kinematics import pose_of
from soarm.spec import ACTION, DEFAULT_TASK, STATE, PolicySpec, content_hash, image_keys
from soarm.vision.perception import EYE, EYE_FILE
from soarm.vision.trunks import TRUNKS, load_part

if TYPE_CHECKING:
    from accelerate import Accelerator

_EVALUATION_BATCH = 256
_PICTURES = 200
"""Pictures of each camera, evenly spaced, whose statistics are taken."""
_MOST_CELLS = 2048
"""Of all cameras together; each attends to all, so that attention takes memory and time as their number squared."""
_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclasses.dataclass(frozen=True)
class Result:
    """What training gives.

    Attributes:
        model: The network with averaged weights, in evaluation mode.
        metrics: Its figures: parameters, samples_per_s, val_l1_deg, val_gripper_percent, ...
    """

    model: ACT
    metrics: Mapping[str, float]


class Trainer:
    """A network, its optimiser and its data, at some step; everything a resumed run must find again.

    Args:
        demonstrations: The dataset.
        params: How to train.
        seed: Seed of the data's order and split; torch's random stream is seeded by the caller.
        device: Where.
        task: Name of the task, for the specification.
        eye: Folder of the eye that the network may start from.
        together: The processes that train this network with this one; None: there are no others.

    Raises:
        DatasetError: The data cannot be learnt from.
        ParamsError: The pictures have more cells than attention can be computed over.
        CheckpointError: The trunk's weights cannot be read.
    """

    def __init__(
        self,
        demonstrations: Demonstrations,
        params: TrainActParams,
        *,
        seed: int,
        device: torch.device,
        task: str | None = DEFAULT_TASK,
        eye: Path | None = None,
        together: Accelerator | None = None,
    ) -> None:
        keys = observed(demonstrations, params.inputs)
        require_usable(demonstrations, (*keys, ACTION))
        self.params, self.device, self.step, self.wall_s = params, device, 0, 0.0
        training, held_out = split_episodes(len(demonstrations.episode_starts) - 1, params.val_fraction, seed)
        poses = require_poses(demonstrations, keys) if params.pose_loss_weight > 0.0 else None
        self._windows = Windows(demonstrations, training, params.network.chunk_size, device, keys, poses)
        self._held_out = Windows(demonstrations, held_out, params.network.chunk_size, device, keys)
        statistics = _statistics(demonstrations, training, params, (*keys, ACTION))
        spec = PolicySpec(
            features={key: demonstrations.features[key] for key in (*keys, ACTION)},
            control_hz=demonstrations.fps,
            chunk_size=params.network.chunk_size,
            n_action_steps=params.network.n_action_steps,
            temporal_ensemble_coeff=params.network.temporal_ensemble_coeff,
            statistics_hash=statistics.hash,
            dataset_hash=demonstrations.hash,
            task=task,
        )
        network = params.network if image_keys(spec.features) else dataclasses.replace(params.network, perception=None)
        self.model = Blueprint(network, spec).build().to(device).train()
        _require_few_cells(self.model)
        self.model.fit_normalisation(statistics)
        if self.model.has_perception:
            pose = pose_of(demonstrations.columns[STATE][rows_of(demonstrations, training)])
            self.model.perception.fit(pose.mean(axis=0), np.maximum(pose.std(axis=0), params.std_floor))
        self.identity = {"params": dataclasses.asdict(params), "seed": seed, "spec": spec.to_dict()}
        if self.model.cameras and (weights := params.network.pretrained_backbone_weights) is not None:
            file = eye / EYE_FILE if weights == EYE and eye is not None else Path(weights)
            self.identity["backbone"] = _bring_weights(self.model, file)
        self.average = copy.deepcopy(self.model).eval().requires_grad_(False)
        if self.model.cameras and params.network.freeze_backbone:
            self._windows.keep_maps(self.average.look)
            self._held_out.keep_maps(self.average.look)
        if poses is not None:
            column = demonstrations.columns[poses][rows_of(demonstrations, training)]
            head = PoseHead.of(self.model, column, params.std_floor)
        else:
            head = None
        self.objective = Objective(self.model, params.augmentation, head, params.pose_loss_weight).to(device)
        self.optimiser = torch.optim.AdamW(
            [parameter for parameter in self.objective.parameters() if parameter.requires_grad],
            lr=params.learning_rate,
            weight_decay=params.weight_decay,
            fused=True,
        )
        self._scaler = torch.amp.GradScaler(device.type, enabled=params.precision == "float16")
        self.together = together
        self._objective: Any = self.objective if together is None else together.prepare_model(self.objective)
        if params.compile:
            self._objective = torch.compile(self._objective)
        self.shuffle = Shuffle(len(self._windows), params.batch_size, seed)
        self.sums = torch.zeros(4, device=device)  # of l1, kl, gradient norm and pose error since the last report
        self.n_summed = 0

    def advance(self) -> None:
        """Take one optimiser step."""
        start_s = time.perf_counter()
        set_learning_rate(self.optimiser, self.step, self.params)
        rows = self.shuffle.next()
        if self.together is not None:
            rows = rows[self.together.process_index :: self.together.num_processes]
        precision = _DTYPES[self.params.precision]
        with torch.autocast(self.device.type, precision, enabled=precision is not torch.float32):
            found = self._objective(self._windows.gather(rows))
        self.optimiser.zero_grad(set_to_none=True)
        self._scaler.scale(found.total).backward()
        self._scaler.unscale_(self.optimiser)
        norm = torch.nn.utils.clip_grad_norm_(self.objective.parameters(), self.params.max_grad_norm)
        if self._scaler.is_enabled():  # which leaves out a step whose gradient was too large for float16, and scales less
            norm = norm.nan_to_num(0.0, 0.0, 0.0)
        self._scaler.step(self.optimiser)
        self._scaler.update()
        update_average(self.average, self.model, self.step, self.params.ema_decay)
        self.sums += torch.stack([found.l1.detach(), found.kl.detach(), norm, found.pose.detach()])
        self.n_summed += 1
        self.step += 1
        self.wall_s += time.perf_counter() - start_s

    def report(self) -> dict[str, float]:
        """Return the means since the last report and the validation, for the training curves.

        Raises:
            TrainingError: The loss is no longer finite.
        """
        means = self.sums / self.n_summed
        l1, kl, norm, pose = (means if self.together is None else self.together.reduce(means, "mean")).tolist()
        if not np.isfinite([l1, kl, norm]).all():
            raise TrainingError(
                f"the loss of ACT is not finite before step {self.step} (l1 {l1}, kl {kl}, gradient norm {norm}); lower "
                f"train_act.learning_rate (now {self.params.learning_rate}) or max_grad_norm (now {self.params.max_grad_norm})"
            )
        self.sums.zero_()
        self.n_summed = 0
        rate = learning_rate(self.step - 1, self.params.learning_rate, self.params.warmup_steps, self.params.steps)
        terms = {"train_l1": l1, "kl": kl, "grad_norm": norm, "lr": rate}
        return terms | ({} if self.objective.pose_head is None else {"pose": pose}) | self.validate()

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """Return the mean absolute error of the averaged network on held-out episodes, latent at zero."""
        count = min(len(self._held_out), self.params.val_windows)
        rows = torch.linspace(0, len(self._held_out) - 1, count).long()
        total, n_valid = torch.zeros(arm.N_JOINTS, device=self.device), 0
        for part in torch.split(rows, self.params.batch_size if self.model.cameras else _EVALUATION_BATCH):
            batch = self._held_out.gather(part)
            n = int((~batch.is_pad).sum())
            seen = {**self.average.standardised(batch.observation), **batch.maps}
            total += n * masked_l1(self.average.chunks(seen), batch.action, batch.is_pad)
            n_valid += n
        error = (total / n_valid).tolist()
        gripper = error.pop(arm.GRIPPER)
        return {"val_l1_deg": float(np.mean(error)), "val_gripper_percent": gripper}

    def result(self) -> Result:
        """Return the averaged network and its figures."""
        metrics = {
            "parameters": self.average.n_parameters,
            "samples_per_s": round(self.step * self.params.batch_size / self.wall_s, 1),
            "train_windows": len(self._windows),
            **self.validate(),
        }
        return Result(self.average.cpu(), metrics)

    def state_dict(self) -> dict[str, Any]:
        """Return all that changes while training."""
        return {
            "objective": self.objective.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "scaler": self._scaler.state_dict(),
            "shuffle": self.shuffle.state_dict(),
            "counters": {"step": self.step, "wall_s": self.wall_s, "n_summed": self.n_summed},
            "sums": self.sums,
            "random": self._random_states(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where `state_dict` was taken."""
        self.objective.load_state_dict(state["objective"])
        self.average.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        self._scaler.load_state_dict(state["scaler"])
        self.shuffle.load_state_dict(state["shuffle"])
        self.step, self.wall_s, self.n_summed = (state["counters"][name] for name in ("step", "wall_s", "n_summed"))
        self.sums = state["sums"].to(self.device)
        random = state["random"][0 if self.together is None else self.together.process_index]
        torch.set_rng_state(random["cpu"])
        if self.device.type == "cuda":
            torch.cuda.set_rng_state(random["cuda"], self.device)

    def _random_states(self) -> list[dict[str, Tensor]]:
        """Return the state of torch's random stream in each process."""
        state = {"cpu": torch.get_rng_state()}
        if self.device.type == "cuda":
            state["cuda"] = torch.cuda.get_rng_state(self.device)
        if self.together is None:
            return [state]
        from accelerate.utils import gather_object

        states: list[dict[str, Tensor]] = gather_object([state])
        return states


class Schedule(Protocol):
    """How a learning rate goes over the steps; the parameters of a training are one."""

    @property
    def learning_rate(self) -> float: ...  # noqa: D102
    @property
    def warmup_steps(self) -> int: ...  # noqa: D102
    @property
    def steps(self) -> int: ...  # noqa: D102


def set_learning_rate(optimiser: torch.optim.Optimizer, step: int, schedule: Schedule) -> None:
    """Give an optimiser the learning rate of a step."""
    rate = learning_rate(step, schedule.learning_rate, schedule.warmup_steps, schedule.steps)
    for group in optimiser.param_groups:
        group["lr"] = rate


def learning_rate(step: int, peak: float, warmup_steps: int, steps: int) -> float:
    """Return the learning rate of step 0..steps - 1: linear warm-up to `peak`, then half a cosine down towards zero."""
    if step < warmup_steps:
        return peak * (step + 1) / warmup_steps
    return 0.5 * peak * (1.0 + math.cos(math.pi * (step - warmup_steps) / (steps - warmup_steps)))


@torch.no_grad()
def update_average(average: nn.Module, model: nn.Module, step: int, decay: float) -> None:
    """Move the weights of `average` towards those of `model`.

    The decay grows with the step, min(decay, (1 + step) / (10 + step)), so that the first weights are soon forgotten.
    """
    weight = 1.0 - min(decay, (1 + step) / (10 + step))
    torch._foreach_lerp_(list(average.parameters()), list(model.parameters()), weight)


def _statistics(
    demonstrations: Demonstrations, episodes: NDArray[np.int64], params: TrainActParams, keys: tuple[str, ...]
) -> Statistics:
    """Return what is normalised with: of the episodes; of pictures what the trunk's weights expect, where it is given some."""
    rows = rows_of(demonstrations, episodes)
    columns: dict[str, NDArray[Any]] = {
        key: demonstrations.columns[key][rows] for key in keys if key in demonstrations.columns
    }
    some = rows[np.linspace(0, len(rows) - 1, min(len(rows), _PICTURES)).astype(np.int64)]
    seen = image_keys({key: demonstrations.features[key] for key in keys})
    for key in seen:
        columns[key] = demonstrations.pictures[key].gather(some).reshape(-1, 3).astype(np.float32) / 255
    found = Statistics.of(columns, params.std_floor)
    if params.network.pretrained_backbone_weights is None:
        return found
    trunk = TRUNKS[params.network.vision_backbone]
    return Statistics({**found.mean, **dict.fromkeys(seen, trunk.mean)}, {**found.std, **dict.fromkeys(seen, trunk.std)})


def _require_few_cells(model: ACT) -> None:
    """Refuse pictures that are too large for their trunk."""
    if model.n_cells > _MOST_CELLS:
        sizes = {key: model.spec.features[key].shape[:2] for key in model.cameras}
        told = ", ".join(f"{key} {width} x {height}" for key, (height, width) in sizes.items())
        raise ParamsError(
            f"the pictures are too large for the trunk {model.config.vision_backbone!r}: its maps of {told} px have "
            f"{model.n_cells} cells, and attention takes at most {_MOST_CELLS}. Make smaller ones (`soarm dataset shrink "
            "FOLDER NEW_FOLDER --size 96x72`), name fewer cameras in train_act.inputs, or set "
            "train_act.network.vision_backbone to resnet18"
        )


def _bring_weights(model: ACT, path: Path) -> str:
    """Load what looks, a model's trunk or perception, from a file and return a hash of its weights."""
    name = "perception" if model.has_perception else "backbone"
    part = model.get_submodule(name)
    load_part(part, path, name)
    return content_hash(b"".join(weight.cpu().numpy().tobytes() for weight in part.state_dict().values()))
