import difflib
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from diffplan.config.paths import SWEEPS_DIR
from diffplan.errors import ConfigError

_COMMANDS = ("diffplan-train", "diffplan-plan")
# What a W&B sweep may say beside its grid; Hydra has no use for these.
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
        command: ``diffplan-train`` or ``diffplan-plan``.
        words: What every cell's command line begins with.
        parameters: Values by setting, as they are typed on a command line.
    """

    path: Path
    command: str
    words: tuple[str, ...]
    parameters: dict[str, list[Any]]

    @property
    def name(self) -> str:
        """What the sweep is called by."""
        return self.path.stem

    @classmethod
    def find(cls, name: str) -> "SweepFile":
        """Reads the sweep of this name, or the file at this path.

        Raises:
            ConfigError: there is none, or it is no grid; the message says what is wrong.
        """
        is_path = name.endswith((".yaml", ".yml")) or os.sep in name
        path = Path(name) if is_path else SWEEPS_DIR / f"{name}.yaml"
        if not path.is_file():
            names = sorted(file.stem for file in SWEEPS_DIR.glob("*.yaml"))
            close = difflib.get_close_matches(path.stem, names, n=1, cutoff=0.5)
            hint = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(names)}."
            raise ConfigError(f"there is no sweep {name!r}; {hint}")
        try:
            content = yaml.safe_load(path.read_text())
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise ConfigError(f"{path} is no YAML: {str(error).splitlines()[0]}.") from error
        if not isinstance(content, dict):
            raise ConfigError(f"{path} must hold a sweep: program, method, parameters and command.")
        _check(path, content)
        words = _words([str(word) for word in content["command"]], content["program"])
        parameters = {str(key): _values(path, str(key), choice) for key, choice in content["parameters"].items()}
        return cls(path, content["program"], words, parameters)


def _check(path: Path, content: dict[Any, Any]) -> None:
    for key in map(str, content):
        if key not in _KEYS:
            close = difflib.get_close_matches(key, _KEYS, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"a grid has {', '.join(sorted(_KEYS))}."
            raise ConfigError(f"{path}: a sweep has no key {key!r}; {hint}")
    if content.get("method") != "grid":
        raise ConfigError(f"{path}: method must be grid to be listed cell by cell, got {content.get('method')!r}.")
    if content.get("program") not in _COMMANDS:
        raise ConfigError(f"{path}: program must be diffplan-train or diffplan-plan, got {content.get('program')!r}.")
    command = content.get("command")
    if not isinstance(command, list) or _ARGUMENTS not in command:
        raise ConfigError(f"{path}: command must be a list of words with '{_ARGUMENTS}' at its end.")
    if not isinstance(content.get("parameters"), dict) or not content["parameters"]:
        raise ConfigError(f"{path}: parameters must name a setting and its values.")


def _words(command: list[str], program: str) -> tuple[str, ...]:
    """The settings among a command's words; one that waits for an environment variable is left out without it."""
    words = []
    for word in command:
        unset = [name for name in _VARIABLE.findall(word) if name not in os.environ]
        if word not in {program, _ARGUMENTS, *_LAUNCHERS} and not unset:
            words.append(_VARIABLE.sub(lambda found: os.environ[found.group(1)], word))
    return tuple(words)


def _values(path: Path, key: str, choice: Any) -> list[Any]:
    """The values of one setting; a distribution has none."""
    if isinstance(choice, dict) and set(choice) == {"value"}:
        return [choice["value"]]
    if isinstance(choice, dict) and set(choice) == {"values"} and isinstance(choice["values"], list):
        if choice["values"]:
            return list(choice["values"])
        raise ConfigError(f"{path}: {key} has no values.")
    raise ConfigError(f"{path}: {key} must have values: [...], for a grid knows no distributions.")
