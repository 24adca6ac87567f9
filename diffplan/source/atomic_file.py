"""Files that appear whole or not at all, with one sentence where there is no room for them."""

from pathlib import Path

from diffplan.atomic_write import write_atomically
from diffplan.errors import DataError


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
