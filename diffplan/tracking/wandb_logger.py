"""Weights & Biases: online with an account, offline without one, never in the way of training."""

import contextlib
import logging
import os
import re
import secrets
import string
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import wandb

from diffplan.errors import ConfigError, DiffplanError
from diffplan.files import write_atomically
from diffplan.report.sheet import Sheet
from diffplan.run.result import RESULT_KEY, Result, WandbIdentity
from diffplan.tracking.base import (
    PICTURES,
    AbstractRunLogger,
    first_line,
    first_process_only,
    media_suffix,
    plain_rows,
    plain_value,
)
from diffplan.tracking.wandb_process import PATIENCE_SECONDS, UnresponsiveError, abandon, within

logger = logging.getLogger(__name__)

_STEP_KEY = "trainer/global_step"
_CONFIG_KEY = "cfg"
_MODULE_KEY = "module"
_LONGEST_GROUP = 128


class WandbLogger(AbstractRunLogger):
    """One W&B run per run folder, continued by its id when training resumes.

    W&B being slow, down, frozen or gone costs a bounded wait and one warning: the run goes on offline or without W&B,
    and the warning says how to upload what is missing.

    The resolved config lies under ``cfg`` and the grouping keys flat beside it, so that a W&B sweep over ``task`` or
    ``backbone`` replaces one word and not a whole branch of the config.

    Args:
        project: W&B project.
        save_dir: Run folder; W&B's own files go to its ``wandb`` folder.
        entity: W&B team or user; None means the account's default.
        name: Name of the run in the dashboard.
        group: What is averaged over seeds.
        job_type: ``train`` or ``plan``.
        tags: Labels.
        mode: ``online``, ``offline``, or ``auto``: what WANDB_MODE or ``wandb offline`` says, else online where W&B
            finds an account on this machine and offline where it finds none.
        run_id_path: File that keeps the run's id; None means ``wandb_run_id`` in the run folder.
        connect_timeout_seconds: Longest wait for the server to accept the run; W&B looks up the account before that,
            which takes at most 15 seconds more.
        finish_timeout_seconds: Longest wait for the upload at the end.

    Raises:
        ConfigError: no such mode.
    """

    def __init__(
        self,
        project: str,
        save_dir: Path | str,
        entity: str | None = None,
        name: str | None = None,
        group: str | None = None,
        job_type: str | None = None,
        tags: Sequence[str] = (),
        mode: str = "auto",
        run_id_path: Path | str | None = None,
        connect_timeout_seconds: float | int = 15.0,
        finish_timeout_seconds: float | int = 120.0,
    ) -> None:
        if mode not in ("auto", "online", "offline"):
            raise ConfigError(f"logger.wandb.mode must be auto, online or offline, got {mode!r}.")
        self._dir = Path(save_dir)
        self._mode = mode
        self._run_id_path = Path(run_id_path) if run_id_path else self._dir / "wandb_run_id"
        self._timeouts = (connect_timeout_seconds, finish_timeout_seconds)
        self._identity: dict[str, Any] = {
            "project": project, "entity": entity, "name": name, "group": _shortened(group),
            "job_type": job_type, "tags": list(tags),
        }  # fmt: skip
        self._run: wandb.Run | None = None
        self._place = "W&B has not been started."
        self._lost = False
        self._num_missing = 0

    @property
    def run_id(self) -> str | None:
        """Id of the W&B run, None before it first started."""
        return self._run_id_path.read_text().strip() or None if self._run_id_path.is_file() else None

    @property
    def experiment(self) -> "wandb.Run":
        """The W&B run, started at first use."""
        if self._run is None:
            self._run = within(self._timeouts[0] + PATIENCE_SECONDS, self._start)
            self._place = self._describe(self._run)
        return self._run

    @first_process_only
    def log_config(self, config: Mapping[str, Any], groups: Mapping[str, str | int | float | bool | None]) -> None:
        """Sends the resolved config under ``cfg`` and the grouping keys flat."""
        values = {**plain_value(groups), _CONFIG_KEY: plain_value(config)}
        self._send(lambda run: run.config.update(values, allow_val_change=True))

    @first_process_only
    def log_hyperparams(self, params: Mapping[str, Any]) -> None:
        if params:
            self._send(lambda run: run.config.update({_MODULE_KEY: plain_value(params)}, allow_val_change=True))

    @first_process_only
    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        self._send(lambda run: run.log({**metrics, _STEP_KEY: step}))

    @first_process_only
    def log_media(self, key: str, path: Path, step: int) -> None:
        kind = wandb.Image if media_suffix(key, path) in PICTURES else wandb.Video
        # W&B copies a file only when it sends it, so the value is made inside.
        self._send(lambda run: run.log({key: kind(str(path)), _STEP_KEY: step}))

    @first_process_only
    def log_table(self, key: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], step: int) -> None:
        data = plain_rows(key, columns, rows)
        self._send(lambda run: run.log({key: wandb.Table(columns=list(columns), data=data), _STEP_KEY: step}))

    @first_process_only
    def log_page(self, key: str, path: Path, step: int) -> None:
        # The page holds its own style and scripts, so W&B's are not put into it.
        self._send(lambda run: run.log({key: wandb.Html(str(path), inject=False), _STEP_KEY: step}))

    @first_process_only
    def log_result(self, result: Result) -> None:
        """Puts the whole record into the run's summary, so that tables can be made from W&B alone."""
        self._send(lambda run: run.summary.update({RESULT_KEY: result.model_dump_json()}))

    def wandb_identity(self) -> WandbIdentity | None:
        """The run that has been started; None where W&B is switched off."""
        run = self._run
        if run is None or run.disabled:
            return None
        return WandbIdentity(entity=run.entity or None, project=self._identity["project"], run_id=run.id)

    def where_to_look(self) -> str:
        """Names the run's page online, or its folder and the command that uploads it."""
        return self._place

    @first_process_only
    def finalize(self, status: str) -> None:
        """Ends the W&B run, as failed unless it was a success; the next job in this process starts its own."""
        run, self._run = self._run, None
        if run is None:
            return
        upload_seconds = 0.0 if run.offline else self._timeouts[1]
        try:
            within(upload_seconds + PATIENCE_SECONDS, lambda: run.finish(exit_code=0 if status == "success" else 1))
        except Exception as error:
            abandon(run)
            self._warn_lost(f"W&B did not take the whole run at the end ({first_line(error)})")
        if not run.disabled and not any(Path(run.dir).parent.glob("*.wandb")):
            logger.warning("W&B's folder %s has been removed, and what it held is lost", Path(run.dir).parent)
            self._place = "W&B's folder has been removed; numbers, pictures and tables are in the run's folder"
        if self._num_missing:
            self._place += f" ({self._num_missing} of what was logged is missing there)"

    def _start(self) -> "wandb.Run":
        """Starts the run the way the mode asks for; offline where the server does not answer."""
        self._dir.mkdir(parents=True, exist_ok=True)
        if wandb.run is not None:
            # A job before this one in the same process that crashed; W&B finds no account while its run is open.
            with contextlib.suppress(wandb.Error, OSError):
                wandb.run.finish(exit_code=1)
        run = self._connect(self._resolve_mode())
        run.define_metric(_STEP_KEY)
        run.define_metric("*", step_metric=_STEP_KEY, step_sync=True)
        return run

    def _connect(self, mode: Literal["online", "offline", "disabled"]) -> "wandb.Run":
        if mode != "online":
            return self._init(mode)
        try:
            return self._init("online")
        except (wandb.Error, TimeoutError, OSError) as error:
            # A half-started client would be reused by the next call.
            wandb.teardown(exit_code=0)
            run = self._init("offline")
            logger.warning(
                "W&B could not be used online (%s): this run continues OFFLINE. To upload it later: %s",
                first_line(error),
                self._sync_command(run.id),
            )
            return run

    def _resolve_mode(self) -> Literal["online", "offline", "disabled"]:
        if self._mode == "offline":
            return "offline"
        standing = wandb.setup().settings.mode
        if self._mode == "auto" and standing in ("offline", "dryrun"):
            return "offline"
        if self._mode == "auto" and standing == "disabled":
            return "disabled"
        try:
            account = standing in ("offline", "dryrun", "disabled") or wandb.login(prompt=False, verify=False)
        except wandb.Error as error:
            raise ConfigError(f"The W&B account of this machine must be usable: {first_line(error)}.") from None
        if not account and self._mode == "online":
            raise ConfigError(
                "logger.wandb.mode=online needs a W&B account and this machine has none: run `wandb login`, set "
                "WANDB_API_KEY, or choose logger.wandb.mode=auto."
            )
        return "online" if account else "offline"

    def _init(self, mode: Literal["online", "offline", "disabled"]) -> "wandb.Run":
        connect, finish = self._timeouts
        run_id = self.run_id or os.environ.get("WANDB_RUN_ID") or _new_run_id()
        write_atomically(self._run_id_path, f"{run_id}\n".encode())
        return wandb.init(
            dir=str(self._dir),
            id=run_id,
            resume="allow",
            reinit="finish_previous",
            mode=mode,
            settings=wandb.Settings(init_timeout=connect, finish_timeout=finish, finish_timeout_raises=True),
            **self._identity,
        )

    def _send(self, action: Callable[["wandb.Run"], None]) -> None:
        """Hands something to W&B; where W&B does not take it, says so once and lets training go on."""
        if self._lost:
            return
        try:
            run = self.experiment
            within(PATIENCE_SECONDS, lambda: action(run))
        except DiffplanError:
            raise
        except (wandb.Error, ConnectionError, UnresponsiveError) as error:
            abandon(self._run)
            self._lost, self._run = True, None
            self._warn_lost(f"W&B's own process has ended or does not answer ({first_line(error)})")
        except Exception as error:
            # For instance, the folder in which W&B prepares pictures and tables is gone.
            self._num_missing += 1
            if self._num_missing == 1:
                logger.warning("W&B does not take all that is logged (%s); the run's folder has it", first_line(error))

    def _warn_lost(self, reason: str) -> None:
        command = self._sync_command(self.run_id or "*")
        self._place = f"W&B holds this run in part; upload the rest with: {command}"
        logger.warning("%s; training is not affected. To upload what is missing: %s", reason, command)

    def _describe(self, run: "wandb.Run") -> str:
        if run.disabled:
            return "W&B is switched off (WANDB_MODE)."
        if not run.offline:
            return f"W&B: {run.url}"
        return f"W&B run kept offline in {Path(run.dir).parent}; upload it with: {self._sync_command(run.id)}"

    def _sync_command(self, run_id: str) -> str:
        """The command that uploads every piece of this run, one folder a start."""
        return f"wandb sync {self._dir.absolute() / 'wandb'}/*run-*-{run_id}"


def log_sheets(sheets: Sequence[Sheet], project: str, folder: Path) -> str:
    """Logs each table twice to one run: as it is printed, with its footnotes, and one line a cell with all statistics.

    Args:
        sheets: Tables.
        project: ``entity/project``, or the project alone.
        folder: Where W&B keeps its files; the same folder is the same run, which gets the tables anew.

    Returns:
        Where to look.
    """
    entity, _, name = project.rpartition("/")
    logger = WandbLogger(project=name, entity=entity or None, save_dir=folder, name="tables", job_type="table")
    for sheet in sheets:
        key = "table/" + re.sub(r"\W+", "_", sheet.title).strip("_").lower()
        printed = sheet.frame(line_break=" ")
        notes = [[note, *[""] * len(sheet.columns)] for note in sheet.footnotes]
        columns = [sheet.corner or "row", *sheet.columns]
        logger.log_table(key, columns, [*printed.to_numpy().tolist(), *notes], step=0)
        records = [list(record.values()) for record in sheet.records]
        logger.log_table(f"{key}_statistics", list(sheet.records[0]), records, step=0)
    place = logger.where_to_look()
    logger.finalize("success")
    return place


def _shortened(group: str | None) -> str | None:
    """W&B refuses the run of a group with more than 128 letters."""
    if group is None or len(group) <= _LONGEST_GROUP:
        return group
    return f"{group[: _LONGEST_GROUP - 9]}-{short_hash(group)}"


def _new_run_id() -> str:
    return "".join(secrets.choice(string.ascii_lowercase + string.digits) for _ in range(8))
