"""``diffplan plan``: evaluates any checkpoint with any planner settings; needs no dataset."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf

from diffplan.cli.command import open_loggers, run_command
from diffplan.cli.settings_check import check_settings
from diffplan.config.checkpoint_settings import checkpoint_settings, planning_settings, usable
from diffplan.config.parts import with_part_names
from diffplan.config.resolvers import checkpoint_file
from diffplan.config.settings import FROM_CHECKPOINT
from diffplan.errors import DiffplanError, TaskMismatchError

if TYPE_CHECKING:
    from diffplan.method.critic import TrajectoryCritic
    from diffplan.method.model import TrajectoryModel
    from diffplan.planner.base import AbstractPlanner
    from diffplan.run.evaluation import Evaluation

logger = logging.getLogger(__name__)


def plan(config: DictConfig) -> dict[str, float]:
    """Rolls a trained model out with the given planner and logs how it went.

    Args:
        config: Composed from ``conf/plan.yaml``; task, name and seed come from the checkpoint.

    Returns:
        The metrics of all protocols.

    Raises:
        DiffplanError: anything a user can set right.
    """
    from diffplan.report.run_summary import print_scores
    from diffplan.run.checkpoint import read_checkpoint
    from diffplan.run.folder import RunDir
    from diffplan.tracking.evaluation_recorder import ResultRecorder, log_evaluation, renew_outputs

    path = checkpoint_file(config.checkpoint)
    checkpoint = read_checkpoint(path)
    # The folder is named by what was asked for, before the checkpoint fills in the rest.
    config.paths.run_dir = str(config.paths.run_dir)
    planner, unguided = build_planners(config, path, checkpoint)
    critic_path, task = critic_file(config.critic.path, path), config.task
    with RunDir(Path(config.paths.run_dir)) as run_dir:
        result = run_dir.result()
        if result is not None and is_finished(config):
            logger.info("this evaluation is there already; resume=false repeats it")
            print_scores(result.metrics, task.paper_scores, result.data)
            print(f"Open {renew_outputs(run_dir.path)}")
            return result.metrics
        resolved: dict[str, Any] = OmegaConf.to_container(config, resolve=True)  # type: ignore[assignment]
        loggers = open_loggers(config, resolved)
        evaluations = {}
        for protocol in config.protocols:
            evaluation = _play(config, planner, protocol, config.num_episodes, config.num_videos)
            if unguided is not None:
                few = min(config.compare_without_guide, config.num_episodes)
                evaluation = evaluation.beside(_play(config, unguided, protocol, few, num_videos=0))
            log_evaluation(evaluation, loggers, run_dir.path / "evaluation", checkpoint["global_step"])
            evaluations[protocol] = evaluation
        origin = checkpoint["diffplan"]
        recorder = ResultRecorder(
            run_dir, "plan", resolved, lambda: origin["data"], path, critic_path, loggers, trained=origin["config"]
        )
        result = recorder.record(evaluations, checkpoint["global_step"], final=True)
        for run_logger in loggers:
            run_logger.finalize("success")
        recorder.finish()
    print_scores(result.metrics, task.paper_scores, result.data)
    for run_logger in loggers:
        print(run_logger.where_to_look())
    return result.metrics


def main() -> None:
    """Runs ``diffplan plan`` with the words of ``sys.argv``."""
    run_command("plan", plan, is_finished, implied=planner_of_checkpoint)


def is_finished(config: DictConfig) -> bool:
    """Whether this evaluation has been made of these very weights; its settings are in its folder's name."""
    from diffplan.run.folder import RunDir
    from diffplan.run.result import FileIdentity

    check_settings(config, "plan")
    path = checkpoint_file(config.checkpoint)
    result = RunDir(Path(config.paths.run_dir)).result()
    if not config.resume or result is None:
        return False
    used = ((result.checkpoint, path), (result.critic, critic_file(config.critic.path, path)))
    return all(
        (None if identity is None else identity.sha256) == (None if file is None else FileIdentity.of(file).sha256)
        for identity, file in used
    )


def build_planners(
    config: DictConfig, path: Path, checkpoint: dict[str, Any]
) -> "tuple[AbstractPlanner, AbstractPlanner | None]":
    """Fills the config in from the checkpoint that was read from ``path``, checks it, and builds its planner.

    Returns:
        The planner, and the same one without its guide, if the two are to be compared.
    """
    import torch
    from hydra.utils import instantiate

    from diffplan.config.validation import check_config
    from diffplan.run.guide_comparison import without_guide

    with usable(path):
        take_from_checkpoint(config, planning_settings(checkpoint["diffplan"]["config"]))
    check_config(config, "plan")
    if config.num_threads is not None:
        torch.set_num_threads(config.num_threads)
    build, models = instantiate(config.planner), load_networks(config, path, checkpoint)
    unguided = without_guide(build) if config.compare_without_guide else None
    return build(*models), None if unguided is None else unguided(*models)


def _play(
    config: DictConfig, planner: "AbstractPlanner", protocol: str, num_episodes: int, num_videos: int
) -> "Evaluation":
    from diffplan.data.progress import TaskProgress
    from diffplan.run.evaluation import evaluate

    task, seeds = config.task, range(config.first_seed, config.first_seed + num_episodes)
    with TaskProgress(f"Playing {protocol}", task.max_episode_steps, "steps") as progress:
        return evaluate(
            task.env_id,
            planner,
            seeds,
            protocol,
            task.reference_min,
            task.reference_max,
            num_videos,
            on_step=lambda: progress.advance(1),
        )


def load_networks(
    config: DictConfig, path: Path, checkpoint: dict[str, Any]
) -> "tuple[TrajectoryModel, TrajectoryCritic | None]":
    """Loads the denoiser, and its critic if there is one, on the device that is asked for or found."""
    import torch

    from diffplan.run.checkpoint import load_critic, trained_model

    device = torch.device(config.device or ("cuda" if torch.cuda.is_available() else "cpu"))
    critic_path = critic_file(config.critic.path, path)
    critic = None if critic_path is None else load_critic(critic_path).to(device)
    return trained_model(checkpoint, path).to(device), critic


def critic_file(critic: str | None, checkpoint: Path) -> Path | None:
    """The critic that was named, or the one beside the denoiser, if there is one."""
    if critic is not None:
        return checkpoint_file(critic, "critic")
    beside = checkpoint.parent / "critic.ckpt"
    return beside if beside.is_file() else None


def planner_of_checkpoint(overrides: list[str]) -> list[str]:
    """Chooses the kind of planner that the (first) checkpoint was trained with, where none is named.

    Raises:
        DiffplanError: the only checkpoint cannot be read.
    """
    named = [override.partition("=")[2] for override in overrides if override.startswith("checkpoint=")]
    if not named or any(override.startswith("planner=") for override in overrides):
        return []
    try:
        trained = checkpoint_settings(checkpoint_file(named[0].split(",")[0].strip("'\"")))
    except DiffplanError:
        if "," not in named[0]:
            raise
        # The sweep's cell will say what is wrong with its checkpoint.
        return []
    planner = trained.get("planner")
    part = with_part_names(planner).get("_part_", "") if isinstance(planner, dict) else ""
    return [f"planner={part.rpartition('/')[2]}"] if part.startswith("planner/") else []


def take_from_checkpoint(config: DictConfig, taken: Mapping[str, Any]) -> None:
    """Fills in what the checkpoint decides.

    Args:
        config: Composed from ``conf/plan.yaml``.
        taken: What ``planning_settings`` returned: values of known types, which OmegaConf takes as they are.
    """
    asked_scheduler, asked_prediction = config.scheduler, config.prediction_type
    predicts = taken["prediction_type"]
    if asked_prediction not in (None, predicts):
        raise TaskMismatchError(f"the checkpoint was trained to predict {predicts}, not {asked_prediction}.")
    for key in FROM_CHECKPOINT:
        config[key] = taken[key]
    if config.env_id is not None:
        config.task.env_id = config.env_id
    # Another scheduler denoises what this one noised.
    config.task.diffusion_steps = taken["scheduler"]["num_train_timesteps"]
    if asked_scheduler is not None:
        config.scheduler = asked_scheduler


if __name__ == "__main__":
    main()
