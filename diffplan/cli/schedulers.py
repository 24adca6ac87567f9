"""``diffplan schedulers``: how few denoising steps keep the score, under which scheduler, for a trained model."""

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig, OmegaConf

from diffplan.cli.command import run_command
from diffplan.cli.comparison import AbstractComparison, Wanted
from diffplan.cli.plan import planner_of_checkpoint
from diffplan.config.paths import CONF_DIR
from diffplan.config.settings import SCHEDULERS
from diffplan.errors import ConfigError

if TYPE_CHECKING:
    import pandas as pd

    from diffplan.method.model import TrajectoryModel
    from diffplan.planner.base import AbstractPlanner
    from diffplan.report.scheduler_guide import SchedulerCell


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
    return SchedulerComparison(SCHEDULERS, config).run()


def main() -> None:
    """Runs ``diffplan schedulers`` with the words of ``sys.argv``."""
    run_command(SCHEDULERS, guide_schedulers, lambda _: False, implied=planner_of_checkpoint)


class SchedulerComparison(AbstractComparison["SchedulerCell"]):
    """One cell for each protocol, scheduler and number of steps."""

    def wanted(self) -> list[Wanted]:
        config = self.config
        there = sorted(file.stem for file in (CONF_DIR / "scheduler").glob("*.yaml"))
        unknown = [name for name in config.schedulers if name not in there]
        if unknown or not config.schedulers:
            raise ConfigError(f"schedulers must be some of {', '.join(there)}; got {', '.join(unknown) or 'none'}.")
        if config.steps is None:
            trained = config.task.diffusion_steps
            config.steps = [trained >> halvings for halvings in reversed(range(trained.bit_length()))]
        return [
            Wanted(protocol, f"{name}-{steps}", _with_scheduler(config, name, steps), (name, steps))
            for steps in config.steps
            for name in config.schedulers
            for protocol in config.protocols
        ]

    def read(self, file: Path, key: str) -> "SchedulerCell | None":
        from diffplan.report.scheduler_guide import SchedulerCell

        return SchedulerCell.read(file, key)

    def check(self, config: DictConfig, model: "TrajectoryModel") -> None:
        from hydra.utils import instantiate

        from diffplan.method.noise.schedule import check_same_process

        # A sampler that is built from a scheduler says less of why it cannot.
        check_same_process(model.scheduler, instantiate(config.scheduler))

    def measure(self, wanted: Wanted, planner: "AbstractPlanner", key: str) -> "SchedulerCell":
        from diffplan.env.plan_measures import plan_quality
        from diffplan.report.scheduler_guide import SchedulerCell

        evaluation = self.evaluate(wanted, planner)
        rollout, cost = evaluation.rollout, planner.cost()
        # Environments that have ended plan no more.
        plannings = 1 if cost is None else cost.plannings
        plans = max(float(rollout.lengths.sum()) * plannings / rollout.num_decisions, 1.0)
        name, steps = wanted.facts
        return SchedulerCell(
            key=key,
            protocol=wanted.protocol,
            scheduler=name,
            steps=steps,
            calls=len(planner.sampler.timesteps()),  # type: ignore[attr-defined]
            seeds=list(self.seeds),
            scores=evaluation.scores.tolist(),
            plan_cpu_seconds=rollout.planning_cpu_seconds / plans,
            plan_seconds=rollout.planning_seconds / plans,
            quality=plan_quality(rollout, planner.stride),
        )

    def nothing_played(self, refused: Sequence[tuple[Wanted, str]]) -> str:
        return f"no scheduler can serve: {' '.join(_sentences(refused))}"

    def table(self, cells: Sequence["SchedulerCell"]) -> "pd.DataFrame":
        from diffplan.report.scheduler_guide import cell_table

        return cell_table(cells)

    def write(
        self, cells: Sequence["SchedulerCell"], refused: Sequence[tuple[Wanted, str]], folder: Path
    ) -> dict[str, Path]:
        # Imported here, because charts take longer to load than a mistyped option should wait.
        from diffplan.report.scheduler_report import write_guide

        # A model's own scheduler is DDPM unless it is a flow.
        trained = "flow_match_euler" if self.config.prediction_type == "flow" else "ddpm"
        return write_guide(cells, _sentences(refused), self.title, trained, folder)


def _with_scheduler(config: DictConfig, name: str, steps: int) -> DictConfig:
    """Returns a copy of the config that plans with another scheduler in another number of steps."""
    scheduler = OmegaConf.load(CONF_DIR / "scheduler" / f"{name}.yaml")
    chosen = copy.deepcopy(config)
    chosen.scheduler = chosen.sampler.scheduler = scheduler
    chosen.sampler.num_inference_steps = steps
    return chosen


def _sentences(refused: Sequence[tuple[Wanted, str]]) -> list[str]:
    """Says of each scheduler in which numbers of steps it cannot be used, and why."""
    counts: dict[tuple[str, str], list[int]] = {}
    for wanted, reason in refused:
        name, steps = wanted.facts
        counts.setdefault((name, reason), []).append(steps)
    return [
        f"{name} in {', '.join(map(str, dict.fromkeys(steps)))} step{'s' * (steps != [1])}: {reason}"
        for (name, reason), steps in counts.items()
    ]


if __name__ == "__main__":
    main()
