"""Words ``key=value`` of a command, read into a typed record."""

import difflib
from collections.abc import Sequence
from dataclasses import fields
from typing import Any, TypeVar

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from diffplan.errors import ConfigError

Settings = TypeVar("Settings")


def parse_words(words: Sequence[str], settings: type[Settings], command: str) -> Settings:
    """Reads a command line.

    Args:
        words: Arguments without the program's name.
        settings: A dataclass with a default for every field.
        command: The program's name, for messages.

    Raises:
        ConfigError: a word is no ``key=value``, its key is not known or its value has another type.
    """
    known = {field.name: field.type for field in fields(settings)}  # type: ignore[arg-type]
    for word in words:
        key, equals, _ = word.partition("=")
        if not equals:
            raise ConfigError(f"settings are written key=value, got {word!r}; see {command} --help.")
        if key not in known:
            raise ConfigError(f"there is no setting {key!r}{closest(key, list(known))}")
    lists = [key for key, kind in known.items() if "list[" in str(kind)]
    try:
        given: Any = OmegaConf.from_dotlist([_quoted(word, known, lists) for word in words])
        for key in lists:
            if key in given and not OmegaConf.is_list(given[key]):
                given[key] = [given[key]]
        parsed: Any = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(settings), given))
    except OmegaConfBaseException as error:
        raise ConfigError(f"{str(error).splitlines()[0].rstrip('.')}; see {command} --help.") from None
    return parsed


def closest(word: str, options: Sequence[str]) -> str:
    """The end of a message: what was probably meant, or everything there is."""
    close = difflib.get_close_matches(word, options, n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else f"; there are {', '.join(options)}."


def _quoted(word: str, known: dict[str, Any], lists: Sequence[str]) -> str:
    """The same with a text quoted, so that no path or name is taken for YAML or a reference; a list stays one."""
    key, _, value = word.partition("=")
    if (key in lists and value.startswith("[")) or known[key] in (bool, int, float):
        return word
    return key + "='" + value.replace("'", "''").replace("${", "\\${") + "'"
