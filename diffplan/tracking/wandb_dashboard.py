"""A sweep as a W&B workspace and a W&B report, made by code."""

import importlib
import importlib.util
import json
import logging
import warnings
from pathlib import Path
from typing import Any

import requests
import wandb
from pydantic import ValidationError
from wandb.sdk.lib.service.service_connection import WandbApiFailedError

from diffplan.errors import ConfigError, ResultError
from diffplan.files import write_atomically
from diffplan.report.dashboard.dashboard_board import DashboardBoard
from diffplan.report.dashboard.dashboard_content import DashboardContent
from diffplan.report.dashboard.dashboard_rows import board_rows
from diffplan.report.run_record import RunRecord
from diffplan.tracking.wandb_panels import GROUP_KEY, board_sections

_REFUSALS = (wandb.Error, WandbApiFailedError, requests.RequestException, ValueError, OSError, TimeoutError)
_MOST_TITLE_LETTERS = 120
_MARKDOWN_SIGNS = "\\`*_[]|<>#"


class WandbDashboard:
    """Panels over the runs of a selection, grouped so that W&B averages over seeds.

    Args:
        content: The runs.
        project: ``entity/project``.
        command: How to make it again.

    Raises:
        ConfigError: W&B's library for workspaces is not installed, or refuses a panel.
    """

    def __init__(self, content: DashboardContent, project: str, command: str) -> None:
        if importlib.util.find_spec("wandb_workspaces") is None:
            raise ConfigError("W&B dashboards need one more package: pip install 'diffplan[dashboard]'.")
        with warnings.catch_warnings():
            # It defines its classes in a way that pydantic is about to leave behind.
            warnings.simplefilter("ignore", DeprecationWarning)
            importlib.import_module("wandb_workspaces.workspaces")
        self._content = content
        self._entity, self._project = project.split("/")
        self._command = command
        self._title = f"{content.selection.text}"[:_MOST_TITLE_LETTERS]
        try:
            self._workspace = self._make_workspace()
            self._report = self._make_report(online=False)
        except (ValidationError, ValueError) as error:
            raise ConfigError(f"W&B's library refuses this dashboard: {_first_line(error)}.") from None

    def spec(self) -> dict[str, Any]:
        """What W&B would get, as plain values; made without a server."""
        models = {"workspace": self._workspace._to_model().spec, "report": self._report._to_model().spec}
        return {
            "entity": self._entity,
            "project": self._project,
            "title": self._title,
            **{
                name: json.loads(model.model_dump_json(by_alias=True, exclude_none=True))
                for name, model in models.items()
            },
        }

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
            raise ResultError(f"the dashboard cannot be published to {place}: {_first_line(error)}.") from None
        return [self._workspace.url, report.url]

    def _make_workspace(self) -> Any:
        import wandb_workspaces.workspaces as ws

        return ws.Workspace(
            entity=self._entity,
            project=self._project,
            name=self._title,
            sections=[
                ws.Section(name=section.title, panels=section.panels, is_open=True)
                for board in self._content.boards
                for section in board_sections(board, *self._of_board(board))
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
            panels = [panel for s in board_sections(board, *self._of_board(board)) for panel in s.panels]
            runset = wr.Runset(**place, name=self._title, filters=self._filters(), groupby=[f"config.{GROUP_KEY}"])
            blocks += [wr.H2(text=board.title), wr.MarkdownBlock(text=_table(board))]
            blocks.append(wr.PanelGrid(runsets=[runset], panels=panels))
        return wr.Report(entity=self._entity, project=self._project, title=self._title, blocks=blocks)

    def _of_board(self, board: DashboardBoard) -> tuple[list[Any], dict[str, RunRecord]]:
        results = [stored for cell in board.cells for stored in cell.found.pool.results]
        return results, {stored.source: RunRecord.read(Path(stored.source).parent) for stored in results}

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
        counts = sorted({cell.found.statistics.count_text for board in content.boards for cell in board.cells})
        lines = [*varied, f"Training seeds and episodes: {', '.join(counts)}."]
        lines += [*content.data_texts, *content.differences]
        missing = [f"{run.label}: {run.state}" for run in content.unfinished]
        lines += [f"{len(missing)} runs without a result: {'; '.join(missing)}"] if missing else []
        commands = "\n".join([*content.commands(), self._command])
        return "\n\n".join([*(_escape(line) for line in lines), f"```\n{commands}\n```"])


def _table(board: DashboardBoard) -> str:
    """The statistics of a board in Markdown."""
    rows = board_rows(board)
    if not rows:
        return "No cell can be averaged."
    head = [*(board.settings or ["run"]), *rows[0].entries]
    lines = [_row(head), _row(["---"] * len(head), raw=True)]
    for row in rows:
        lines.append(_row([*row.values, *(text for _, text in row.entries.values())]))
    lines += [f"\n{_escape(f'{label}: {reason}')}" for label, reason in board.problems]
    return "\n".join(lines)


def _row(texts: list[str], raw: bool = False) -> str:
    return f"| {' | '.join(text if raw else _escape(text) for text in texts)} |"


def _escape(text: str) -> str:
    """Text as Markdown that shows just this."""
    return "".join(f"\\{letter}" if letter in _MARKDOWN_SIGNS else letter for letter in text).replace("\n", " ")


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
