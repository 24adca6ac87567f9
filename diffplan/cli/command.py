"""What the Hydra commands share: sweeps, ``--dry``, and one sentence for a user's mistake."""

import functools
import logging
import os
import re
import sys
import tempfile
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import hydra
import hydra.utils
from hydra import compose, initialize_config_dir
from hydra._internal.utils import get_args_parser
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import ConfigCompositionException, HydraException, MissingConfigException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from diffplan.config.paths import CONF_DIR
from diffplan.config.resolvers import register_resolvers
from diffplan.config.settings import SETTINGS
from diffplan.errors import ConfigError, DiffplanError, LockedError, closest, sentence, system_refusal
from diffplan.run import stop_signal
from diffplan.sweep.cell import Cell, remove_failure_note, write_failure_note
from diffplan.sweep.launcher_watch import end_with_launcher
from diffplan.sweep.resuming_sweeper import SweepSettings, register_plugins, with_sweep_settings
from diffplan.sweep.sweep_file import MULTIRUN_FLAGS, expand_sweep
from diffplan.terminal import printable

if TYPE_CHECKING:
    from diffplan.tracking.base import AbstractRunLogger

_MISTAKES = (DiffplanError, HydraException, OmegaConfBaseException)
_TRACEBACK = "HYDRA_FULL_ERROR"

logger = logging.getLogger(__name__)


def run_command(
    verb: str,
    function: Callable[[DictConfig], dict[str, float]],
    is_finished: Callable[[DictConfig], bool],
    implied: Callable[[list[str]], list[str]] | None = None,
) -> None:
    """Composes the config from the command line and calls ``function``; exits 1 with one sentence on a mistake.

    ``+sweep=<name>`` stands for the settings of a sweep file. ``--dry`` lists the cells instead of running them.

    Args:
        verb: Name of the command, and of its primary config in ``conf``.
        function: Takes the composed config, returns metrics.
        is_finished: Whether the run of a config is finished, so that a sweep does not launch it.
        implied: Returns the overrides that follow from the given ones.
    """
    stop_signal.listen()
    register_resolvers()
    # A full disk must not print the traceback of every line that the log cannot hold.
    logging.raiseExceptions = False
    wants_traceback = os.environ.get(_TRACEBACK, "0") == "1"
    is_dry = "--dry" in sys.argv[1:]

    # Hydra finds the command's name and module through the function, and a sweep's launcher pickles it.
    @functools.wraps(function)
    def job(config: DictConfig) -> Any:
        return _run_job(verb, function, config, wants_traceback)

    # Without this variable, Hydra prints errors in its own format and exits. The job resets it.
    os.environ[_TRACEBACK] = "1"
    try:
        words = _expand(sys.argv[1:], verb, is_dry)
        # Hydra reads `sys.argv` and has no argument for the command line. Run folders record it as the run's command.
        sys.argv[:] = [f"diffplan-{verb}", *words, *([] if implied is None else implied(words))]
        register_plugins(words)
        task = with_sweep_settings(job, SweepSettings(is_finished, _show_cells if is_dry else None))
        hydra.main(version_base="1.3", config_path=str(CONF_DIR), config_name=verb)(task)()
    except SystemExit as error:
        # The check of all settings before a run ends in this way.
        if wants_traceback and isinstance(error.__cause__, DiffplanError):
            raise error.__cause__ from None
        raise
    except Exception as error:
        # Hydra makes the run's folder, and opens its log, before a command begins.
        made = OmegaConf.select(HydraConfig.instance().cfg or OmegaConf.create(), "hydra.runtime.output_dir")
        reason = _reason(error, verb, {_folder_setting(verb): made or os.sep})
        if wants_traceback or reason is None:
            raise
        sys.exit(printable(f"diffplan {verb}: {reason}"))


def open_loggers(config: DictConfig, resolved: dict[str, Any]) -> "list[AbstractRunLogger]":
    """Builds the loggers of a run and gives them its settings.

    Args:
        config: The composed config.
        resolved: The same with plain values.
    """
    loggers = [hydra.utils.instantiate(run_logger) for run_logger in config.logger.values() if run_logger is not None]
    labels = {key: config[key] for key in ("name", "seed", "ablation", "sweep") if key in config}
    for run_logger in loggers:
        run_logger.log_config(resolved, {"task": config.task.name, **labels})
    return loggers


def _expand(words: list[str], verb: str, is_dry: bool) -> list[str]:
    """Replaces ``+sweep=<name>`` by the sweep's settings, and ``--dry`` by ``--multirun``."""
    words = [word for word in words if word != "--dry"]
    _refuse_dashed_settings(words)
    _refuse_what_hydra_does_not_explain(words)
    if not is_dry:
        return expand_sweep(words, verb)
    sweeper = next((word for word in words if word.startswith("hydra/sweeper=")), "hydra/sweeper=basic")
    if sweeper != "hydra/sweeper=basic":
        raise ConfigError(f"--dry lists the cells of a grid, but {sweeper} chooses each cell after the previous ones.")
    return expand_sweep(words if set(words) & set(MULTIRUN_FLAGS) else ["--multirun", *words], verb)


def _refuse_dashed_settings(words: list[str]) -> None:
    """Refuses ``--seed=3``, which Hydra would take for an unknown option, or for one that begins alike."""
    for name in (word[2:].partition("=")[0] for word in words if word.startswith("--")):
        if name.partition(".")[0] in {*SETTINGS, "experiment", "debug"}:
            raise ConfigError(f"'--{name}' is a setting: write {name}=... without dashes.")


def _refuse_what_hydra_does_not_explain(words: list[str]) -> None:
    """Refuses unknown options, ``optimizer=null`` and endless numbers; Hydra answers with a usage or a traceback."""

    def refuse(message: str) -> NoReturn:
        raise ConfigError(f"{message}.")

    parser = get_args_parser()
    parser.error = refuse
    groups = {folder.name for folder in CONF_DIR.iterdir() if folder.is_dir()}
    for word in parser.parse_args(words).overrides:
        try:
            override = OverridesParser.create().parse_override(word)
            value = override.value()
            chosen = value if isinstance(value, list) else [value]
            takes_option = override.is_sweep_override() or all(isinstance(option, str) for option in chosen)
        except HydraException:
            continue  # Hydra says what is wrong with the word.
        except ValueError as error:
            raise ConfigError(f"{word[:40]}... is no number that can be meant.") from error
        group = override.key_or_group
        if group in groups and not override.is_delete() and not takes_option:
            options = sorted(file.stem for file in (CONF_DIR / group).glob("*.yaml"))
            typed = word.partition("=")[2]
            raise ConfigError(f"{group} chooses a file of conf/{group}, got {typed}{closest(typed, options)}")


def _show_cells(cells: Sequence[Cell]) -> None:
    # Imported here, because reading results takes longer to load than a mistyped setting takes to report.
    from diffplan.sweep.cell_list import show_cells

    show_cells(cells)


def _run_job(
    verb: str, function: Callable[[DictConfig], dict[str, float]], config: DictConfig, wants_traceback: bool
) -> Any:
    """Runs one cell of a sweep, or the only run; writes into its folder why it failed."""
    end_with_launcher()
    run_dir, is_only = Path(HydraConfig.get().runtime.output_dir), HydraConfig.get().mode == RunMode.RUN
    # The processes that a distributed run starts inherit the variable, so they must see the user's value.
    os.environ[_TRACEBACK] = "1" if wants_traceback else "0"
    try:
        remove_failure_note(run_dir)
        return _objective(function(config), config.get("objective"))
    except LockedError as error:
        if wants_traceback or not is_only:
            raise
        sys.exit(printable(f"diffplan {verb}: {error}"))
    except Exception as error:
        first_line = (str(error).strip() or "no message").splitlines()[0]
        known = _reason(error, verb, _places(config, verb))
        reason = known or f"{type(error).__name__}: {first_line}"
        with suppress(OSError):
            write_failure_note(run_dir, reason)
        if is_only and known is not None and not wants_traceback:
            sys.exit(printable(f"diffplan {verb}: {reason}"))
        if is_only:
            raise
        if wants_traceback or known is None:
            logger.exception("this cell failed")
        # The other cells continue. Every launcher can pickle this error, unlike the errors of some libraries.
        raise DiffplanError(reason) from None
    finally:
        os.environ[_TRACEBACK] = "1"


def _objective(metrics: dict[str, float], key: str | None) -> dict[str, float] | float:
    """Returns the metric that a sweeper such as Optuna's improves, or all metrics if none is chosen."""
    if key is None:
        return metrics
    if key not in metrics:
        raise ConfigError(f"objective={key} is not a metric of this run{closest(key, list(metrics))}")
    return metrics[key]


def _reason(error: Exception, verb: str, places: Mapping[str, str]) -> str | None:
    """Says in one sentence what a user can set right; None for an error of another kind."""
    if isinstance(error, _MISTAKES):
        cause = error.__cause__ if isinstance(error, HydraException) else None
        # Hydra says so of whatever a part's constructor raises.
        return system_refusal(cause, places) or _memory(cause) or _sentence(error, verb)
    return system_refusal(error, places) or _memory(error)


def _memory(error: BaseException | None) -> str | None:
    is_full = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
    if not is_full and "can't allocate memory" not in str(error):
        return None
    return f"the memory is full: {str(error).strip().partition(chr(10))[0] or 'nothing more can be allocated'}"


def _folder_setting(verb: str) -> str:
    return "paths.output_dir=..." if verb == "train" else "paths.run_dir=..."


def _places(config: DictConfig, verb: str) -> dict[str, str]:
    """The folders of a run by the setting that names them."""
    places = {_folder_setting(verb): str(config.paths.run_dir)}
    if "data_dir" in config.paths:
        places["paths.data_dir=..."] = str(config.paths.data_dir)
    return places | {"TMPDIR": tempfile.gettempdir()}


def _sentence(error: BaseException, verb: str) -> str:
    """Says what is wrong, with the most similar group, option or setting if one is unknown."""
    if isinstance(error, MissingConfigException):
        group, _, option = (error.missing_cfg_file or "").rpartition("/")
        return f"there is no {group or 'config'} {option!r}{closest(option, error.options or [])}"
    text = str(error)
    if isinstance(error, ConfigCompositionException) and (found := re.search(r"override '?([\w./@+~]+)'?", text)):
        key = found.group(1).lstrip("+~").partition("=")[0]
        keys = _known_keys(verb)
        if key not in keys:
            group, _, name = key.partition(".")
            files = sorted((CONF_DIR / group).glob("*.yaml"))
            owners = [file.stem for file in files if re.search(rf"^{re.escape(name)}:", file.read_text(), re.MULTILINE)]
            if name and owners:
                return f"{key} is a setting of {group}={' or '.join(owners)}, which is not chosen here."
            return f"there is no setting {key!r}{closest(key, keys)}"
    return sentence(error)


def _known_keys(verb: str) -> list[str]:
    GlobalHydra.instance().clear()
    with warnings.catch_warnings(), initialize_config_dir(str(CONF_DIR), version_base="1.3"):
        warnings.simplefilter("ignore")
        return _paths(OmegaConf.to_container(compose(verb), resolve=False))


def _paths(node: Any, prefix: str = "") -> list[str]:
    keys = node if isinstance(node, dict) else {}
    return [path for key in keys for path in (f"{prefix}{key}", *_paths(node[key], f"{prefix}{key}."))]
