"""``diffplan train``: data, critic, denoiser, evaluation; then the scores and where to look."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf

from diffplan.cli.command import open_loggers, run_command
from diffplan.cli.settings_check import check_settings
from diffplan.config.stages import last_step
from diffplan.terminal import printable

if TYPE_CHECKING:
    from diffplan.run.folder import RunDir

logger = logging.getLogger(__name__)


def train(config: DictConfig) -> dict[str, float]:
    """Trains critic and denoiser and evaluates them. If interrupted, rerun the same command to resume.

    Args:
        config: Composed from ``conf/train.yaml``.

    Returns:
        The metrics of the final evaluation.

    Raises:
        DiffplanError: anything a user can set right.
    """
    check_settings(config, "train")
    # torch and Lightning take seconds to import; a mistyped option should not wait for them.
    import torch
    from hydra.utils import instantiate
    from lightning import seed_everything
    from lightning.pytorch.utilities import rank_zero_only

    from diffplan.run.folder import RunDir
    from diffplan.tracking.evaluation_recorder import renew_outputs
    from diffplan.training.stages import train_stages

    resolved: dict[str, Any] = OmegaConf.to_container(config, resolve=True)  # type: ignore[assignment]
    if config.num_threads is not None:
        torch.set_num_threads(config.num_threads)
    with RunDir(Path(config.paths.run_dir), locks=getattr(rank_zero_only, "rank", 0) == 0) as run_dir:
        result = run_dir.result()
        if result is not None and is_finished(config):
            logger.info(
                "this run is finished; for other settings of the planner, use diffplan plan checkpoint=%s", run_dir.path
            )
            _show(run_dir, config, [f"Open {renew_outputs(run_dir.path)}"])
            return result.metrics
        run_dir.check_resume(config.resume)
        seed_everything(config.seed, workers=True, verbose=False)
        datamodule = instantiate(config.datamodule)
        loggers = open_loggers(config, resolved)
        trainer = train_stages(config, resolved, run_dir, datamodule, loggers)
        if trainer.is_global_zero:
            _show(run_dir, config, [run_logger.where_to_look() for run_logger in loggers])
        result = run_dir.result()
    return {} if result is None else result.metrics


def main() -> None:
    """Runs ``diffplan train`` with the words of ``sys.argv``."""
    run_command("train", train, is_finished)


def is_finished(config: DictConfig) -> bool:
    """Whether the run of a config has been trained to its last step and has played all its episodes."""
    from diffplan.run.folder import RunDir

    check_settings(config, "train")
    result = RunDir(Path(config.paths.run_dir)).result()
    if not config.resume or result is None:
        return False
    if result.step < last_step(config):
        return False
    rollout = config.callbacks.get("rollout")
    if rollout is None or not result.protocols:
        return True
    wanted = set(range(rollout.first_seed, rollout.first_seed + rollout.num_final_episodes))
    protocols = [rollout.protocols] if isinstance(rollout.protocols, str) else rollout.protocols
    played = {protocol: set(episodes.seeds) for protocol, episodes in result.protocols.items()}
    return all(wanted <= played.get(protocol, set()) for protocol in protocols)


def _show(run_dir: "RunDir", config: DictConfig, places: list[str]) -> None:
    """Prints the scores, and where pages and logs are."""
    from diffplan.report.run_summary import print_scores

    result = run_dir.result()
    if result is not None and result.metrics:
        print_scores(result.metrics, config.task.paper_scores, result.data)
    for note in () if result is None else result.notes:
        print(printable(note))
    for place in places:
        print(place)


if __name__ == "__main__":
    main()
