"""Turns ``+sweep=<name>`` into the words it stands for, before Hydra reads the command line."""

from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

from diffplan.errors import ConfigError
from diffplan.sweep.sweep_file import SweepFile

_MARKS = ("+sweep=", "++sweep=")
MULTIRUN_FLAGS = ("-m", "--multirun")


def expand_sweep(words: list[str], command: str) -> list[str]:
    """Puts the settings of a sweep file where ``+sweep=<name>`` stands; what is typed beside it wins.

    Args:
        words: The command line, program aside.
        command: The command that was typed.

    Returns:
        The same words where no sweep is named.

    Raises:
        ConfigError: no such sweep, one of the other command, several, or several cells without ``-m``.
    """
    named = [word for word in words if word.startswith(_MARKS)]
    if not named:
        return words
    if len(named) > 1:
        raise ConfigError(f"one sweep at a time: got {' and '.join(named)}.")
    name = named[0].partition("=")[2].strip("'\"")
    sweep = SweepFile.find(name)
    if sweep.command != command:
        raise ConfigError(f"{name} is a sweep of {sweep.command}: type {sweep.command} -m +sweep={name} ...")
    typed = {setting_of(word) for word in words}
    kept = [word for word in sweep.words if setting_of(word) not in typed]
    grid = {key: values for key, values in sweep.parameters.items() if key not in typed}
    if not set(words) & set(MULTIRUN_FLAGS) and any(len(values) > 1 for values in grid.values()):
        raise ConfigError(f"the sweep {name} has several cells: add -m, as in {command} -m +sweep={name}.")
    kept += [f"{key}={','.join(as_word(key, value) for value in values)}" for key, values in grid.items()]
    # Runs of W&B's agents get the same label from the file's own words.
    if "sweep" not in typed | {setting_of(word) for word in kept}:
        kept.append(f"sweep={sweep.name}")
    place = words.index(named[0])
    return [*words[:place], *kept, *words[place + 1 :]]


def setting_of(word: str) -> str:
    """The setting that a word of the command line changes."""
    key = word.partition("=")[0]
    # `+sweep` chooses a file; `sweep` is a setting of its own.
    return key if key in ("+sweep", "++sweep") else key.lstrip("+~")


def as_word(key: str, value: Any) -> str:
    """Writes one value so that Hydra reads it back as one value.

    Args:
        key: Its setting.
        value: As the file has it. A string is what would be typed, so ``"null"`` and ``"[multi2d]"`` are no strings to
            Hydra either; it is quoted only where Hydra would read several values or none.
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
        pass  # It needs its quotes.
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
