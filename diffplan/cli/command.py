"""What every Hydra command shares: its config folder, its sweeps, and one sentence for a user's mistake."""

import difflib
import functools
import logging
import os
import re
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import hydra
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import ConfigCompositionException, HydraException, MissingConfigException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from diffplan.config.paths import CONF_DIR
from diffplan.config.resolvers import register_resolvers
from diffplan.errors import ConfigError, DiffplanError, LockedError
from diffplan.run import stop_signal
from diffplan.sweep.cell import Cell
from diffplan.sweep.cell_table import show_cells
from diffplan.sweep.cluster_launcher import use_slurm_launcher
from diffplan.sweep.expansion import MULTIRUN_FLAGS, expand_sweep
from diffplan.sweep.failure_note import leave_failure_note, remove_failure_note
from diffplan.sweep.resuming_sweeper import use_resuming_sweeper
from diffplan.sweep.run_cost import RunCost

_MISTAKES = (DiffplanError, HydraException, OmegaConfBaseException)
# Hydra makes the run's folder before a command begins.
_UNUSABLE_FOLDER = (PermissionError, NotADirectoryError, FileExistsError)

logger = logging.getLogger(__name__)


def run_command(
    name: str,
    config_name: str,
    function: Callable[[DictConfig], dict[str, float]],
    is_finished: Callable[[DictConfig], bool],
    estimate: Callable[[Sequence[Cell]], list[RunCost | None]],
    implied: Callable[[list[str]], list[str]] | None = None,
) -> None:
    """Composes the config from the command line and calls ``function``; exits 1 with one sentence on a mistake.

    ``+sweep=<name>`` stands for the settings of a sweep file, and ``--dry`` lists cells instead of running them.

    Args:
        name: The command, for its error messages.
        config_name: Primary config in ``conf``.
        function: Takes the composed config, returns metrics.
        is_finished: Whether the run of a config needs no launch in a sweep.
        estimate: What cells will cost, in their order.
        implied: Says which overrides follow from those that were given.
    """
    stop_signal.listen()
    register_resolvers()
    wants_traceback = os.environ.get("HYDRA_FULL_ERROR", "0") == "1"
    is_dry = "--dry" in sys.argv[1:]

    def job(config: DictConfig) -> Any:
        return _run_job(name, config_name, function, config, wants_traceback)

    # Hydra prints errors its own way unless told to pass them on.
    with _environment(HYDRA_FULL_ERROR="1"):
        try:
            words = _expand(sys.argv[1:], name, is_dry)
            sys.argv[1:] = words + ([] if implied is None else implied(words))
            show = functools.partial(show_cells, estimate=estimate) if is_dry else None
            use_resuming_sweeper(is_finished, show)
            use_slurm_launcher(words)
            hydra.main(version_base="1.3", config_path=str(CONF_DIR), config_name=config_name)(
                functools.wraps(function)(job)
            )()
        except _MISTAKES as error:
            if wants_traceback:
                raise
            sys.exit(f"{name}: {_sentence(error, config_name)}")
        except _UNUSABLE_FOLDER as error:
            if wants_traceback:
                raise
            sys.exit(f"{name}: cannot write to {error.filename}: {error.strerror}; choose another paths.output_dir=...")


def _expand(words: list[str], name: str, is_dry: bool) -> list[str]:
    """The command line with the sweep's settings and without ``--dry``."""
    words = [word for word in words if word != "--dry"]
    if not is_dry:
        return expand_sweep(words, name)
    sweeper = next((word for word in words if word.startswith("hydra/sweeper=")), "hydra/sweeper=basic")
    if sweeper != "hydra/sweeper=basic":
        raise ConfigError(f"--dry lists the cells of a grid, and {sweeper} chooses its cells as it goes.")
    return expand_sweep(words if set(words) & set(MULTIRUN_FLAGS) else ["--multirun", *words], name)


def _run_job(
    name: str,
    config_name: str,
    function: Callable[[DictConfig], dict[str, float]],
    config: DictConfig,
    wants_traceback: bool,
) -> Any:
    """Runs one cell or the only run; says in its folder why it failed."""
    run_dir, is_only = Path(HydraConfig.get().runtime.output_dir), HydraConfig.get().mode == RunMode.RUN
    try:
        remove_failure_note(run_dir)
        with _environment(HYDRA_FULL_ERROR="1" if wants_traceback else None):
            return _objective(function(config), config.get("objective"))
    except LockedError as error:
        if wants_traceback or not is_only:
            raise
        sys.exit(f"{name}: {error}")
    except Exception as error:
        is_mistake = isinstance(error, _MISTAKES)
        sentence = _sentence(error, config_name) if is_mistake else _summary(error)
        leave_failure_note(run_dir, sentence)
        if is_only and is_mistake and not wants_traceback:
            sys.exit(f"{name}: {sentence}")
        if is_only:
            raise
        if wants_traceback or not is_mistake:
            logger.exception("this cell failed")
        # The other cells go on. Any launcher can carry this error from another process, unlike those of libraries.
        raise DiffplanError(sentence) from None


def _objective(metrics: dict[str, float], key: str | None) -> dict[str, float] | float:
    """The one number that a sweeper such as Optuna's is to improve, or all of them."""
    if key is None:
        return metrics
    if key not in metrics:
        raise ConfigError(f"objective={key} is no metric of this run{_closest(key, list(metrics))}")
    return metrics[key]


def _summary(error: BaseException) -> str:
    first_line = (str(error).strip() or "no message").splitlines()[0]
    return f"{type(error).__name__}: {first_line}"


@contextmanager
def _environment(**variables: str | None) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in variables}
    _set_environment(variables)
    try:
        yield
    finally:
        _set_environment(before)


def _set_environment(variables: dict[str, str | None]) -> None:
    for name, value in variables.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


def _sentence(error: BaseException, config_name: str) -> str:
    causes = [error]
    while causes[-1].__cause__ is not None:
        causes.append(causes[-1].__cause__)
    own = next((cause for cause in causes if isinstance(cause, DiffplanError)), None)
    if own is not None:
        return str(own)
    text, cause = re.sub(r"^\w+ raised while resolving interpolation: ", "", str(error).strip()), causes[-1]
    if missing := re.search(r"Missing mandatory value: ([\w.]+)", text):
        return f"{missing.group(1)}=... must be given."
    if isinstance(error, MissingConfigException):
        group, _, option = (error.missing_cfg_file or "").rpartition("/")
        options = error.options or []
        return f"there is no {group or 'config'} {option!r}{_closest(option, options)}"
    if isinstance(error, ConfigCompositionException) and (found := re.search(r"override '?([\w./@+~]+)'?", text)):
        key = found.group(1).lstrip("+~")
        keys = _known_keys(config_name)
        if key.partition("=")[0] not in keys:
            return f"there is no setting {key!r}{_closest(key, keys)}"
    first_line = next((line for line in text.splitlines() if line.strip()), type(error).__name__)
    detail = str(cause).splitlines()[0] if cause is not error and str(cause) and str(cause) not in text else ""
    return f"{first_line} {detail}".strip()


def _closest(word: str, options: list[str]) -> str:
    close = difflib.get_close_matches(word, options, n=1, cutoff=0.5)
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; there are {', '.join(sorted(options))}." if 0 < len(options) <= 20 else "."


def _known_keys(config_name: str) -> list[str]:
    GlobalHydra.instance().clear()
    with warnings.catch_warnings(), initialize_config_dir(str(CONF_DIR), version_base="1.3"):
        warnings.simplefilter("ignore")
        return _paths(OmegaConf.to_container(compose(config_name), resolve=False))


def _paths(node: Any, prefix: str = "") -> list[str]:
    if not isinstance(node, dict):
        return []
    keys = []
    for key, value in node.items():
        keys += [f"{prefix}{key}", *_paths(value, f"{prefix}{key}.")]
    return keys
