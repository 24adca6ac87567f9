import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

import diffplan
from diffplan.errors import DataError
from diffplan.files import write_file

WRITE = """
import sys
from pathlib import Path
from diffplan.files import write_file
from diffplan.errors import DiffplanError
try:
    write_file(Path(sys.argv[1]), b"new" * 100_000)
except DiffplanError as error:
    sys.exit(f"{type(error).__name__}: {error}")
"""


def test_what_is_written_is_there_and_nothing_beside_it(tmp_path):
    path = tmp_path / "folder" / "file"
    write_file(path, b"old")
    write_file(path, b"new")
    assert path.read_bytes() == b"new"
    assert list(path.parent.iterdir()) == [path]


def test_a_full_disk_gives_one_sentence_and_leaves_what_was_there(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    # A limit on the size of files makes write() fail half-way, as a full disk does.
    process = subprocess.run(
        [sys.executable, "-c", WRITE, str(path)],
        env=os.environ | {"PYTHONPATH": str(Path(diffplan.__file__).parents[1])},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000)),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert process.returncode == 1
    assert process.stderr.startswith(f"DataError: {path} cannot be written: File too large; free some space")
    assert process.stderr.count("\n") == 1
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_is_a_file_gives_one_sentence(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(DataError, match="cannot be written: "):
        write_file(tmp_path / "file" / "below", b"")
