"""A sweep as a W&B workspace and a W&B report, made by code."""

import importlib
import importlib.util
import json
import logging
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import requests
import wandb
from pydantic import ValidationError
from wandb.sdk.lib.service.service_connection import WandbApiFailedError

from diffplan.errors import ConfigError, ResultError
from diffplan.files import write_atomically
from diffplan.report.ablation import Ablation, value_text
from diffplan.report.ablation_sheet import cell_entries
from diffplan.report.results import StoredResult
from diffplan.report.run_record import RunRecord
from diffplan.report.sweep_content import SweepContent
from diffplan.tracking.base import first_line

_REFUSALS = (wandb.Error, WandbApiFailedError, requests.RequestException, ValueError, OSError, TimeoutError)
_MOST_TITLE_LETTERS = 120
_MARKDOWN_SIGNS = "\\`*_[]|<>#"
# Runs that differ in their seed alone share it, and W&B averages over them.
GROUP_KEY = "ablation"
_STEP_KEY = "trainer/global_step"
_COSTS = ("decision_gflop", "decision_cpu_seconds", "decision_seconds")
_GOAL_MEDIA, _OTHER_MEDIA = ("plans", "video"), ("imagined", "calibration", "video")


class WandbDashboard:
    """Panels over the runs of a selection, grouped so that W&B averages over seeds.

    Args:
        content: The runs.
        project: ``entity/project``.
        command: How to make it again.

    Raises:
        ConfigError: W&B's library for workspaces is not installed, or refuses a panel.
    """

    def __init__(self, content: SweepContent, project: str, command: str) -> None:
        if importlib.util.find_spec("wandb_workspaces") is None:
            raise ConfigError("W&B dashboards need one more package: pip install 'diffplan[dashboard]'.")
        with warnings.catch_warnings():
            # It defines its classes in a way that pydantic is about to leave behind.
            warnings.simplefilter("ignore", DeprecationWarning)
            importlib.import_module("wandb_workspaces.workspaces")
        self._content = content
        self._entity, self._project = project.split("/")
        self._command = command
        self._title = content.selection.text[:_MOST_TITLE_LETTERS]
        try:
            self._workspace = self._make_workspace()
            self._report = self._make_report(online=False)
        except (ValidationError, ValueError) as error:
            raise ConfigError(f"W&B's library refuses this dashboard: {first_line(error)}.") from None

    def spec(self) -> dict[str, Any]:
        """What W&B would get, as plain values; made without a server."""
        specs = {"workspace": self._workspace._to_model().spec, "report": self._report._to_model().spec}
        plain = {name: spec.model_dump(mode="json", by_alias=True, exclude_none=True) for name, spec in specs.items()}
        return {"entity": self._entity, "project": self._project, "title": self._title, **plain}

    def write(self, path: Path) -> None:
        """Writes the specification.

        Args:
            path: JSON file.
        """
        write_atomically(path, f"{json.dumps(self.spec(), indent=1)}\n".encode())

    def publish(self) -> list[str]:
        """Saves workspace and report on the server, each as a new one.

        Returns:
            Their addresses.

        Raises:
            ResultError: there is no account, no such project, or W&B does not answer.
        """
        place = f"{self._entity}/{self._project}"
        try:
            if not wandb.login(prompt=False, verify=False):
                raise ResultError(
                    f"publishing to W&B's project {place} needs an account, and this machine has none: run "
                    "`wandb login` or set WANDB_API_KEY."
                )
            # Its own words on failed connections would come before the one sentence.
            logging.getLogger("wandb").setLevel(logging.CRITICAL)
            report = self._make_report(online=True)
            report._to_model()  # Asks for the project: where there is none, nothing is saved and none is made.
            self._workspace.save()
            report.save()
        except _REFUSALS as error:
            raise ResultError(f"the dashboard cannot be published to {place}: {first_line(error)}.") from None
        return [self._workspace.url, report.url]

    def _make_workspace(self) -> Any:
        import wandb_workspaces.workspaces as ws

        return ws.Workspace(
            entity=self._entity,
            project=self._project,
            name=self._title,
            sections=[
                ws.Section(name=f"{board.title}: {title}", panels=panels, is_open=True)
                for board in self._content.boards
                for title, panels in _sections(board).items()
            ],
            settings=ws.WorkspaceSettings(x_axis="trainer/global_step", max_runs=100),
            runset_settings=ws.RunsetSettings(filters=self._filters(), groupby=[ws.Config(GROUP_KEY)]),
        )

    def _make_report(self, online: bool) -> Any:
        """The report; offline its run set names no project, because W&B's library asks the server for its number."""
        import wandb_workspaces.reports.v2 as wr

        place = {"entity": self._entity, "project": self._project} if online else {}
        blocks: list[Any] = [wr.MarkdownBlock(text=self._introduction())]
        for board in self._content.boards:
            panels = [panel for panels in _sections(board).values() for panel in panels]
            runset = wr.Runset(**place, name=self._title, filters=self._filters(), groupby=[f"config.{GROUP_KEY}"])
            blocks += [wr.H2(text=board.title), wr.MarkdownBlock(text=_table(board))]
            blocks.append(wr.PanelGrid(runsets=[runset], panels=panels))
        return wr.Report(entity=self._entity, project=self._project, title=self._title, blocks=blocks)

    def _filters(self) -> Any:
        """The selection in W&B's words: what its words were found to mean."""
        from wandb_workspaces import expr

        filters = []
        results = [stored.result for stored in self._content.results]
        keys = list(self._content.selection.words)
        for key in dict.fromkeys(["task", "name"] if "group" in keys else [k for k in keys if k != "group"]):
            # W&B keeps a config entry under `value`; without that word, its library takes `sweep` for W&B's own sweeps.
            filters.append(expr.Config(f"{key}.value").isin(sorted({str(getattr(result, key)) for result in results})))
        if "group" in keys:
            filters.append(expr.Config(f"{GROUP_KEY}.value").isin(sorted({result.ablation for result in results})))
        return expr.And(*filters) if filters else ""

    def _introduction(self) -> str:
        content = self._content
        varied = [f"{board.title}: {', '.join(board.settings) or 'nothing'} varies over {len(board.cells)} cells."
                  for board in content.boards]  # fmt: skip
        counts = sorted({cell.statistics.count_text for board in content.boards for cell in board.cells})
        lines = [*varied, f"Training seeds and episodes: {', '.join(counts)}."]
        lines += [*content.data_texts, *content.differences]
        missing = [f"{run.label}: {run.state}" for run in content.unfinished]
        lines += [f"{len(missing)} runs without a result: {'; '.join(missing)}"] if missing else []
        commands = "\n".join([*content.commands(), self._command])
        return "\n\n".join([*(_escape(line) for line in lines), f"```\n{commands}\n```"])


def _table(board: Ablation) -> str:
    """The statistics of a board in Markdown."""
    if not board.cells:
        return "No cell can be averaged."
    rows = [
        [*(map(value_text, cell.values) if cell.values else [cell.label]),
         *(text for _, text in cell_entries(cell, board).values())]
        for cell in board.cells
    ]  # fmt: skip
    head = [*(board.settings or ["run"]), *cell_entries(board.cells[0], board)]
    lines = [_row(head), _row(["---"] * len(head), raw=True), *(_row(row) for row in rows)]
    lines += [f"\n{_escape(f'{label}: {reason}')}" for label, reason in board.problems]
    return "\n".join(lines)


def _row(texts: list[str], raw: bool = False) -> str:
    return f"| {' | '.join(text if raw else _escape(text) for text in texts)} |"


def _escape(text: str) -> str:
    """Text as Markdown that shows just this."""
    return "".join(f"\\{letter}" if letter in _MARKDOWN_SIGNS else letter for letter in text).replace("\n", " ")


def _sections(board: Ablation) -> dict[str, list[Any]]:
    """Panels by heading: score, learning, cost, pictures and videos, episodes; each only where runs have logged it."""
    import wandb_workspaces.reports.v2 as wr

    results = board.results
    prefix = f"eval/{board.protocol}/"
    score = f"{prefix}normalized_score_mean"
    bands = {"groupby": wr.Config(GROUP_KEY), "groupby_aggfunc": "mean", "groupby_rangefunc": "stderr"}
    against = [
        wr.ScatterPlot(title=f"score against {name}", x=wr.Config(key), y=wr.SummaryMetric(score))
        for name in board.settings
        if (key := _config_key(name, results))
    ]
    learning = [wr.LinePlot(title="score over training", x=_STEP_KEY, y=[score], **bands)]
    if all(stored.result.job == "train" for stored in results):
        learning.append(wr.LinePlot(title="training loss", x=_STEP_KEY, y=["train/loss"], log_y=True, **bands))
    costs = [
        wr.ScatterPlot(title=f"score against {cost}", x=wr.SummaryMetric(prefix + cost), y=wr.SummaryMetric(score))
        for cost in _COSTS
        if all(prefix + cost in stored.result.metrics for stored in results)
    ]
    media = [wr.MediaBrowser(title=name, media_keys=[prefix + name], num_columns=4) for name in _media(prefix, results)]
    sections = {
        "score": [wr.BarPlot(title="score, mean over seeds", metrics=[score], **bands), *against],
        "learning": learning,
        "cost of a decision": costs,
        "plans and videos": media,
        "episodes": [wr.WeavePanelSummaryTable(table_name=f"{prefix}episodes")],
    }
    return {title: panels for title, panels in sections.items() if panels}


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


def _media(prefix: str, results: Sequence[StoredResult]) -> list[str]:
    """Names of pictures and videos: those that lie in the folders, or those that such a task always has."""
    records = [RunRecord.read(Path(stored.source).parent) for stored in results]
    logged = {key.removeprefix(prefix) for record in records for key in record.files if key.startswith(prefix)}
    if logged:
        return [name for name in dict.fromkeys(_GOAL_MEDIA + _OTHER_MEDIA) if name in logged]
    return list(_GOAL_MEDIA if f"{prefix}success_rate" in results[0].result.metrics else _OTHER_MEDIA)
