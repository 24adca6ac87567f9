"""Writes a folder so that it is there whole or not at all, and finishes what a killed process has begun."""

import glob
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout
from safetensors import SafetensorError

from diffplan.errors import CheckpointError
from diffplan.files import sync

_NEW, _FORMER, _LOCK = "new", "former", "lock"
_LONGEST_NAME = 200


@contextmanager
def whole_folder(folder: Path, what: str) -> Iterator[Path]:
    """Gives an empty folder, which takes the place of another when it has been filled.

    What was in that place stays until then, and comes back if the change of places fails or is interrupted.

    Args:
        folder: The folder to write. What is in it is replaced.
        what: What is written, for messages: ``the export``.

    Raises:
        CheckpointError: The folder cannot be written; nothing half-written is left.
    """
    folder = Path(os.path.abspath(folder))
    if len(folder.name.encode()) > _LONGEST_NAME:
        raise CheckpointError(f"a folder's name may have {_LONGEST_NAME} letters, but --to ends in {len(folder.name)}.")
    made: list[Path] = []
    try:
        _make_parents(folder, made)
        sweep_leftovers(folder)
        place = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
        try:
            with FileLock(place / _LOCK):
                (place / _NEW).mkdir()
                yield place / _NEW
                _make_durable(place / _NEW)
                if folder.exists():
                    folder.rename(place / _FORMER)
                (place / _NEW).rename(folder)
                made.clear()
        finally:
            _put_back(place, folder)
    except (OSError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or error
        raise CheckpointError(
            f"{what} cannot be written to {folder}: {reason}; free some space or choose another folder with --to."
        ) from error
    finally:
        with suppress(OSError):
            for parent in reversed(made):
                parent.rmdir()


def sweep_leftovers(folder: Path) -> None:
    """Removes what killed processes have left beside a folder, and puts the folder back that one had moved aside.

    Args:
        folder: The folder that they wrote; its parent exists.
    """
    folder = Path(os.path.abspath(folder))
    for place in folder.parent.glob(f".{glob.escape(folder.name)}.*"):
        if not (place / _LOCK).is_file():
            continue
        try:
            with FileLock(place / _LOCK, timeout=0):
                _put_back(place, folder)
        except Timeout:
            continue  # Its process is at work.


def _put_back(place: Path, folder: Path) -> None:
    if (place / _FORMER).is_dir() and not folder.exists():
        (place / _FORMER).rename(folder)
    shutil.rmtree(place, ignore_errors=True)


def _make_parents(folder: Path, made: list[Path]) -> None:
    """Makes the folders that are missing above a folder, and notes them."""
    for parent in reversed(folder.parents):
        if not parent.exists():
            parent.mkdir()
            made.append(parent)


def _make_durable(folder: Path) -> None:
    """Waits until files are on the disk. Temporary and safetensors files are private, but these are for everyone."""
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
        sync(path)
