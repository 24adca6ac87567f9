"""What every Hydra command shares: its config folder, and one sentence instead of a traceback for a user's mistake."""

import difflib
import functools
import os
import re
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import hydra
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import ConfigCompositionException, HydraException, MissingConfigException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from diffplan.errors import DiffplanError
from diffplan.paths import CONF_DIR
from diffplan.resolvers import register_resolvers

_MISTAKES = (DiffplanError, HydraException, OmegaConfBaseException)
# Hydra makes the run's folder before a command begins.
_UNUSABLE_FOLDER = (PermissionError, NotADirectoryError, FileExistsError)


def run_command(
    name: str,
    config_name: str,
    function: Callable[[DictConfig], Any],
    implied: Callable[[list[str]], list[str]] | None = None,
) -> None:
    """Composes the config from the command line and calls ``function``; exits 1 with one sentence on a mistake.

    Args:
        name: The command, for its error messages.
        config_name: Primary config in ``conf``.
        function: Takes the composed config.
        implied: Says which overrides follow from those that were given.
    """
    register_resolvers()
    if implied is not None:
        sys.argv += implied(sys.argv[1:])
    wants_traceback = os.environ.get("HYDRA_FULL_ERROR", "0") == "1"

    @functools.wraps(function)
    def job(config: DictConfig) -> Any:
        try:
            with _environment(HYDRA_FULL_ERROR="1" if wants_traceback else None):
                return function(config)
        except _MISTAKES as error:
            # In a multirun the other jobs go on, and Hydra says whose mistake it was.
            if wants_traceback or HydraConfig.get().mode != RunMode.RUN:
                raise
            sys.exit(f"{name}: {_sentence(error, config_name)}")

    # Hydra prints errors its own way unless told to pass them on.
    with _environment(HYDRA_FULL_ERROR="1"):
        try:
            hydra.main(version_base="1.3", config_path=str(CONF_DIR), config_name=config_name)(job)()
        except _MISTAKES as error:
            if wants_traceback:
                raise
            sys.exit(f"{name}: {_sentence(error, config_name)}")
        except _UNUSABLE_FOLDER as error:
            if wants_traceback:
                raise
            sys.exit(f"{name}: cannot write to {error.filename}: {error.strerror}; choose another paths.output_dir=...")


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
