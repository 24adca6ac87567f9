"""Writes a file so that a reader sees the old content or the new one, never half of it, and locks files."""

import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from diffplan.errors import DataError, LockedError

# The ending of files that are being written. They lie hidden beside the file whose name they will take.
PARTIAL = ".partial"
# The lock of a folder in which one process at a time works.
LOCK = ".lock"

logger = logging.getLogger(__name__)


@contextmanager
def new_file(path: Path, durable: bool = False) -> Iterator[IO[bytes]]:
    """Opens a temporary neighbour of a file, which takes the file's name when it has been written whole.

    Args:
        path: File to write; missing parent folders are made.
        durable: Waits until the content is on the disk before the file takes its name, and until the name is.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    file = tempfile.NamedTemporaryFile(  # noqa: SIM115
        dir=path.parent, prefix=f".{path.name}.", suffix=PARTIAL, delete=False
    )
    try:
        with file:
            yield file
            if durable:
                file.flush()
                os.fsync(file.fileno())
        os.chmod(file.name, 0o644)
        os.replace(file.name, path)
    except BaseException:
        Path(file.name).unlink(missing_ok=True)
        raise
    if durable:
        sync_folder(path.parent)


def write_atomically(path: Path, content: bytes, durable: bool = False) -> None:
    """Writes a file through a temporary neighbour that then takes its name.

    Args:
        path: File to write; missing parent folders are made.
        content: The whole new content.
        durable: Waits until the content is on the disk before the file takes its name.
    """
    with new_file(path, durable) as file:
        file.write(content)


def keep_as(path: Path, name: Path) -> None:
    """Gives a file, which is only ever replaced whole, a second name that keeps its present content.

    Args:
        path: An existing file.
        name: The second name in the same folder; the file that had it is replaced.
    """
    partial = name.with_name(f".{name.name}{PARTIAL}")
    partial.unlink(missing_ok=True)
    try:
        os.link(path, partial)
    except OSError:  # Some file systems have no links.
        shutil.copyfile(path, partial)
    os.replace(partial, name)


def sync_folder(folder: Path) -> None:
    """Waits until the names in a folder are on the disk, where the file system can tell.

    Args:
        folder: An existing folder.
    """
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def sweep_partials(folder: Path) -> None:
    """Removes what killed processes left half-written in a folder and below it.

    Args:
        folder: A folder that this process has locked; folders in it that have locks of their own are left alone.
    """
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not Path(place, name, LOCK).exists()]
        for name in names:
            if name.startswith(".") and name.endswith(PARTIAL):
                Path(place, name).unlink(missing_ok=True)


def write_file(path: Path, content: bytes) -> None:
    """Writes a file through a temporary neighbour that then takes its name; what was there stays until then.

    Args:
        path: File to write; missing parent folders are made.
        content: The whole new content.

    Raises:
        DataError: The folder cannot be written or the disk is full; nothing half-written is left.
    """
    try:
        write_atomically(path, content, durable=True)
    except OSError as error:
        raise DataError(
            f"{path} cannot be written: {error.strerror or error}; free some space or set another data folder, then "
            "rerun the same command to resume."
        ) from error


@contextmanager
def exclusive(path: Path, activity: str, wait: bool = True) -> Iterator[None]:
    """Keeps other processes from doing the same work on a file at the same time.

    Args:
        path: The file. The lock is a hidden file beside it, whose folder must exist.
        activity: What is done to the file, for messages: ``downloading``.
        wait: Wait for the other process, and say so in the log, instead of raising.

    Raises:
        LockedError: Another process holds the lock and ``wait`` is False.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(path.with_name(f".{path.name}.lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        if not wait:
            raise LockedError(f"Another process is {activity} {path}; wait until it has finished.") from error
        logger.info("Another process is %s %s; waiting for it.", activity, path)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()
