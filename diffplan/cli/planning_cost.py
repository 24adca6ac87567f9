"""What the cells of a planning sweep will cost, from the first plans of their planners."""

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf

from diffplan.env.rollout import Rollout, rollout
from diffplan.errors import DiffplanError
from diffplan.planner.base import AbstractPlanner
from diffplan.run.folder import RunDir
from diffplan.sweep.cell import Cell
from diffplan.sweep.run_cost import RunCost


@dataclass(frozen=True)
class _EpisodeCost:
    flops: float
    seconds: float
    is_measured: bool = False


def planning_costs(
    cells: Sequence[Cell], build_planner: Callable[[DictConfig], AbstractPlanner]
) -> list[RunCost | None]:
    """Estimates what each cell takes to plan.

    The first plan of an episode and the one after it are counted and timed once for each distinct planner, and stand
    for all others of an episode of full length. Where a finished cell has the same planner, its seconds are taken.

    Args:
        cells: Of one sweep.
        build_planner: Fills a cell's config in from its checkpoint and builds its planner.

    Returns:
        One cost a cell, in their order; None where its planner cannot be built.
    """
    episodes: dict[str, _EpisodeCost] = {}
    keys: list[str | None] = []
    for cell in cells:
        key = None
        if cell.config is not None:
            try:
                planner = build_planner(cell.config)
                key = _key(cell.config, planner)
                episodes.setdefault(key, _EpisodeCost(0.0, 0.0))
                if not episodes[key].flops:
                    episodes[key] = _time_episode(cell.config, planner)
            except DiffplanError:
                # Its launch will say what is wrong with it.
                key = None
        keys.append(key)
    for cell, key in zip(cells, keys, strict=True):
        seconds = _spent(cell) if key is not None else None
        if key is not None and seconds is not None:
            episodes[key] = _EpisodeCost(episodes[key].flops, seconds, is_measured=True)
    return [None if key is None else _cost(cell, episodes[key]) for cell, key in zip(cells, keys, strict=True)]


def _key(config: DictConfig, planner: AbstractPlanner) -> str:
    """Equal for planners whose decisions cost the same, whatever their weights."""
    settings: Any = OmegaConf.to_container(config.planner, resolve=True)
    weights = [tuple(value.shape) for value in planner.model.backbone.parameters()]  # type: ignore[attr-defined]
    return json.dumps([config.task.env_id, settings, weights], sort_keys=True)


def _time_episode(config: DictConfig, planner: AbstractPlanner) -> _EpisodeCost:
    """Counts and times the first plan and, where plans are drawn again, the second."""
    replan_every = config.planner.get("replan_every")

    def play(max_steps: int) -> Rollout:
        return rollout(
            config.task.env_id, planner, [config.first_seed], protocol=config.protocols[0], max_steps=max_steps
        )

    # The first plan of a process is slower than those that follow, so it is only counted.
    cold = play(1).decision_flops or 0.0
    both = play(1 if replan_every is None else 1 + replan_every)
    total = (both.decision_flops or 0.0) * both.num_decisions
    again = 0 if replan_every is None else math.ceil(config.task.max_episode_steps / replan_every) - 1
    flops = cold + again * max(total - cold, 0.0)
    return _EpisodeCost(flops, both.planning_cpu_seconds * flops / total if total else 0.0)


def _spent(cell: Cell) -> float | None:
    """Processor seconds an episode that a finished cell took."""
    result = None if cell.run_dir is None or cell.state != "finished" else RunDir(cell.run_dir).result()
    if result is None or not result.protocols:
        return None
    scores = list(result.protocols.values())
    seconds = sum((score.decision_cpu_seconds or 0.0) * sum(score.lengths) for score in scores)
    return seconds / sum(len(score.lengths) for score in scores) or None


def _cost(cell: Cell, episode: _EpisodeCost) -> RunCost:
    assert cell.config is not None
    count = cell.config.num_episodes * len(cell.config.protocols)
    device = cell.config.device or ("cuda" if torch.cuda.is_available() else "cpu")
    return RunCost(
        flops=count * episode.flops,
        seconds=count * episode.seconds,
        device="cuda" if str(device).startswith("cuda") else "cpu",
        is_measured=episode.is_measured,
    )
