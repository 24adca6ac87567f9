"""The command ``diffplan dashboard``: a sweep, a group or a project as one page, or in W&B."""

import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter, validators

from diffplan.cli.default_settings import default_settings
from diffplan.cli.table import Aspect
from diffplan.errors import ConfigError
from diffplan.report.dashboard.dashboard_content import DashboardContent
from diffplan.report.dashboard.dashboard_page import write_dashboard_page
from diffplan.report.dashboard.dashboard_selection import DashboardSelection
from diffplan.report.dashboard.dashboard_unfinished import UnfinishedRun, unfinished_runs
from diffplan.report.result_folder import ResultFolder, read_results

_DEFAULT_FOLDER = "outputs"
_PAGE_ENDINGS, _SPEC_ENDING = (".html", ".htm"), ".json"


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class DashboardSettings:
    """Which runs are shown, and where the dashboard is written.

    Attributes:
        results: Folder that is searched for results; may be given several times. The default is outputs.
        sweep: Only runs of this sweep. As in all patterns below, * stands for any text.
        name: Only runs of this name.
        task: Only runs of this task.
        group: Only runs of this W&B group, written task/name/ablation or the beginning of it.
        allow: What averaged results may differ in; may be given several times.
        baseline: Value to compare with; by default the one of the run without changes.
        to: File that is written: an .html page that works offline, or a .json file with what W&B would get. The default
            is dashboard.html, or dashboard.json with --wandb.
        max_mib: Maximum size of pictures and videos in the page, in MiB.
        wandb: W&B project, written entity/project, that gets the workspace and the report. Needs
            pip install 'diffplan[dashboard]'.
        publish: Send the dashboard to W&B. Runs are then read from W&B unless --results names folders.

    Raises:
        ConfigError: options that do not go together.
    """

    results: list[str] | None = None
    sweep: str | None = None
    name: str | None = None
    task: str | None = None
    group: str | None = None
    allow: Annotated[tuple[Aspect, ...], Parameter(show_default=False)] = ()
    baseline: str | None = None
    to: str | None = None
    max_mib: Annotated[float, Parameter(validator=validators.Number(gte=0))] = 20.0
    wandb: str | None = None
    publish: Annotated[bool, Parameter(show_default=False)] = False

    def __post_init__(self) -> None:
        place = self.place
        if place is not None and not place.endswith((*_PAGE_ENDINGS, _SPEC_ENDING)):
            raise ConfigError(f"--to must name an .html page or a .json file, got {place!r}.")
        needs = "--publish" if self.publish else f"--to {place}" if self.is_spec else None
        if needs and (self.wandb is None or self.wandb.count("/") != 1 or not all(self.wandb.split("/"))):
            raise ConfigError(f"{needs} needs --wandb entity/project, got {self.wandb or 'none'}.")

    @property
    def place(self) -> str | None:
        """The file that is written; None if the dashboard is only published."""
        if self.to is not None or self.publish:
            return self.to
        return "dashboard.html" if self.wandb is None else "dashboard.json"

    @property
    def is_page(self) -> bool:
        """Whether a page is written."""
        return self.place is not None and self.place.endswith(_PAGE_ENDINGS)

    @property
    def is_spec(self) -> bool:
        """Whether a file with what W&B would get is written."""
        return self.place is not None and self.place.endswith(_SPEC_ENDING)

    @property
    def reads_wandb(self) -> bool:
        """Whether runs are read from W&B."""
        return self.results is None and self.wandb is not None and (self.publish or self.is_page)


def dashboard(*, settings: DashboardSettings = DashboardSettings()) -> None:
    """Show a sweep, a group or a whole project: one local HTML page, or a W&B workspace and report.

    Args:
        settings: Which runs are shown, and where the dashboard is written.
    """
    _put(_content(settings), settings, shlex.join(["diffplan", *sys.argv[1:]]))


def _content(settings: DashboardSettings) -> DashboardContent:
    selection = DashboardSelection(settings.sweep, settings.group, settings.name, settings.task)
    found, unfinished = _read(settings, selection)
    tasks = {stored.result.task for stored in found.results if selection.admits(stored)}
    defaults = {task: default_settings(task) for task in tasks}
    return DashboardContent.of(found, selection, unfinished, settings.allow, settings.baseline, defaults)


def _read(settings: DashboardSettings, selection: DashboardSelection) -> tuple[ResultFolder, list[UnfinishedRun]]:
    """Results and what is unfinished; W&B lists the latter among what it skips."""
    if settings.reads_wandb:
        # Imported here, because it takes longer to load than the page takes to make.
        from diffplan.tracking.wandb_tables import read_wandb_results

        return read_wandb_results(str(settings.wandb)), []
    from diffplan.sweep.cell import read_failure_note

    found, unfinished = ResultFolder([], []), []
    for folder in (Path(name).expanduser() for name in settings.results or [_DEFAULT_FOLDER]):
        found += read_results(folder)
        unfinished += unfinished_runs(folder, selection, read_failure_note)
    return found, unfinished


def _put(content: DashboardContent, settings: DashboardSettings, command: str) -> None:
    path = None if settings.place is None else Path(settings.place).expanduser()
    try:
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
        if path is not None and settings.is_page:
            size = write_dashboard_page(content, path, command, round(settings.max_mib * 2**20))
            print(f"written: {path} ({size / 2**20:.1f} MiB)")
        if settings.publish or settings.is_spec:
            # Imported here, because it takes longer to load than the page takes to make.
            from diffplan.tracking.wandb_dashboard import WandbDashboard

            dashboard = WandbDashboard(content, str(settings.wandb), command)
            if path is not None and settings.is_spec:
                dashboard.write(path)
                print(f"written: {path}; --publish sends it to {settings.wandb}")
            for address in dashboard.publish() if settings.publish else []:
                print(f"published: {address}")
    except OSError as error:
        raise ConfigError(f"the dashboard cannot be written to {path}: {error.strerror}.") from None
