import io
import logging

import pytest
from rich.table import Table

from diffplan.terminal import PlainFormatter, plain_console, printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("maze2d-umaze-v1 é 你 [/x]", "maze2d-umaze-v1 é 你 [/x]"),
        ("\x1b[2J", r"\x1b[2J"),
        ("a\nb\r\t", r"a\nb\r\t"),
        ("\x9b31m\x7f", r"\x9b31m\x7f"),
        ("\u202egnp.exe", r"\u202egnp.exe"),
        (b"\xff.hdf5".decode(errors="surrogateescape"), r"\xff.hdf5"),
        (7, "7"),
    ],
)
def test_only_visible_characters_and_spaces_are_shown_as_they_are(text, shown):
    assert printable(text) == shown
    printable(text).encode()


def test_the_middle_of_a_long_text_is_left_out():
    assert printable("a" * 50 + "b" * 50, longest=20) == "a" * 10 + " ... " + "b" * 10


def test_a_console_prints_markup_and_escapes_as_they_are():
    file = io.StringIO()
    console = plain_console(file=file, width=80)
    console.print("[/x] [red]red[/red] :smile: \x1b[2J", "\udcff")
    table = Table("[/head]", box=None)
    table.add_row("[/cell]\x1b]0;title\x07")
    console.print(table)
    text = file.getvalue()
    assert "[/x] [red]red[/red] :smile: \\x1b[2J \\xff" in text
    assert "[/head]" in text
    assert "[/cell]\\x1b]0;title\\x07" in text
    assert "\x1b" not in text


def test_a_line_of_the_log_holds_no_escapes():
    record = logging.LogRecord("name", logging.INFO, __file__, 1, "read %s", ("\x1b[2J.hdf5",), None)
    assert PlainFormatter("%(message)s").format(record) == r"read \x1b[2J.hdf5"
