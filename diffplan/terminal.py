"""Shows text that came from files and names, so that it can neither steer a terminal nor become part of a page."""

import html
import logging
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

_LONGEST_SENTENCE, _LONGEST_LINE = 1_000, 20_000
# An underscore inside a word means nothing.
_MARKDOWN = re.compile(r"[\\`*{}\[\]#|~!]|(?<!\w)_|_(?!\w)")


def printable(text: object, longest: int = _LONGEST_SENTENCE) -> str:
    r"""Writes every character that is not a visible one or a space as its code, for instance ``\x1b``.

    Such characters start terminal commands, end lines, turn the direction of writing, or have no place in UTF-8.

    Args:
        text: What is to be shown; it may come from a file.
        longest: Number of characters beyond which the middle is left out.
    """
    whole = str(text)
    if len(whole) > longest:
        whole = f"{whole[: longest // 2]} ... {whole[-longest // 2 :]}"
    # Python's name of a byte that is no UTF-8 is a lone surrogate, \udc80 to \udcff.
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1].replace("\\udc", "\\x") for letter in whole)


def markdown_text(text: object) -> str:
    """Writes text so that Markdown shows it as it is, on one line and without HTML.

    Args:
        text: What is to be shown; it may come from a file.
    """
    words = " ".join(printable(word) for word in str(text).split())
    return _MARKDOWN.sub(r"\\\g<0>", html.escape(words, quote=False))


def printable_lines(text: str) -> str:
    """Applies ``printable`` to every line of a text, however long it is."""
    return "\n".join(printable(line, len(line)) for line in text.split("\n"))


def say(text: str, file: Any = None) -> None:
    """Prints lines with ``printable`` characters only.

    Args:
        text: What is printed.
        file: Where to; None is standard output.
    """
    print(printable_lines(text), file=file)


def plain_console(**options: Any) -> "Console":
    """Makes a console that prints strings as they are: without markup, and with ``printable`` characters only.

    Args:
        options: Arguments of ``rich.console.Console``.
    """
    # Imported here, because rich takes longer to load than a sentence takes to print.
    from rich.console import Console
    from rich.text import Text

    class PlainConsole(Console):
        def render_str(self, text: str, **style: Any) -> Text:
            lines = text.split("\n")
            return super().render_str("\n".join(printable(line, _LONGEST_LINE) for line in lines), **style)

    return PlainConsole(markup=False, emoji=False, highlight=False, **options)


class PlainFormatter(logging.Formatter):
    """Formats a record of the log with ``printable`` characters only; a traceback keeps its lines."""

    def format(self, record: logging.LogRecord) -> str:
        return "\n".join(printable(line, _LONGEST_LINE) for line in super().format(record).split("\n"))
