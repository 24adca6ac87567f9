"""The words of a command without a config folder: ``key=value``, each key known and each value of its type."""

import difflib
from collections.abc import Mapping, Sequence
from typing import Any

import yaml
from beartype.door import is_bearable

from diffplan.errors import ConfigError


def read_words(words: Sequence[str], settings: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Reads a command line.

    Args:
        words: ``key=value`` each; values are read as YAML.
        settings: The type of each key.
        defaults: Values of the keys that may be left out.

    Raises:
        ConfigError: naming the word that is wrong, or the key that is missing.
    """
    values = dict(defaults)
    for word in words:
        key, is_word, text = word.partition("=")
        if not is_word:
            raise ConfigError(f"{word!r} is no key=value; there are {_listed(settings)}.")
        if key not in settings:
            close = difflib.get_close_matches(key, settings, n=1, cutoff=0.5)
            raise ConfigError(
                f"there is no setting {key!r}; " + (f"did you mean {close[0]!r}?" if close else _there_are(settings))
            )
        # A path or a name is taken as it is written, whatever YAML would make of it.
        values[key] = _value(key, text, settings[key])
    for key in settings:
        if key not in values:
            raise ConfigError(f"{key}=... must be given.")
    return values


def _value(key: str, text: str, wanted: Any) -> Any:
    if is_bearable(text, wanted) and text not in ("null", ""):
        return text
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"{key}={text} cannot be read: {str(error).splitlines()[0]}.") from error
    if isinstance(value, int) and not isinstance(value, bool) and not is_bearable(value, wanted):
        value = float(value)
    if not is_bearable(value, wanted):
        raise ConfigError(f"{key} must be {getattr(wanted, '__name__', wanted)}, got {text!r}.")
    return value


def _there_are(settings: Mapping[str, Any]) -> str:
    return f"there are {_listed(settings)}."


def _listed(settings: Mapping[str, Any]) -> str:
    return ", ".join(settings)
