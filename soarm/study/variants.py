"""What is studied: the section `study` of params.yaml. A variant is one line of it, a run is a variant and a training seed."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Annotated, Any

from soarm.base import BasePolicy
from soarm.errors import ParamsError
from soarm.evaluation.evaluator import ScenesParams
from soarm.evaluation.paired import Resamples
from soarm.params import build, changed
from soarm.quantities import DIFFERENT, SEEDS, SOME, Count, Seed, within
from soarm.residual.training import TrainResidualParams

Seeds = Annotated[tuple[Seed, ...], SOME, DIFFERENT]
"""Training seeds, as a parameter."""
REFERENCE = "residual"
"""The method as `train_residual` sets it."""


@dataclasses.dataclass(frozen=True)
class Variant:
    """One line of the study.

    Attributes:
        method: Name of the method, a key of `soarm.study.methods.METHODS`.
        label: What tables and figures call it.
        residual: What it changes in `train_residual`, nested as there.
        act: What it changes in how the base plays its chunks: `n_action_steps`, `temporal_ensemble_coeff`.
        bound_factor: What the residual's bound is multiplied with.
        seeds: Training seeds in place of the common ones; null takes those.
        env_steps: A budget of its own in place of the common one. Such a variant shows what more steps give and is compared
            with nobody. Null takes the common one.
        options: For the method.
        reference: The variant it differs from in what its label says, and is compared with.
    """

    method: str
    label: str
    residual: dict[str, Any]
    act: dict[str, Any]
    bound_factor: Annotated[float, within(above=0, most=100)]
    seeds: Seeds | None
    env_steps: Count | None
    options: dict[str, Any]
    reference: str

    def __post_init__(self) -> None:
        if "env_steps" in self.residual:
            raise ValueError("residual sets env_steps; the budget is study.env_steps, or the variant's own env_steps")
        unknown = [key for key in self.act if key not in _CHUNKING]
        if unknown:
            raise ValueError(
                f"act has unknown keys {unknown}; a variant can change {list(_CHUNKING)} without training the base anew"
            )


@dataclasses.dataclass(frozen=True)
class StudyParams:
    """The study.

    Attributes:
        seeds: Training seeds of every variant.
        env_steps: Budget of every run whose variant has none of its own.
        test: How base and final policy are evaluated: the scenes are those of `eval_base`.
        bootstrap_resamples: Resamples of every bootstrap interval.
        common: What a variant does not say.
        variants: Name -> what it says of a `Variant`; `label` at least.
    """

    seeds: Seeds
    env_steps: Count
    test: ScenesParams
    bootstrap_resamples: Resamples
    common: dict[str, Any]
    variants: dict[str, dict[str, Any]]

    def __post_init__(self) -> None:
        if REFERENCE not in self.variants:
            raise ValueError(f"variants are {list(self.variants)}; {REFERENCE} must be one, the others are compared with it")
        for name, line in self.variants.items():
            reference = line.get("reference", self.common.get("reference", REFERENCE))
            if isinstance(reference, str) and reference not in self.variants:  # another kind is refused with its line
                raise ValueError(f"variant {name} has the reference {reference!r}; it must be one of {list(self.variants)}")

    def variant(self, name: str) -> Variant:
        """Return a variant, what it leaves open taken from `common`.

        Raises:
            ParamsError: There is none of that name, or it does not fit.
        """
        if name not in self.variants:
            raise ParamsError(f"study has no variant {name!r}; params.yaml has {list(self.variants)}: add a line there")
        build(Variant, {"label": name, **self.common}, where="params.yaml: study.common")
        merged = {**self.common, **self.variants[name]}
        for key in ("residual", "act", "options"):
            merged[key] = _laid_over(self.common.get(key, {}), self.variants[name].get(key, {}))
        return build(Variant, merged, where=f"params.yaml: study.variants.{name}")

    def budget(self, name: str) -> int:
        """Return the environment steps a run of a variant has."""
        own = self.variant(name).env_steps
        return self.env_steps if own is None else own

    def runs(self) -> list[tuple[str, int]]:
        """Return every run, as (variant, seed)."""
        return [(name, seed) for name in self.variants for seed in self.variant(name).seeds or self.seeds]


def require_seed(seed: int) -> int:
    """Return a training seed there are scenes for.

    Raises:
        ParamsError: There are none.
    """
    if seed not in SEEDS:
        raise ParamsError(f"seed is {seed}; allowed are {SEEDS.start}..{SEEDS.stop - 1}, each with training scenes of its own")
    return seed


def params_of(variant: Variant, name: str, params: TrainResidualParams, env_steps: int) -> TrainResidualParams:
    """Return the parameters of a run's training.

    Args:
        variant: The variant.
        name: Its name.
        params: The section `train_residual`.
        env_steps: Its budget.

    Raises:
        ParamsError: The variant changes what is not there, or to what is not allowed.
    """
    return changed(params, {**variant.residual, "env_steps": env_steps}, f"params.yaml: study.variants.{name}.residual")


def rechunked(base: BasePolicy, variant: Variant, name: str) -> BasePolicy:
    """Return the trained base, its chunks played as the variant wants; `base` itself where the variant changes nothing.

    Raises:
        ParamsError: The chunks cannot be played like that.
    """
    if not variant.act:
        return base
    config = changed(base.blueprint.config, variant.act, f"params.yaml: study.variants.{name}.act")
    spec = dataclasses.replace(base.spec, **{key: getattr(config, key) for key in _CHUNKING})
    played = dataclasses.replace(base.blueprint, config=config, spec=spec).build()
    played.load_state_dict(base.state_dict())
    return played.eval()


_CHUNKING = ("n_action_steps", "temporal_ensemble_coeff")


def _laid_over(below: Any, above: Any) -> Any:
    if not isinstance(below, Mapping) or not isinstance(above, Mapping):
        return above
    return {**below, **{key: _laid_over(below.get(key), value) for key, value in above.items()}}
