"""Writes a file so that a reader sees the old content or the new one, never half of it, and locks files."""

import logging
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from diffplan.errors import DataError, LockedError

logger = logging.getLogger(__name__)


def write_atomically(path: Path, content: bytes, durable: bool = False) -> None:
    """Writes a file through a temporary neighbour that then takes its name.

    Args:
        path: File to write; missing parent folders are made.
        content: The whole new content.
        durable: Waits until the content is on the disk before the file takes its name.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, partial = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        os.chmod(partial, 0o644)
        os.replace(partial, path)
    except BaseException:
        Path(partial).unlink(missing_ok=True)
        raise


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
