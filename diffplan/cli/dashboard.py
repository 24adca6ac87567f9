"""The command ``diffplan dashboard``: a sweep, a group or a project as one page, or in W&B."""

import math
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter, validators

from diffplan.cli.table import ShownRuns
from diffplan.config.default_settings import default_settings
from diffplan.errors import ConfigError
from diffplan.report.results import FoundResults, read_results, read_wandb_results
from diffplan.report.sweep_content import SweepContent, UnfinishedRun, unfinished_runs
from diffplan.terminal import say

_PAGE_ENDINGS, _SPEC_ENDING = (".html", ".htm"), ".json"


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class DashboardSettings(ShownRuns):
    """Which runs are shown, and where the dashboard is written.

    Attributes:
        to: File that is written: an .html page that works offline, or a .json file with what W&B would get. The default
            is dashboard.html, or dashboard.json with --wandb.
        max_mib: Maximum size of pictures and videos in the page, in MiB.
        wandb: W&B project, written entity/project, that gets the workspace and the report. Needs
            pip install 'diffplan[dashboard]'.
        publish: Send the dashboard to W&B. Runs are then read from W&B unless --results names folders.

    Raises:
        ConfigError: options that do not go together.
    """

    to: str | None = None
    max_mib: Annotated[float, Parameter(validator=validators.Number(gte=0))] = 20.0
    wandb: str | None = None
    publish: Annotated[bool, Parameter(show_default=False)] = False

    def __post_init__(self) -> None:
        if not math.isfinite(self.max_mib):
            raise ConfigError(f"--max-mib must be a finite number, got {self.max_mib}.")
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
    found, unfinished = _read(settings)
    content = SweepContent.of(
        found, settings.selection, unfinished, settings.allow, settings.baseline, default_settings
    )
    _put(content, settings, shlex.join(["diffplan", *sys.argv[1:]]))


def _read(settings: DashboardSettings) -> tuple[FoundResults, list[UnfinishedRun]]:
    """Reads results and unfinished runs; W&B lists the latter among what it skips."""
    if settings.reads_wandb:
        return read_wandb_results(str(settings.wandb)), []
    from diffplan.sweep.cell import read_failure_note

    found, unfinished = FoundResults([], []), []
    for folder in settings.folders():
        found += read_results(folder)
        unfinished += unfinished_runs(folder, settings.selection, read_failure_note)
    return found, unfinished


def _put(content: SweepContent, settings: DashboardSettings, command: str) -> None:
    path = None if settings.place is None else Path(settings.place).expanduser()
    try:
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
        if path is not None and settings.is_page:
            # Imported here, because W&B's panels need no chart of ours.
            from diffplan.report.sweep_page import write_sweep_page

            size = write_sweep_page(content, path, command, round(settings.max_mib * 2**20))
            say(f"written: {path} ({size / 2**20:.1f} MiB)")
        if settings.publish or settings.is_spec:
            # Imported here, because it takes longer to load than the page takes to make.
            from diffplan.tracking.wandb_dashboard import WandbDashboard

            dashboard = WandbDashboard(content, str(settings.wandb), command)
            if path is not None and settings.is_spec:
                dashboard.write(path)
                say(f"written: {path}; --publish sends it to {settings.wandb}")
            for address in dashboard.publish() if settings.publish else []:
                say(f"published: {address}")
    except OSError as error:
        raise ConfigError(f"the dashboard cannot be written to {path}: {error.strerror}.") from None
