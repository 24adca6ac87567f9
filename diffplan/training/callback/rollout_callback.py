from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from lightning import Callback, LightningModule, Trainer

from diffplan.env.rollout import PROTOCOLS
from diffplan.errors import ConfigError
from diffplan.method.critic import TrajectoryCritic
from diffplan.method.model import TrajectoryModel
from diffplan.planner.base import AbstractPlanner
from diffplan.run import stop_signal
from diffplan.run.evaluation import Evaluation, evaluate
from diffplan.run.guide_comparison import without_guide
from diffplan.tracking.evaluation_recorder import log_evaluation
from diffplan.training.callback.stop_run import stop_run
from diffplan.training.modules import Stage, StageLogger


class RolloutCallback(Callback):
    """Plays seeded episodes with the averaged weights every so many steps and after the last one, and logs the scores.

    The callback draws nothing from training's random generators, so how often it runs does not change the weights.

    Args:
        env_id: Environment to play in.
        planner: Builds the planner from the trained model and the critic, or None.
        reference_min: Return that scores 0.
        reference_max: Return that scores 100.
        media_dir: Where pictures and videos are written.
        every_n_steps: Optimiser steps between evaluations; 0 evaluates only after the last step.
        num_episodes: Episodes an evaluation while training.
        num_final_episodes: Episodes of the last evaluation.
        first_seed: Episodes have the seeds ``first_seed``, ``first_seed + 1``...
        protocols: How episodes are played: ``single_task`` (the task's own goal, or none), ``multi2d`` (random goals).
        num_videos: Episodes filmed at each evaluation.
        compare_without_guide: Episodes of the last evaluation that are also played without a guide, if the planner
            follows one; 0 plays none.
        stage: What to plan with beside the module in training, and where results are kept.

    Attributes:
        final: The last evaluation, by protocol.

    Raises:
        ConfigError: no episodes or no protocol.
    """

    def __init__(
        self,
        env_id: str,
        planner: Callable[[TrajectoryModel, TrajectoryCritic | None], AbstractPlanner],
        reference_min: float,
        reference_max: float,
        media_dir: str,
        every_n_steps: int,
        num_episodes: int,
        num_final_episodes: int,
        first_seed: int = 0,
        protocols: Sequence[str] = ("single_task", "multi2d"),
        num_videos: int = 4,
        compare_without_guide: int = 0,
        stage: Stage | None = None,
    ) -> None:
        if num_episodes < 1 or num_final_episodes < 1 or not protocols:
            raise ConfigError("callbacks.rollout needs at least one episode and one protocol.")
        # A single word on the command line is a list of one.
        protocols = [protocols] if isinstance(protocols, str) else list(protocols)
        if unknown := set(protocols) - set(PROTOCOLS):
            raise ConfigError(f"callbacks.rollout.protocols may hold {', '.join(PROTOCOLS)}; got {', '.join(unknown)}.")
        self.env_id = env_id
        self.planner = planner
        self.reference_min = reference_min
        self.reference_max = reference_max
        self.media_dir = Path(media_dir)
        self.every_n_steps = every_n_steps
        self.num_episodes = num_episodes
        self.num_final_episodes = num_final_episodes
        self.first_seed = first_seed
        self.protocols = protocols
        self.num_videos = num_videos
        self.compare_without_guide = compare_without_guide
        self.stage = stage or Stage()
        self.final: dict[str, Evaluation] = {}
        self._evaluated_step = 0

    def is_due(self, step: int) -> bool:
        """Whether an evaluation comes before the next step."""
        return (
            self.stage.plans
            and self.every_n_steps > 0
            and step % self.every_n_steps == 0
            and step not in (0, self._evaluated_step)
        )

    def state_dict(self) -> dict[str, int]:
        """Returns the step of the last evaluation. A run that is killed during the next one repeats it."""
        return {"evaluated_step": self._evaluated_step}

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        """Continues after the last evaluation."""
        self._evaluated_step = state_dict["evaluated_step"]

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Builds a planner before the first step, so that one that cannot be built does not end a long training."""
        if self.stage.plans:
            self.planner(*pl_module.pair(self.stage.partner))  # type: ignore[operator]

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Evaluates before the first batch of the next step, when the metrics of the last one have been written."""
        if not self.is_due(trainer.global_step):
            return
        self._evaluated_step = trainer.global_step
        self._evaluate(trainer, pl_module, self.num_episodes, final=False)

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Evaluates the finished model, also when a finished training is run again."""
        if self.stage.plans and trainer.global_step >= trainer.max_steps:
            self.final = self._evaluate(trainer, pl_module, self.num_final_episodes, final=True)

    def _evaluate(
        self, trainer: Trainer, pl_module: LightningModule, num_episodes: int, final: bool
    ) -> dict[str, Evaluation]:
        evaluations = {}
        if trainer.is_global_zero:
            models = pl_module.pair(self.stage.partner)  # type: ignore[operator]
            planner, plain = self.planner(*models), without_guide(self.planner) if final else None
            seeds = range(self.first_seed, self.first_seed + num_episodes)
            for protocol in self.protocols:
                evaluation = self._play(planner, seeds, protocol, self.num_videos)
                if plain is not None and self.compare_without_guide and evaluation.complete:
                    few = seeds[: self.compare_without_guide]
                    evaluation = evaluation.beside(self._play(plain(*models), few, protocol, num_videos=0))
                evaluations[protocol] = evaluation
                if evaluation.complete:
                    loggers = [logger.run_logger for logger in trainer.loggers if isinstance(logger, StageLogger)]
                    log_evaluation(evaluation, loggers, self.media_dir, trainer.global_step)
            if all(e.complete for e in evaluations.values()) and self.stage.recorder is not None:
                self.stage.recorder.record(evaluations, trainer.global_step, final)
        complete = all(evaluation.complete for evaluation in evaluations.values())
        trainer.strategy.barrier("rollout")
        if not trainer.strategy.reduce_boolean_decision(complete):
            # The checkpoint of this step is on disk, and the evaluation begins again from it.
            stop_run(trainer)
        return evaluations

    def _play(self, planner: AbstractPlanner, seeds: Sequence[int], protocol: str, num_videos: int) -> Evaluation:
        return evaluate(
            self.env_id,
            planner,
            seeds,
            protocol,
            self.reference_min,
            self.reference_max,
            num_videos,
            stop_signal.was_received,
        )
