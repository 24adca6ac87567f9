"""``diffplan-plan``: evaluates any checkpoint with any planner settings; needs no dataset."""

from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from diffplan.command import run_command
from diffplan.errors import TaskMismatchError
from diffplan.resolvers import checkpoint_file

PLAIN_SETTINGS = {
    "checkpoint": str,
    "num_episodes": int,
    "first_seed": int,
    "protocols": list[str],
    "num_videos": int,
    "num_threads": int | None,
    "device": str | None,
    "prediction_type": str,
    "name": str,
    "seed": int,
    "project": str,
    "ablation": str,
    "group": str,
    "job_type": str,
    "tags": list[str],
}
GROUPS = ("task", "scheduler", "sampler", "planner", "logger", "paths")


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
    _take_from_checkpoint(config, trained)
    check_config(config, PLAIN_SETTINGS, GROUPS)
    if config.num_threads is not None:
        torch.set_num_threads(config.num_threads)
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


def _take_from_checkpoint(config: DictConfig, trained: DictConfig) -> None:
    """Fills in what the checkpoint decides."""
    for key in ("task", "name", "seed"):
        config[key] = trained[key]
    predicts = trained.scheduler.prediction_type
    if config.prediction_type not in (None, predicts):
        raise TaskMismatchError(f"the checkpoint was trained to predict {predicts}, not {config.prediction_type}.")
    config.prediction_type = predicts
    if config.scheduler is None:
        config.scheduler = trained.scheduler


if __name__ == "__main__":
    main()
