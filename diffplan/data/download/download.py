"""Downloads one file: resumable, verified, atomic, and locked against a second process."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from diffplan.data.download.transfer import PartialFile, Transfer
from diffplan.data.source.d4rl_file import check_keys, file_sha256
from diffplan.errors import DataError, DownloadError, LockedError

logger = logging.getLogger(__name__)


def download(
    url: str,
    path: Path,
    *,
    num_bytes: int | None = None,
    sha256: str | None = None,
    keys: tuple[str, ...] = (),
    progress: bool = True,
    replace: bool = False,
    wait: bool = False,
    backoff_seconds: float = 1.0,
) -> str:
    """Fetches a file, or what is still missing of it, and moves it into place once it is complete and verified.

    Until then the bytes are in ``<path>.part``, where an interrupted download goes on, and ``path`` stays as it was.

    Args:
        url: Address.
        path: Where the file goes; a file that is already there is kept unless ``replace``.
        num_bytes: Published size; not checked if None.
        sha256: Published hash. If None, the file must be HDF5 and hold ``keys``, and its hash is logged.
        keys: Arrays the file must hold where no hash is published.
        progress: Shows a progress bar on stderr, if that is a terminal.
        replace: Fetches the file although one is there; that one is replaced at the very end.
        wait: Waits for another process that is fetching the same file instead of refusing.
        backoff_seconds: Pause before the first of five retries, doubled for each further one.

    Returns:
        The SHA-256 of the file.

    Raises:
        LockedError: Another process is fetching the file.
        DownloadError: The file cannot be fetched, stored, or is not the published one.
    """
    with _writing(path), _locked(path, wait):
        if path.exists() and not replace:
            return file_sha256(path)
        resumed = (part := PartialFile(path, url)).belongs_here()
        transfer = Transfer(part, num_bytes, sha256 is not None, backoff_seconds)
        transfer.run(progress)
        try:
            digest = _verify(part, num_bytes, sha256, keys)
        except DownloadError:
            if not resumed:
                raise
            logger.warning("The continued download of %s is not the published file; fetching it from the start.", url)
            transfer.run(progress)
            digest = _verify(part, num_bytes, sha256, keys)
        part.publish()
        return digest


def _verify(part: PartialFile, num_bytes: int | None, sha256: str | None, keys: tuple[str, ...]) -> str:
    """Returns the hash of complete, right bytes; wrong ones are removed."""
    try:
        if num_bytes is not None and part.size != num_bytes:
            raise DownloadError(
                f"{part.url} must be {num_bytes:,} bytes long as published, got {part.size:,}; they were discarded."
            )
        digest = file_sha256(part.path)
        if sha256 is not None and digest != sha256:
            raise DownloadError(
                f"{part.url} must have the published SHA-256 {sha256}, got {digest}; the bytes were discarded, try "
                "again or use a mirror with D4RL_BASE_URL=<address>."
            )
        if sha256 is None:
            try:
                check_keys(part.path, keys)
            except DataError as error:
                raise DownloadError(f"{part.url} did not deliver a D4RL file: {error} It was discarded.") from error
            logger.info("No hash is published for %s; this file has SHA-256 %s.", part.target.name, digest)
    except DownloadError:
        part.discard()
        raise
    return digest


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Turns a full disk, a missing permission and the like into one sentence."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise DownloadError(
            f"{path} cannot be written: {error.strerror or error}; make room or name another folder, the same command "
            "then goes on with the bytes that came."
        ) from error


@contextmanager
def _locked(path: Path, wait: bool) -> Iterator[None]:
    lock = FileLock(path.with_name(f".{path.name}.lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        if not wait:
            raise LockedError(f"Another process is downloading {path}; wait until it has finished.") from error
        logger.info("Another process is downloading %s; waiting for it.", path)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()
