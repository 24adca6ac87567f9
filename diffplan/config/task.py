"""The facts of one task and the paper's settings for it, checked when built."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from diffplan.config.ranges import Protocol
from diffplan.errors import ConfigError, HorizonError


@dataclass(frozen=True)
class Task:
    """One row of ``conf/task``: what the environment and data are, and how the paper plans there.

    Attributes:
        name: D4RL id.
        env_id: Environment to roll out in.
        observation_dim: Width of an observation.
        action_dim: Width of an action.
        max_episode_steps: Episode length of the environment.
        reference_min: D4RL's return of the random policy (score 0).
        reference_max: D4RL's return of the reference controller (score 100).
        target: Fixed evaluation goal as (x, y) in metres; None where a task has no goal.
        segmentation: Where the data is cut into episodes: ``flags`` at the recorded ends, ``goal_departure`` where the
            agent leaves ``target`` (Maze2D, whose recorded flags mark random targets of the data collection).
        horizon: Plan rows.
        diffusion_steps: Denoising steps the model is trained with.
        dim_multipliers: Width of each level of the networks.
        clip_denoised: Whether each denoised estimate is clipped to [-1, 1].
        train_steps: Optimiser steps.
        paper_scores: The paper's normalised score and its standard error, by protocol; None where it has none.
        protocols: How episodes are evaluated: ``single_task``, and ``multi2d`` where goals can be drawn.
        attention: Whether the denoiser has attention.
        guide_scale: Step size of value guidance, for the released rule; None where plans follow no value.
        t_stopgrad: Diffusion timesteps below this one are not guided.
    """

    name: str
    env_id: str
    observation_dim: int
    action_dim: int
    max_episode_steps: int
    reference_min: float
    reference_max: float
    target: Sequence[float] | None
    segmentation: Literal["flags", "goal_departure"]
    horizon: int
    diffusion_steps: int
    dim_multipliers: Sequence[int]
    clip_denoised: bool
    train_steps: int
    paper_scores: Mapping[str, Sequence[float]] | None = field(hash=False)
    protocols: Sequence[Protocol] = ("single_task",)
    attention: bool = False
    guide_scale: float | None = None
    t_stopgrad: int | None = None

    def __post_init__(self) -> None:
        for key in ("observation_dim", "action_dim", "max_episode_steps", "horizon", "diffusion_steps", "train_steps"):
            if getattr(self, key) < 1:
                raise ConfigError(f"task.{key} must be at least 1, got {getattr(self, key)}.")
        if self.segmentation not in ("flags", "goal_departure"):
            raise ConfigError(f"task.segmentation must be flags or goal_departure, got {self.segmentation!r}.")
        if self.segmentation == "goal_departure" and self.target is None:
            raise ConfigError("task.segmentation=goal_departure needs task.target, got none; use segmentation=flags.")
        # Lists from a yaml; tuples keep the frozen dataclass hashable.
        object.__setattr__(self, "dim_multipliers", tuple(self.dim_multipliers))
        object.__setattr__(self, "protocols", tuple(self.protocols))
        if self.paper_scores is not None:
            scores = {protocol: tuple(map(float, score)) for protocol, score in self.paper_scores.items()}
            object.__setattr__(self, "paper_scores", scores)
        if self.target is not None:
            if len(self.target) != 2:
                raise ConfigError(f"task.target must be (x, y), got {list(self.target)}.")
            object.__setattr__(self, "target", tuple(float(value) for value in self.target))
        if self.reference_max <= self.reference_min:
            raise ConfigError(
                f"task.reference_max={self.reference_max} must exceed task.reference_min={self.reference_min}."
            )


def check_halvings(horizon: int, num_halvings: int) -> None:
    """Refuses a horizon that a U-Net cannot halve.

    Args:
        horizon: Plan rows.
        num_halvings: How often the network halves them, once for each level but the last.

    Raises:
        HorizonError: naming horizons that fit.
    """
    unit = 2**num_halvings
    if horizon < unit or horizon % unit:
        below = max(horizon // unit, 1) * unit
        raise HorizonError(
            f"horizon={horizon} does not fit a U-Net of {num_halvings + 1} levels: "
            f"it must be a multiple of {unit}, for instance {below} or {below + unit}."
        )


def check_widths(dim: int, dim_multipliers: Sequence[int]) -> None:
    """Refuses widths that the denoiser's U-Net does not allow.

    Args:
        dim: Base width.
        dim_multipliers: Width of each level in units of ``dim``.

    Raises:
        ConfigError: the groups of its normalisation do not divide ``dim``, or the head cannot read the first level.
    """
    if dim < 8 or dim % 8:
        raise ConfigError(f"backbone.dim must be a multiple of 8 (the groups of its normalisation), got {dim}.")
    if not dim_multipliers or dim_multipliers[0] != 1:
        raise ConfigError(f"backbone.dim_multipliers must begin with 1, got {list(dim_multipliers)}.")


def check_value_widths(dim: int, dim_multipliers: Sequence[int]) -> None:
    """Refuses widths that the critic's network does not allow; the arguments are those of ``check_widths``.

    Raises:
        ConfigError: the groups of its normalisation do not divide a width.
    """
    if dim < 8 or dim % 8:
        raise ConfigError(f"critic.backbone.dim must be a multiple of 8 (groups of its normalisation), got {dim}.")
    if not dim_multipliers or dim * dim_multipliers[-1] % 64:
        raise ConfigError(
            f"critic.backbone's last width, dim * dim_multipliers[-1], must be a multiple of 64, got "
            f"{dim * dim_multipliers[-1] if dim_multipliers else 'none'}."
        )
