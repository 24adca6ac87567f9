from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from lightning.pytorch.loggers import Logger

from diffplan.env.make_env import env_version
from diffplan.run.folder import RunDir
from diffplan.run.result import FileIdentity, Result
from diffplan.tracking.base import AbstractRunLogger
from diffplan.training.callback.monitors import SpeedMonitor
from diffplan.training.checkpoint import read_checkpoint
from diffplan.training.evaluation import Evaluation


@dataclass(frozen=True)
class ResultRecorder:
    """Leaves the result of every evaluation of a run: as a file in its folder, and with its loggers.

    Attributes:
        run_dir: The run's folder.
        job: ``train`` or ``plan``.
        config: Resolved config of the command.
        data: Says what the model was trained on.
        checkpoint: The denoiser's.
        critic: The critic's, or None.
        loggers: The run's.
        trained: Resolved config of the denoiser's training, where another command did it.
        monitors: Know what training has cost so far, by stage.
    """

    run_dir: RunDir
    job: Literal["train", "plan"]
    config: dict[str, Any]
    data: Callable[[], dict[str, Any]]
    checkpoint: Path
    critic: Path | None
    loggers: Sequence[Logger]
    trained: dict[str, Any] | None = None
    monitors: dict[str, SpeedMonitor] = field(default_factory=dict)

    def leave(self, evaluations: Mapping[str, Evaluation], step: int, final: bool) -> Result:
        """Records one evaluation.

        Args:
            evaluations: By protocol.
            step: Optimiser steps trained.
            final: Whether it is the run's last one.
        """
        critic = self.critic if self.critic is not None and self.critic.is_file() else None
        result = Result.of_run(
            self.config,
            self.trained,
            None if critic is None else read_checkpoint(critic)["diffplan"]["config"],
            job=self.job,
            step=step,
            final=final,
            protocols={protocol: evaluation.episodes() for protocol, evaluation in evaluations.items()},
            metrics={key: value for evaluation in evaluations.values() for key, value in evaluation.metrics().items()},
            cost={f"{s}_{key}": spent for s, m in self.monitors.items() for key, spent in m.state_dict().items()},
            data=self.data(),
            environment=env_version(self.config["task"]["env_id"]),
            checkpoint=self._identity(self.checkpoint),
            critic=self._identity(critic),
            wandb=next((place for logger in self._run_loggers() if (place := logger.wandb_identity())), None),
        )
        self.run_dir.leave(result)
        if final:
            for run_logger in self._run_loggers():
                run_logger.log_result(result)
        return result

    def _run_loggers(self) -> list[AbstractRunLogger]:
        return [logger for logger in self.loggers if isinstance(logger, AbstractRunLogger)]

    def _identity(self, path: Path | None) -> FileIdentity | None:
        """A checkpoint by its place in the run's folder, where it lies there."""
        if path is None or not path.is_file():
            return None
        inside = path.is_relative_to(self.run_dir.path)
        name = path.relative_to(self.run_dir.path) if inside else path
        return FileIdentity.of(path).model_copy(update={"path": name.as_posix()})
