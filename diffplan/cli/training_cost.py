"""What the cells of a training sweep will cost, counted and timed on their own networks."""

import json
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from hydra.errors import HydraException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from diffplan.errors import CheckpointError, DiffplanError
from diffplan.planner.cost import FlopCounter
from diffplan.run.folder import RunDir
from diffplan.run.result import Result
from diffplan.sweep.cell import Cell
from diffplan.sweep.run_cost import RunCost
from diffplan.training.base import AbstractTrajectoryModule
from diffplan.training.checkpoint import read_checkpoint
from diffplan.training.stages import trains_critic, trains_denoiser

_TIMED_STEPS = 3
_ON_CPU = {"cpu"}


@dataclass(frozen=True)
class _Stage:
    """One network of a run: how it is trained and how far it is."""

    name: str
    key: str
    config: DictConfig
    num_steps: int
    step: int

    @property
    def plain(self) -> dict[str, Any]:
        node = self.config.critic.module if self.name == "critic" else self.config.module
        return OmegaConf.to_container(node, resolve=True)  # type: ignore[return-value]


@dataclass(frozen=True)
class _StepCost:
    flops: float
    seconds: float
    is_measured: bool = False


def training_costs(cells: Sequence[Cell]) -> list[RunCost | None]:
    """Estimates what each cell takes to train.

    Operations are counted during one step of each distinct network. Seconds are those of finished cells with the same
    network where there are some, evaluations included, and otherwise those of a few steps on random data.

    Args:
        cells: Of one sweep.

    Returns:
        One cost a cell, in their order; None where the cell cannot be composed.
    """
    device = _device(cells)
    stages = [[] if cell.config is None else _stages(cell.config) for cell in cells]
    steps: dict[str, _StepCost] = {}
    for stage in {stage.key: stage for cell_stages in stages for stage in cell_stages}.values():
        # What cannot be built has no cost; the launch of its cells will say why.
        with suppress(DiffplanError, HydraException):
            steps[stage.key] = _time_step(stage, device)
    for cell, cell_stages in zip(cells, stages, strict=True):
        result = None if cell.run_dir is None or cell.state != "finished" else RunDir(cell.run_dir).result()
        for stage in cell_stages:
            spent = None if result is None else _spent(result, stage, device)
            if spent is not None and stage.key in steps:
                steps[stage.key] = _StepCost(steps[stage.key].flops, spent, is_measured=True)
    known = [bool(cell_stages) and all(stage.key in steps for stage in cell_stages) for cell_stages in stages]
    return [_sum(cell_stages, steps, device) if k else None for cell_stages, k in zip(stages, known, strict=True)]


def _device(cells: Sequence[Cell]) -> torch.device:
    wanted = {str(cell.config.trainer.accelerator) for cell in cells if cell.config is not None}
    return torch.device("cuda" if torch.cuda.is_available() and not wanted <= _ON_CPU else "cpu")


def _stages(config: DictConfig) -> list[_Stage]:
    run_dir = RunDir(Path(config.paths.run_dir))
    stages = []
    if trains_critic(config):
        stages.append(("critic", config.critic.module, config.critic.max_steps, run_dir.checkpoint("critic")))
    if trains_denoiser(config):
        stages.append(("train", config.module, config.trainer.max_steps, run_dir.checkpoint("last")))
    return [
        _Stage(name, _key(config, node), config, num_steps, min(_step(checkpoint), num_steps))
        for name, node, num_steps, checkpoint in stages
    ]


def _key(config: DictConfig, node: DictConfig) -> str:
    """Equal for stages whose steps cost the same."""
    plain: Any = OmegaConf.to_container(node, resolve=True)
    trainer, data = config.trainer, config.datamodule
    facts = [trainer.accumulate_grad_batches, trainer.precision, data.batch_size, config.num_threads]
    return json.dumps([plain["backbone"], plain["horizon"], *facts], sort_keys=True)


def _step(checkpoint: Path) -> int:
    try:
        return int(read_checkpoint(checkpoint)["global_step"])
    except CheckpointError:
        return 0


def _time_step(stage: _Stage, device: torch.device) -> _StepCost:
    """Takes a few optimiser steps on random windows."""
    if stage.config.num_threads is not None:
        torch.set_num_threads(stage.config.num_threads)
    module = instantiate({**stage.plain, "compile": False}).to(device)
    optimizer = module.optimizer(module.backbone.parameters())
    batches = stage.config.trainer.accumulate_grad_batches
    size = (stage.config.datamodule.batch_size, module.horizon, module.layout.transition_dim)
    with FlopCounter() as counter:
        _train(module, optimizer, torch.randn(size, device=device), 1)
    started = _clock(device)
    for _ in range(_TIMED_STEPS):
        _train(module, optimizer, torch.randn(size, device=device), batches)
    return _StepCost(float(counter.total * batches), (_clock(device) - started) / _TIMED_STEPS)


def _train(
    module: AbstractTrajectoryModule, optimizer: torch.optim.Optimizer, windows: torch.Tensor, num_batches: int
) -> None:
    timesteps = torch.zeros(len(windows), dtype=torch.long, device=windows.device)
    for _ in range(num_batches):
        module.backbone(windows, timesteps).square().mean().backward()
    optimizer.step()
    optimizer.zero_grad()
    module.average.update(module.backbone, 0)


def _clock(device: torch.device) -> float:
    if device.type == "cpu":
        return time.process_time()
    torch.cuda.synchronize(device)
    return time.perf_counter()


def _spent(result: Result, stage: _Stage, device: torch.device) -> float | None:
    """Seconds a step that a finished run took."""
    key = f"{stage.name}_{'cpu_seconds' if device.type == 'cpu' else 'seconds'}"
    return result.cost[key] / stage.num_steps if result.cost.get(key) else None


def _sum(stages: Sequence[_Stage], steps: dict[str, _StepCost], device: torch.device) -> RunCost:
    flops = [stage.num_steps * steps[stage.key].flops for stage in stages]
    left = [(stage.num_steps - stage.step) * steps[stage.key].flops for stage in stages]
    # The stage that is being trained is the last one that has a checkpoint.
    current = next((stage for stage in reversed(stages) if stage.step), None)
    label = "" if current is None else f"{'critic ' if current.name == 'critic' else ''}step {current.step}"
    return RunCost(
        flops=sum(flops),
        seconds=sum(stage.num_steps * steps[stage.key].seconds for stage in stages),
        device=device.type,
        is_measured=all(steps[stage.key].is_measured for stage in stages),
        progress=f"{label} of {current.num_steps}" if current is not None else "",
        share_left=sum(left) / sum(flops) if sum(flops) else 0.0,
    )
