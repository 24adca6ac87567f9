"""``diffplan guidance``: whether guidance helps a trained model, at which guide scale and with how many candidates."""

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig, OmegaConf

from diffplan.cli.command import run_command
from diffplan.cli.comparison import AbstractComparison, Wanted
from diffplan.cli.plan import planner_of_checkpoint
from diffplan.config.paths import CONF_DIR
from diffplan.config.settings import GUIDANCE
from diffplan.errors import ConfigError, DiffplanError

if TYPE_CHECKING:
    import pandas as pd

    from diffplan.data.data_distance import DataDistance
    from diffplan.data.source.base import Transitions
    from diffplan.env.kept_plans import KeptPlans
    from diffplan.planner.base import AbstractPlanner
    from diffplan.report.guidance_check import Choice, GuidanceCell

# Values that are tried, as multiples of the planner's own; 0 only chooses among candidates.
_FACTORS = (0.0, 0.01, 0.1, 1.0, 10.0)
_FEW_CANDIDATES = (1, 8)
# Most plans of a cell whose distance to the data is measured.
_MOST_PLANS = 1000


def check_guidance(config: DictConfig) -> dict[str, float]:
    """Plans with a trained model without a guide and with guides of many scales, and says whether guidance helps.

    Every finished cell is kept. If interrupted, rerun the same command to resume.

    Args:
        config: Composed from ``conf/guidance.yaml``.

    Returns:
        Mean score by ``<protocol>/<name of the cell>``.

    Raises:
        DiffplanError: The user asked for something impossible. A cell that cannot be played is listed instead, unless
            none can be.
    """
    return GuidanceComparison(GUIDANCE, config).run()


def main() -> None:
    """Runs ``diffplan guidance`` with the words of ``sys.argv``."""
    run_command(GUIDANCE, check_guidance, lambda _: False, implied=planner_of_checkpoint)


def own_choice(config: DictConfig) -> "Choice":
    """Returns the guide's scale and the number of candidates that the planner is set to.

    Args:
        config: Composed from ``conf/guidance.yaml``, with the task of the checkpoint.

    Raises:
        ConfigError: the planner follows no guide, or its guide has no scale.
    """
    planner, guide = config.planner, config.guide
    if "guide" not in planner or "num_candidates" not in planner or guide._target_.endswith(".NoGuide"):
        raise ConfigError(
            f"{planner._target_.rpartition('.')[2]} follows no guide here; give planner=guided_planner or "
            "planner=fast_guided_planner, and a critic."
        )
    if "scale" not in guide:
        name = guide._target_.rpartition(".")[2]
        raise ConfigError(f"guidance varies guide.scale, and {name} has no such setting.")
    return float(guide.scale), int(planner.num_candidates)


def grid(config: DictConfig) -> "list[Choice]":
    """Lists the guide scales and numbers of candidates that are compared with no guide.

    One candidate at scale 0 is the plan without a guide, so it is left out.
    """
    scale, candidates = own_choice(config)
    scales = config.scales if config.scales is not None else [float(f"{factor * scale:.6g}") for factor in _FACTORS]
    counts = config.candidates if config.candidates is not None else [*_FEW_CANDIDATES, candidates]
    pairs = [(float(one), int(count)) for count in sorted(set(counts)) for one in sorted(set(scales))]
    if not (chosen := [pair for pair in pairs if pair != (0.0, 1)]):
        raise ConfigError("scales=[0] with candidates=[1] is planning without a guide; give another scale or number.")
    return chosen


class GuidanceComparison(AbstractComparison["GuidanceCell"]):
    """One cell without a guide for each protocol, and one for each guide scale and number of candidates."""

    def __init__(self, verb: str, config: DictConfig) -> None:
        self._data: Transitions | None = None
        self._distance: DataDistance | None = None
        self._without_drift = ""
        super().__init__(verb, config)

    def run(self) -> dict[str, float]:
        if self.config.data_path is not None:
            # A file that is named is used, or the command ends before it plays anything.
            self._training_data()
        return super().run()

    def wanted(self) -> list[Wanted]:
        from diffplan.report.guidance_check import cell_name

        choices: list[tuple[float | None, int]] = [(None, 1), *grid(self.config)]
        return [
            Wanted(protocol, cell_name(*choice), _with_guide(self.config, *choice), choice)
            for choice in choices
            for protocol in self.config.protocols
        ]

    def read(self, file: Path, key: str) -> "GuidanceCell | None":
        from diffplan.report.guidance_check import GuidanceCell

        cell = GuidanceCell.read(file, key)
        # A cell that was played when the data was away is played again when it is back.
        return None if cell is not None and not cell.has_data and self._training_data() is not None else cell

    def measure(self, wanted: Wanted, planner: "AbstractPlanner", key: str) -> "GuidanceCell":
        from diffplan.env.kept_plans import KeptPlans
        from diffplan.report.guidance_check import GuidanceCell

        plans = KeptPlans(planner)
        evaluation = self.evaluate(wanted, planner, on_step=plans)
        rollout, episodes, calibration = evaluation.rollout, evaluation.episodes(), evaluation.calibration
        has_values = calibration is not None and bool(calibration.counted.any())
        drift, data_drift = self._drift(plans, planner)
        scale, candidates = wanted.facts
        return GuidanceCell(
            key=key,
            protocol=wanted.protocol,
            scale=scale,
            candidates=candidates,
            seeds=list(self.seeds),
            scores=episodes.scores,
            lengths=episodes.lengths,
            terminated=rollout.terminated.tolist(),
            decision_gflop=episodes.decision_gflop,
            decision_cpu_seconds=episodes.decision_cpu_seconds,
            has_data=self._training_data() is not None,
            drift=drift,
            data_drift=data_drift,
            value_mean=float(calibration.values[calibration.counted].mean()) if calibration and has_values else None,
            return_mean=float(calibration.returns[calibration.counted].mean()) if calibration and has_values else None,
            value_correlation=None if calibration is None else calibration.correlation,
        )

    def nothing_played(self, refused: Sequence[tuple[Wanted, str]]) -> str:
        return f"guidance cannot be checked: {refused[0][1]}"

    def table(self, cells: Sequence["GuidanceCell"]) -> "pd.DataFrame":
        from diffplan.report.guidance_check import guidance_table

        return guidance_table(cells, own_choice(self.config))

    def write(
        self, cells: Sequence["GuidanceCell"], refused: Sequence[tuple[Wanted, str]], folder: Path
    ) -> dict[str, Path]:
        # Imported here, because charts take longer to load than a mistyped option should wait.
        from diffplan.report.guidance_report import write_guidance

        reasons = [f"{wanted.name}, {wanted.protocol}: {reason}" for wanted, reason in refused]
        without_drift = "" if all(cell.drift is not None for cell in cells) else self._without_drift
        return write_guidance(cells, reasons, without_drift, own_choice(self.config), self.title, folder)

    def _training_data(self) -> "Transitions | None":
        """Returns the data that the model was trained on; None if it is not there."""
        from diffplan.run.training_data import read_training_data

        if self._data is None and not self._without_drift:
            try:
                self._data = read_training_data(self.checkpoint, self.config.data_path)
            except DiffplanError as error:
                if self.config.data_path is not None:
                    raise
                self._without_drift = str(error)
        return self._data

    def _drift(self, kept: "KeptPlans", planner: "AbstractPlanner") -> tuple[float | None, float | None]:
        """Returns the mean distance of plans to the data's windows, and that of held-back windows."""
        from diffplan.data.data_distance import DataDistance

        data, plans = self._training_data(), kept.spread(_MOST_PLANS)
        if data is None or plans is None:
            return None, None
        if self._distance is None:
            try:
                self._distance = DataDistance.of(data, plans.shape[1], planner.stride)
            except DiffplanError as error:
                self._without_drift = str(error)
                return None, None
        return float(self._distance.of_plans(plans).mean()), self._distance.of_data


def _with_guide(config: DictConfig, scale: float | None, candidates: int) -> DictConfig:
    """Returns a copy of the config with another guide scale and number of candidates, or without a guide."""
    chosen = copy.deepcopy(config)
    if scale is None:
        chosen.guide = OmegaConf.load(CONF_DIR / "guide" / "no_guide.yaml")
    else:
        chosen.guide.scale = scale
    chosen.planner.num_candidates = candidates
    return chosen


if __name__ == "__main__":
    main()
