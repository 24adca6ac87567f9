"""``diffplan-plan``: evaluates any checkpoint with any planner settings; needs no dataset."""

import logging
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from diffplan.command import run_command
from diffplan.errors import TaskMismatchError
from diffplan.resolvers import checkpoint_file

TOP_LEVEL_KEYS = {
    "checkpoint", "scheduler", "sampler", "planner", "num_episodes", "first_seed", "protocols", "num_videos", "device",
    "logger", "paths", "task", "prediction_type", "name", "seed", "project", "ablation", "group", "job_type", "tags",
}  # fmt: skip

_LOGGER = logging.getLogger(__name__)


def plan(config: DictConfig) -> dict[str, float]:
    """Rolls a trained model out with the given planner and logs how it went.

    Args:
        config: Composed from ``conf/plan.yaml``; task, name and seed come from the checkpoint.

    Returns:
        The metrics of all protocols.

    Raises:
        DiffplanError: anything a user can set right.
    """
    import torch
    from hydra.utils import instantiate

    from diffplan.checkpoint import checkpoint_config, load_module, read_checkpoint
    from diffplan.evaluation import evaluate
    from diffplan.report.run_page import write_run_page
    from diffplan.report.score_table import print_scores
    from diffplan.run_dir import Results, RunDir
    from diffplan.validation import check_config

    path = checkpoint_file(config.checkpoint)
    checkpoint = read_checkpoint(path)
    trained = checkpoint_config(checkpoint)
    for key in ("task", "name", "seed"):
        config[key] = trained[key]
    predicts = trained.scheduler.prediction_type
    if config.prediction_type not in (None, predicts):
        raise TaskMismatchError(
            f"the network in {path} was trained to predict {predicts}, not {config.prediction_type}."
        )
    config.prediction_type = predicts
    if config.scheduler is None:
        config.scheduler = trained.scheduler
    check_config(config, TOP_LEVEL_KEYS)
    device = torch.device(config.device or ("cuda" if torch.cuda.is_available() else "cpu"))
    task = config.task
    with RunDir(Path(config.paths.run_dir)) as run_dir:
        planner = instantiate(config.planner)(load_module(path).to(device).model())
        loggers = [instantiate(run_logger) for run_logger in config.logger.values()]
        resolved = OmegaConf.to_container(config, resolve=True)
        groups = {"task": task.name, "name": config.name, "seed": config.seed, "ablation": config.ablation}
        metrics: dict[str, float] = {}
        seeds = range(config.first_seed, config.first_seed + config.num_episodes)
        for run_logger in loggers:
            run_logger.log_config(resolved, groups)
        for protocol in config.protocols:
            evaluation = evaluate(
                task.env_id, planner, seeds, protocol, task.reference_min, task.reference_max, config.num_videos
            )
            evaluation.log(loggers, run_dir.path / "evaluation", checkpoint["global_step"])
            metrics |= evaluation.metrics()
        run_dir.finish(Results(checkpoint["global_step"], metrics, checkpoint["diffplan"]["data"]))
        for run_logger in loggers:
            run_logger.finalize("success")
        write_run_page(run_dir.path)
    print_scores(metrics, task.paper_scores, checkpoint["diffplan"]["data"])
    for run_logger in loggers:
        print(run_logger.where_to_look())
    return metrics


def main() -> None:
    """Entry point of ``diffplan-plan``."""
    run_command("diffplan-plan", "plan", plan)


if __name__ == "__main__":
    main()
