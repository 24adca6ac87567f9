"""Writing a file so that a reader sees the old content or the new one, never half of it."""

import os
import tempfile
from pathlib import Path

from diffplan.errors import DataError


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
            f"{path} cannot be written: {error.strerror or error}; free some space or set another data folder, the "
            "same command then goes on."
        ) from error
