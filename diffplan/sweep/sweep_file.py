"""Sweep files, and ``+sweep=<name>`` on a command line, which stands for the settings of one."""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

from diffplan.config.paths import SWEEPS_DIR
from diffplan.errors import ConfigError, ResultError, closest
from diffplan.files import read_yaml

# A W&B agent starts one program, so that sweep files name the scripts and not `diffplan train`.
_PROGRAMS = {"diffplan-train": "train", "diffplan-plan": "plan"}
_MARKS = ("+sweep=", "++sweep=")
MULTIRUN_FLAGS = ("-m", "--multirun")
# Keys of W&B's that Hydra has no use for.
_KEYS_OF_WANDB = {"project", "entity", "name", "description", "metric", "run_cap"}
_KEYS = {"program", "method", "parameters", "command"} | _KEYS_OF_WANDB
_ARGUMENTS = "${args_no_hyphens}"
_LAUNCHERS = {"${env}", "${interpreter}", "${program}"}
_VARIABLE = re.compile(r"\$\{envvar:([A-Z0-9_]*)\}")


@dataclass(frozen=True)
class SweepFile:
    """A grid of settings in W&B's sweep format.

    Attributes:
        path: The file.
        verb: ``train`` or ``plan``.
        words: Settings that all cells share.
        parameters: Values by setting, as they are typed on a command line.
    """

    path: Path
    verb: str
    words: tuple[str, ...]
    parameters: dict[str, list[Any]]

    @property
    def name(self) -> str:
        """Name of the sweep: the name of its file."""
        return self.path.stem

    @classmethod
    def find(cls, name: str) -> "SweepFile":
        """Reads the sweep of this name, or the file at this path.

        Raises:
            ConfigError: the file is missing or is not a grid.
        """
        is_path = name.endswith((".yaml", ".yml")) or os.sep in name
        path = Path(name) if is_path else SWEEPS_DIR / f"{name}.yaml"
        if not path.is_file():
            names = [file.stem for file in SWEEPS_DIR.glob("*.yaml")]
            raise ConfigError(f"there is no sweep {name!r}{closest(path.stem, names)}")
        try:
            content = read_yaml(path)
        except ResultError as error:
            raise ConfigError(f"{path} {error}.") from error
        if not isinstance(content, dict):
            raise ConfigError(f"{path} must hold a sweep: program, method, parameters and command.")
        _check(path, content)
        words = _words([str(word) for word in content["command"]], content["program"])
        parameters = {str(key): _values(path, str(key), choice) for key, choice in content["parameters"].items()}
        return cls(path, _PROGRAMS[content["program"]], words, parameters)


def expand_sweep(words: list[str], verb: str) -> list[str]:
    """Replaces ``+sweep=<name>`` by the settings of the sweep file; settings on the command line override the file's.

    Args:
        words: The command line without the program's name.
        verb: ``train``, ``plan``, ``schedulers`` or ``guidance``.

    Returns:
        The words for Hydra; the same words if no sweep is named.

    Raises:
        ConfigError: an unknown sweep, a sweep of another command, two sweeps, or several cells without ``-m``.
    """
    named = [word for word in words if word.startswith(_MARKS)]
    if not named:
        return words
    if len(named) > 1:
        raise ConfigError(f"one sweep at a time: got {' and '.join(named)}.")
    name = named[0].partition("=")[2].strip("'\"")
    sweep = SweepFile.find(name)
    if sweep.verb != verb:
        raise ConfigError(f"{name} is a sweep of {sweep.verb}: type diffplan {sweep.verb} -m +sweep={name} ...")
    typed = {setting_of(word) for word in words}
    kept = [word for word in sweep.words if setting_of(word) not in typed]
    grid = {key: values for key, values in sweep.parameters.items() if key not in typed}
    if not set(words) & set(MULTIRUN_FLAGS) and any(len(values) > 1 for values in grid.values()):
        raise ConfigError(f"the sweep {name} has several cells: add -m, as in diffplan {verb} -m +sweep={name}.")
    kept += [f"{key}={','.join(as_word(key, value) for value in values)}" for key, values in grid.items()]
    # The label of the runs. W&B's agents get it from the `command` of the file.
    if "sweep" not in typed | {setting_of(word) for word in kept}:
        kept.append(f"sweep={sweep.name}")
    place = words.index(named[0])
    return [*words[:place], *kept, *words[place + 1 :]]


def setting_of(word: str) -> str:
    """Name of the setting that a word of the command line changes."""
    key = word.partition("=")[0]
    # `+sweep` chooses a file; `sweep` is the label of a run.
    return key if key in ("+sweep", "++sweep") else key.lstrip("+~")


def as_word(key: str, value: Any) -> str:
    """Writes one value so that Hydra reads it back as one value.

    Args:
        key: The setting.
        value: Value in the file. A string is what a user would type, so that Hydra reads ``"null"`` and ``"[multi2d]"``
            as null and as a list. It is quoted only if Hydra would read several values or none.
    """
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{','.join(as_word(key, item) for item in value)}]"
    if isinstance(value, dict):
        return f"{{{','.join(f'{name}:{as_word(key, item)}' for name, item in value.items())}}}"
    text = str(value)
    try:
        if text and not OverridesParser.create().parse_override(f"{key}={text}").is_sweep_override():
            return text
    except HydraException:
        pass  # The quotes below make it readable.
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def _check(path: Path, content: dict[Any, Any]) -> None:
    for key in map(str, content):
        if key not in _KEYS:
            raise ConfigError(f"{path}: a sweep has no key {key!r}{closest(key, _KEYS)}")
    if content.get("method") != "grid":
        raise ConfigError(f"{path}: method must be grid to be listed cell by cell, got {content.get('method')!r}.")
    if content.get("program") not in [*_PROGRAMS]:
        raise ConfigError(f"{path}: program must be diffplan-train or diffplan-plan, got {content.get('program')!r}.")
    command = content.get("command")
    if not isinstance(command, list) or _ARGUMENTS not in command:
        raise ConfigError(f"{path}: command must be a list of words with '{_ARGUMENTS}' at its end.")
    if not isinstance(content.get("parameters"), dict) or not content["parameters"]:
        raise ConfigError(f"{path}: parameters must name a setting and its values.")
    named = [*map(str, command), *map(str, content["parameters"])]
    if any(word.lstrip("+").partition("=")[0] == "sweep" and word.startswith("+") for word in named):
        raise ConfigError(f"{path}: a sweep cannot be made of another one.")


def _words(command: list[str], program: str) -> tuple[str, ...]:
    """The settings among a command's words, without those whose environment variable is not set."""
    words = []
    for word in command:
        unset = [name for name in _VARIABLE.findall(word) if name not in os.environ]
        if word not in {program, _ARGUMENTS, *_LAUNCHERS} and not unset:
            words.append(_VARIABLE.sub(lambda found: os.environ[found.group(1)], word))
    return tuple(words)


def _values(path: Path, key: str, choice: Any) -> list[Any]:
    """The values of one setting."""
    if isinstance(choice, dict) and set(choice) == {"value"}:
        return [choice["value"]]
    if isinstance(choice, dict) and set(choice) == {"values"} and isinstance(choice["values"], list):
        if choice["values"]:
            return list(choice["values"])
        raise ConfigError(f"{path}: {key} has no values.")
    raise ConfigError(f"{path}: {key} must have values: [...], because a grid has no distributions.")
