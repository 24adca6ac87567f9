"""``diffplan schedulers``: how few denoising steps keep the score, under which scheduler, for a trained model."""

import copy
import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf

from diffplan.cli.command import open_loggers, run_command
from diffplan.cli.plan import critic_file, load_networks, planner_of_checkpoint, take_from_checkpoint
from diffplan.config.checkpoint_settings import planning_settings, usable
from diffplan.config.paths import CONF_DIR
from diffplan.config.resolvers import checkpoint_file
from diffplan.config.settings import short_hash
from diffplan.errors import ConfigError, DiffplanError

if TYPE_CHECKING:
    from diffplan.method.critic import TrajectoryCritic
    from diffplan.method.model import TrajectoryModel
    from diffplan.planner.base import AbstractPlanner
    from diffplan.report.scheduler_guide import SchedulerCell

logger = logging.getLogger(__name__)


def guide_schedulers(config: DictConfig) -> dict[str, float]:
    """Plans with a trained model under every scheduler in every number of steps, and shows what it costs and gives.

    Every finished cell is kept. If interrupted, rerun the same command to resume.

    Args:
        config: Composed from ``conf/schedulers.yaml``.

    Returns:
        Mean score by ``<protocol>/<scheduler>-<steps>``.

    Raises:
        DiffplanError: The user asked for something impossible. A scheduler that cannot be used is listed instead,
            unless none can be used.
    """
    from diffplan.run.checkpoint import read_checkpoint
    from diffplan.run.folder import RunDir

    path = checkpoint_file(config.checkpoint)
    checkpoint = read_checkpoint(path)
    config.paths.run_dir = str(config.paths.run_dir)
    with usable(path):
        take_from_checkpoint(config, planning_settings(checkpoint["diffplan"]["config"]))
    _check(config)
    with RunDir(Path(config.paths.run_dir)) as run_dir:
        resolved: dict[str, Any] = OmegaConf.to_container(config, resolve=True)  # type: ignore[assignment]
        loggers = open_loggers(config, resolved)
        cells, refused = _play(config, path, checkpoint, run_dir.path / "cells")
        if not cells:
            raise ConfigError(f"no scheduler can serve: {' '.join(refused)}")
        files = _write(cells, refused, config, run_dir.path)
        _log(loggers, cells, files, checkpoint["global_step"])
    print(files["markdown"].read_text())
    print(f"Open {', '.join(str(file) for file in files.values())}")
    for run_logger in loggers:
        print(run_logger.where_to_look())
    return {f"{cell.protocol}/{cell.scheduler}-{cell.steps}": cell.mean for cell in cells}


def main() -> None:
    """Runs ``diffplan schedulers`` with the words of ``sys.argv``."""
    run_command("schedulers", guide_schedulers, lambda _: False, implied=planner_of_checkpoint)


def _check(config: DictConfig) -> None:
    import torch

    from diffplan.config.validation import check_config

    check_config(config, "schedulers")
    there = sorted(file.stem for file in (CONF_DIR / "scheduler").glob("*.yaml"))
    unknown = [name for name in config.schedulers if name not in there]
    if unknown or not config.schedulers:
        raise ConfigError(f"schedulers must be some of {', '.join(there)}; got {', '.join(unknown) or 'none'}.")
    if config.steps is None:
        trained = config.task.diffusion_steps
        config.steps = [trained >> halvings for halvings in reversed(range(trained.bit_length()))]
    torch.set_num_threads(config.num_threads or torch.get_num_threads())


def _play(
    config: DictConfig, path: Path, checkpoint: dict[str, Any], folder: Path
) -> tuple[list["SchedulerCell"], list[str]]:
    """Plays the cells that are missing; returns all cells, and why some schedulers cannot be used."""
    from diffplan.report.scheduler_guide import SchedulerCell
    from diffplan.run.result import FileIdentity

    model, critic = load_networks(config, path, checkpoint)
    files = (path, critic_file(config.critic.path, path))
    weights = [FileIdentity.of(file).sha256 for file in files if file is not None]
    wanted = [(p, s, n) for n in config.steps for s in config.schedulers for p in config.protocols]
    cells, played, began = [], 0, time.monotonic()
    # Numbers of steps by scheduler and reason.
    refused: dict[tuple[str, str], list[int]] = {}
    for number, (protocol, name, steps) in enumerate(wanted, start=1):
        chosen = _with_scheduler(config, name, steps)
        key = _key(chosen, protocol, weights)
        file = folder / f"{protocol}-{name}-{steps}-{key}.json"
        cell = SchedulerCell.read(file, key)
        if cell is None:
            try:
                planner = _build(chosen, model, critic)
            except DiffplanError as error:
                refused.setdefault((name, str(error)), []).append(steps)
                continue
            cell = _measure(chosen, planner, protocol, name, steps, key)
            cell.write(file)
            played += 1
        cells.append(cell)
        left = (len(wanted) - number) * (time.monotonic() - began) / max(played, 1) / 60
        logger.info(
            "%s, %d steps, %s: %.1f ± %.1f, %.2g CPU seconds a plan (%d of %d, at most %.0f min left)",
            name, steps, protocol, cell.mean, cell.standard_error, cell.plan_cpu_seconds, number, len(wanted), left,
        )  # fmt: skip
    sentences = [
        f"{name} in {', '.join(map(str, dict.fromkeys(counts)))} step{'s' * (counts != [1])}: {reason}"
        for (name, reason), counts in refused.items()
    ]
    return cells, sentences


def _with_scheduler(config: DictConfig, name: str, steps: int) -> DictConfig:
    """Returns a copy of the config that plans with another scheduler in another number of steps."""
    scheduler = OmegaConf.load(CONF_DIR / "scheduler" / f"{name}.yaml")
    chosen = copy.deepcopy(config)
    chosen.scheduler = chosen.sampler.scheduler = scheduler
    chosen.sampler.num_inference_steps = steps
    return chosen


def _build(config: DictConfig, model: "TrajectoryModel", critic: "TrajectoryCritic | None") -> "AbstractPlanner":
    from hydra.errors import InstantiationException
    from hydra.utils import instantiate

    from diffplan.method.noise.schedule import check_same_process

    # First, for a sampler that is built from a scheduler says less of why it cannot.
    check_same_process(model.scheduler, instantiate(config.scheduler))
    try:
        return instantiate(config.planner)(model, critic)
    except InstantiationException as error:
        raise error.__cause__ if isinstance(error.__cause__, DiffplanError) else error from error


def _key(config: DictConfig, protocol: str, weights: list[str]) -> str:
    """Eight letters for everything that a cell's scores depend on."""
    planner = OmegaConf.to_container(config.planner, resolve=True)
    seeds = [config.first_seed, config.num_episodes]
    task = [config.task.env_id, config.task.reference_min, config.task.reference_max]
    return short_hash([planner, seeds, protocol, task, weights])


def _measure(config: DictConfig, planner: Any, protocol: str, name: str, steps: int, key: str) -> "SchedulerCell":
    from diffplan.env.plan_measures import plan_quality
    from diffplan.report.scheduler_guide import SchedulerCell
    from diffplan.run.evaluation import evaluate

    task, seeds = config.task, range(config.first_seed, config.first_seed + config.num_episodes)
    evaluation = evaluate(task.env_id, planner, seeds, protocol, task.reference_min, task.reference_max)
    rollout, cost = evaluation.rollout, planner.cost()
    # Environments that have ended plan no more.
    plans = max(float(rollout.lengths.sum()) * cost.plannings / rollout.num_decisions, 1.0)
    return SchedulerCell(
        key=key,
        protocol=protocol,
        scheduler=name,
        steps=steps,
        calls=len(planner.sampler.timesteps()),
        seeds=list(seeds),
        scores=evaluation.scores.tolist(),
        plan_cpu_seconds=rollout.planning_cpu_seconds / plans,
        plan_seconds=rollout.planning_seconds / plans,
        quality=plan_quality(rollout, planner.stride),
    )


def _write(cells: list["SchedulerCell"], refused: list[str], config: DictConfig, folder: Path) -> dict[str, Path]:
    # Imported here, because charts take longer to load than a mistyped option should wait.
    from diffplan.report.scheduler_report import write_guide

    # A model's own scheduler is DDPM unless it is a flow.
    trained = "flow_match_euler" if config.prediction_type == "flow" else "ddpm"
    return write_guide(cells, refused, f"{config.task.name}, {config.name}, seed {config.seed}", trained, folder)


def _log(loggers: Sequence[Any], cells: list["SchedulerCell"], files: dict[str, Path], step: int) -> None:
    from diffplan.report.scheduler_guide import cell_table

    table = cell_table(cells)
    for run_logger in loggers:
        run_logger.log_table("schedulers/cells", list(table), table.to_numpy(dtype=object).tolist(), step)
        run_logger.log_page("schedulers/charts", files["page"], step)
        for protocol in table["protocol"].unique():
            run_logger.log_media(f"schedulers/{protocol}", files[protocol], step)
        run_logger.finalize("success")


if __name__ == "__main__":
    main()
