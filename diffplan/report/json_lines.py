"""An append-only file of JSON objects that a kill at any moment leaves readable."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any


class JsonLines:
    """One JSON object a line. A line is written in one call, so other readers and a resumed run see whole lines.

    A line that was cut short (power loss, full disk) is skipped when reading, and the next line starts afresh.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, record: Mapping[str, Any]) -> None:
        """Adds one object at the end.

        Args:
            record: Plain values; numbers that JSON has no name for (NaN, infinity) must have been replaced.
        """
        line = json.dumps(record, allow_nan=False, ensure_ascii=False).encode() + b"\n"
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("ab+") as file:
            if file.tell() > 0:
                file.seek(-1, os.SEEK_END)
                if file.read(1) != b"\n":
                    line = b"\n" + line
            file.write(line)

    def read(self) -> list[dict[str, Any]]:
        """Returns every whole object in the order of writing; an absent file has none."""
        if not self.path.is_file():
            return []
        records = []
        for line in self.path.read_bytes().split(b"\n"):
            try:
                record = json.loads(line)
            except ValueError:
                continue  # A torn or empty line: test_a_torn_line_is_skipped_and_the_next_one_survives.
            if isinstance(record, dict):
                records.append(record)
        return records
