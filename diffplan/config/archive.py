"""Opens the ZIP archive that ``torch.save`` writes, and proves by its checksums that it is whole."""

import stat
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from diffplan.errors import CheckpointError
from diffplan.files import status_of

_PIECE = 1 << 20


@contextmanager
def open_archive(path: Path) -> Iterator[zipfile.ZipFile]:
    """Opens what ``torch.save`` wrote, for the time of a ``with`` statement.

    Every entry lies in the file as it is, so that reading never takes more memory than the file has bytes.

    Args:
        path: The file.

    Raises:
        DiffplanError: it is not there, cannot be read, or is no such archive.
    """
    status = status_of(path)
    # A pipe or a device would be waited for.
    if status is None or not stat.S_ISREG(status.st_mode):
        raise CheckpointError(f"there is no checkpoint at {path}.")
    try:
        file = path.open("rb")
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror}; check its permissions.") from error
    with file:
        try:
            archive = zipfile.ZipFile(file)
        except Exception as error:
            # A hostile archive makes zipfile raise errors of many kinds.
            raise CheckpointError(f"{path} is truncated or not a checkpoint: it is no ZIP archive.") from error
        with archive:
            _check_entries(archive, path)
            yield archive


def verify_checksums(archive: zipfile.ZipFile, path: Path) -> None:
    """Reads every entry and compares it with the checksum that was stored with it; ``torch.load`` does not.

    Args:
        archive: What ``open_archive`` returned.
        path: Its file.

    Raises:
        CheckpointError: an entry is damaged; the message names it.
    """
    for entry in archive.infolist():
        read_entry(archive, path, entry, keep=False)


def read_entry(archive: zipfile.ZipFile, path: Path, entry: zipfile.ZipInfo, keep: bool = True) -> bytes:
    """Reads one entry and compares it with its checksum.

    Args:
        archive: What ``open_archive`` returned.
        path: Its file.
        entry: One of its entries.
        keep: Whether the content is returned; otherwise nothing is.

    Raises:
        CheckpointError: the entry is damaged.
    """
    pieces = []
    try:
        with archive.open(entry) as content:
            while piece := content.read(_PIECE):
                if keep:
                    pieces.append(piece)
    except Exception as error:
        raise CheckpointError(
            f"{path} is damaged: its entry {entry.filename[:100]!a} differs from the checksum stored with it; "
            "restore the file from a copy."
        ) from error
    return b"".join(pieces)


def _check_entries(archive: zipfile.ZipFile, path: Path) -> None:
    entries = archive.infolist()
    # A compressed entry may be thousands of times larger than its file.
    stored = all(e.compress_type == zipfile.ZIP_STORED and e.file_size == e.compress_size for e in entries)
    fits = sum(entry.file_size for entry in entries) <= path.stat().st_size
    if not entries or not stored or not fits or len(set(archive.namelist())) < len(entries):
        raise CheckpointError(
            f"{path} is not a checkpoint: its ZIP archive is empty, or holds compressed, repeated or overlapping "
            "entries."
        )
