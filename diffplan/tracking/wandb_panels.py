"""The panels of a W&B workspace or report about a sweep."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from diffplan.report.dashboard.dashboard_board import DashboardBoard
from diffplan.report.run_record import RunRecord
from diffplan.report.stored_result import StoredResult

# Runs that differ in their seed alone share it, and W&B averages over them.
GROUP_KEY = "ablation"
_STEP_KEY = "trainer/global_step"
_COSTS = ("decision_gflop", "decision_cpu_seconds", "decision_seconds")
_GOAL_MEDIA, _OTHER_MEDIA = ("plans", "video"), ("imagined", "calibration", "video")


@dataclass(frozen=True)
class PanelSection:
    """Panels under one heading.

    Attributes:
        title: The heading.
        panels: ``wandb_workspaces`` panels.
    """

    title: str
    panels: list[Any]


def board_sections(
    board: DashboardBoard, results: Sequence[StoredResult], records: Mapping[str, RunRecord]
) -> list[PanelSection]:
    """Score against what varies, learning, cost, pictures and videos, episodes; each only where runs have logged it.

    Args:
        board: One task and protocol.
        results: Its results.
        records: What the runs' folders hold, by source; empty where only W&B has the runs.
    """
    import wandb_workspaces.reports.v2 as wr

    prefix = f"eval/{board.protocol}/"
    score = f"{prefix}normalized_score_mean"
    group = wr.Config(GROUP_KEY)
    bands = {"groupby": group, "groupby_aggfunc": "mean", "groupby_rangefunc": "stderr"}
    against = [
        wr.ScatterPlot(title=f"score against {name}", x=wr.Config(key), y=wr.SummaryMetric(score))
        for name in board.settings
        if (key := _config_key(name, results))
    ]
    sections = [
        ("score", [wr.BarPlot(title="score, mean over seeds", metrics=[score], **bands), *against]),
        (
            "learning",
            [
                wr.LinePlot(title="score over training", x=_STEP_KEY, y=[score], **bands),
                *(
                    [wr.LinePlot(title="training loss", x=_STEP_KEY, y=["train/loss"], log_y=True, **bands)]
                    if all(stored.result.job == "train" for stored in results)
                    else []
                ),
            ],
        ),
        (
            "cost of a decision",
            [
                wr.ScatterPlot(
                    title=f"score against {cost}", x=wr.SummaryMetric(prefix + cost), y=wr.SummaryMetric(score)
                )
                for cost in _COSTS
                if all(prefix + cost in stored.result.metrics for stored in results)
            ],
        ),
        (
            "plans and videos",
            [wr.MediaBrowser(title=name, media_keys=[prefix + name], num_columns=4)
             for name in _media(prefix, results, records)],
        ),
        ("episodes", [wr.WeavePanelSummaryTable(table_name=f"{prefix}episodes")]),
    ]  # fmt: skip
    return [PanelSection(f"{board.title}: {title}", panels) for title, panels in sections if panels]


def _config_key(name: str, results: Sequence[StoredResult]) -> str | None:
    """Where W&B keeps a setting; None where runs do not log it, because another command chose it."""
    node: Any = results[0].result.config
    if name.partition(".")[0] not in node or any(stored.result.job == "plan" for stored in results):
        known = ("task", "scheduler", "guide", "sampler", "planner")
        if name.partition(".")[0] not in known or name.partition(".")[0] not in node:
            return None
    for part in name.split("."):
        node = node.get(part) if isinstance(node, Mapping) else None
    return f"cfg.{name}._target_" if isinstance(node, Mapping) and "_target_" in node else f"cfg.{name}"


def _media(prefix: str, results: Sequence[StoredResult], records: Mapping[str, RunRecord]) -> list[str]:
    """Names of pictures and videos: those that lie in the folders, or those that such a task always has."""
    logged = {key.removeprefix(prefix) for r in records.values() for key in r.files if key.startswith(prefix)}
    known = [name for name in dict.fromkeys(_GOAL_MEDIA + _OTHER_MEDIA) if name in logged]
    if logged:
        return known
    has_goal = f"{prefix}success_rate" in results[0].result.metrics
    return list(_GOAL_MEDIA if has_goal else _OTHER_MEDIA)
