"""Words ``key=value`` of a command, read into a typed record."""

import difflib
import sys
from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import Any, TypeVar

from omegaconf import MISSING, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from diffplan.errors import ConfigError, DiffplanError

__all__ = ["MISSING", "closest", "parse_words", "run_words"]

Settings = TypeVar("Settings")


def parse_words(words: Sequence[str], settings: type[Settings], command: str) -> Settings:
    """Reads a command line.

    Args:
        words: Arguments without the program's name.
        settings: A dataclass; a field whose default is ``MISSING`` must be given, and one with ``word`` in
            its metadata is called so on the command line.
        command: The program's name, for messages.

    Raises:
        ConfigError: a word is no ``key=value``, its key is not known, its value has another type, or one is missing.
    """
    known = {field.metadata.get("word", field.name): field for field in fields(settings)}  # type: ignore[arg-type]
    for word in words:
        key, equals, _ = word.partition("=")
        if not equals:
            raise ConfigError(f"settings are written key=value, got {word!r}; see {command} --help.")
        if key not in known:
            raise ConfigError(f"there is no setting {key!r}{closest(key, list(known))}")
    lists = [key for key, field in known.items() if "list[" in str(field.type)]
    try:
        given: Any = OmegaConf.to_container(
            OmegaConf.from_dotlist([_quoted(word, str(known[word.partition("=")[0]].type)) for word in words])
        )
        for key in lists:
            if key in given and not isinstance(given[key], list):
                given[key] = [given[key]]
        named = {known[key].name: value for key, value in given.items()}
        merged: Any = OmegaConf.merge(OmegaConf.structured(settings), named)
        if missing := [key for key, field in known.items() if OmegaConf.is_missing(merged, field.name)]:
            raise ConfigError(f"{missing[0]}=... must be given; see {command} --help.")
        return OmegaConf.to_object(merged)  # type: ignore[return-value]
    except OmegaConfBaseException as error:
        raise ConfigError(f"{str(error).splitlines()[0].rstrip('.')}; see {command} --help.") from None


def run_words(command: str, help_text: str, run: Callable[[list[str]], None], argv: Sequence[str] | None) -> None:
    """Runs a command of ``key=value`` words, or prints its help.

    Args:
        command: The program's name.
        help_text: What ``--help`` prints.
        run: Takes the words.
        argv: Arguments without the program's name; the command line's if None.

    Raises:
        SystemExit: a user's mistake, as one sentence.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    if {"--help", "-h", "help"} & set(words):
        print(help_text, end="")
        return
    try:
        run(words)
    except DiffplanError as error:
        sys.exit(f"{command}: {error}")
    except (PermissionError, NotADirectoryError) as error:
        sys.exit(f"{command}: cannot write to {error.filename}: {error.strerror}; choose another to=...")


def closest(word: str, options: Sequence[str]) -> str:
    """The end of a message: what was probably meant, or everything there is."""
    close = difflib.get_close_matches(word, options, n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else f"; there are {', '.join(options)}."


def _quoted(word: str, kind: str) -> str:
    """The same with a text quoted, so that no path or name is taken for YAML or a reference; a list stays one."""
    key, _, value = word.partition("=")
    if "str" not in kind or ("list[" in kind and value.startswith("[") and value.endswith("]")):
        return word
    return key + "='" + value.replace("'", "''").replace("${", "\\${") + "'"
