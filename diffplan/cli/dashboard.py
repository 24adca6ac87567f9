"""The command ``diffplan-dashboard``: a sweep, a group or a project as one page, or in W&B."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from diffplan.cli.dashboard_settings import HELP, DashboardSettings
from diffplan.cli.default_settings import default_settings
from diffplan.config.command_words import run_words
from diffplan.errors import ConfigError
from diffplan.report.dashboard.dashboard_content import DashboardContent
from diffplan.report.dashboard.dashboard_page import write_dashboard_page
from diffplan.report.dashboard.dashboard_selection import DashboardSelection
from diffplan.report.dashboard.dashboard_unfinished import UnfinishedRun, unfinished_runs
from diffplan.report.result_folder import ResultFolder, read_results

_COMMAND = "diffplan-dashboard"
_DEFAULT_FOLDER = "outputs"


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point of ``diffplan-dashboard``; arguments as in ``run_words``."""
    run_words(_COMMAND, HELP, _make, argv)


def _make(words: list[str]) -> None:
    settings = DashboardSettings.parse(words)
    _put(_content(settings), settings, shlex.join([_COMMAND, *words]))


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
    from diffplan.sweep.failure_note import read_failure_note

    found, unfinished = ResultFolder([], []), []
    for folder in (Path(name).expanduser() for name in settings.results or [_DEFAULT_FOLDER]):
        found += read_results(folder)
        unfinished += unfinished_runs(folder, selection, read_failure_note)
    return found, unfinished


def _put(content: DashboardContent, settings: DashboardSettings, command: str) -> None:
    path = None if settings.to is None else Path(settings.to).expanduser()
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
                print(f"written: {path}; publish=true sends it to {settings.wandb}")
            for address in dashboard.publish() if settings.publish else []:
                print(f"published: {address}")
    except OSError as error:
        raise ConfigError(f"the dashboard cannot be written to {path}: {error.strerror}.") from None


if __name__ == "__main__":
    main()
