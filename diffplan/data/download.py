"""Downloads one file: it resumes, verifies the content, writes atomically and locks out a second process."""

import json
import logging
import os
import re
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import requests

from diffplan.data.progress import TaskProgress
from diffplan.data.reply import Reply
from diffplan.data.source.d4rl_file import file_sha256, read_d4rl_file, summarize
from diffplan.errors import DataError, DownloadError
from diffplan.files import cannot_write, exclusive, status_of, sync_folder

logger = logging.getLogger(__name__)

CHUNK_BYTES = 1 << 14  # At most one chunk is lost when a connection drops.
RETRIES = 5
TIMEOUT_SECONDS = 30.0  # For the answer with all its redirections, and then for each chunk.
LARGEST_BYTES = 20_000_000_000  # Of a file whose size nobody says. D4RL's largest has 0.75 GB.
LONGEST_BACKOFF_SECONDS = 30.0
TRANSIENT_STATUS = (408, 416, 429, 500, 502, 503, 504)


def download(
    url: str,
    path: Path,
    *,
    num_bytes: int | None = None,
    sha256: str | None = None,
    keys: Sequence[str] = (),
    num_rows: int | None = None,
    progress: bool = True,
    replace: bool = False,
    wait: bool = False,
    backoff_seconds: float = 1.0,
) -> str:
    """Downloads a file, verifies it, and then moves it to its place.

    Until the file is complete and verified, its bytes are in ``<path>.part`` and ``path`` stays as it was. An
    interrupted download resumes from ``<path>.part``.

    Args:
        url: Address.
        path: Where the file goes. A file that is already there is kept unless ``replace``.
        num_bytes: Published size; not checked if None.
        sha256: Published hash. If None, the whole file is read, must hold ``keys``, and its hash is logged.
        keys: Arrays that the file must hold if no hash is published.
        num_rows: Rows that the file must hold if no hash is published; any number if None.
        progress: Show a progress bar on stderr if that is a terminal, otherwise lines in the log.
        replace: Download the file although one is there. The old file is replaced at the very end.
        wait: If another process is downloading the same file, wait for it instead of raising ``LockedError``.
        backoff_seconds: Pause before the first of five retries. It doubles for each further retry.

    Returns:
        The SHA-256 of the file.

    Raises:
        LockedError: Another process is downloading the file.
        DownloadError: The file cannot be downloaded or stored, or it is not the published one.
    """
    # A file that is there is whole, so that it needs no lock and no folder that can be written.
    if status_of(path) is not None and not (file_sha256(path) and replace):
        return file_sha256(path)
    with _writing(path), exclusive(path, "downloading", wait):
        if status_of(path) is not None and not replace:
            return file_sha256(path)
        resumed = (part := PartialFile(path, url)).belongs_here()
        transfer = Transfer(part, num_bytes, sha256 is not None, backoff_seconds)
        transfer.run(progress)
        try:
            digest = _verify(part, num_bytes, sha256, keys, num_rows)
        except DownloadError:
            if not resumed:
                raise
            logger.warning("The resumed download of %s is not the published file; downloading all of it again.", url)
            transfer.run(progress)
            digest = _verify(part, num_bytes, sha256, keys, num_rows)
        part.publish()
        return digest


class PartialFile:
    """``x.hdf5.part``, and ``x.hdf5.part.json`` with the address and the version that the bytes belong to.

    Args:
        target: Where the finished file goes.
        url: Address of the bytes. Bytes of another address are not resumed.
    """

    def __init__(self, target: Path, url: str) -> None:
        self.target = target
        self.url = url
        self.path = target.with_name(f"{target.name}.part")
        self._origin_path = target.with_name(f"{target.name}.part.json")

    @property
    def size(self) -> int:
        """Number of bytes that are already there."""
        return self.path.stat().st_size if self.path.is_file() else 0

    @property
    def validator(self) -> str | None:
        """The server's identifier of the version that the bytes belong to; None if it gave none."""
        origin = self._origin()
        etag = origin.get("etag")
        # A weak ETag promises equal meaning and not equal bytes, so it may not be used to join ranges.
        version = etag if etag and not etag.startswith("W/") else origin.get("last_modified")
        # It is sent back in a header, which holds visible characters only.
        return version if version and version.isascii() and version.isprintable() else None

    def continues(self, headers: Mapping[str, str]) -> bool:
        """Returns whether a partial response starts exactly where these bytes end, in the same version of the file."""
        if not headers.get("Content-Range", "").startswith(f"bytes {self.size}-"):
            return False
        origin = self._origin()
        pairs = ((origin.get("etag"), headers.get("ETag")), (origin.get("last_modified"), headers.get("Last-Modified")))
        return all(known == sent for known, sent in pairs if known and sent)

    def restart(self, headers: Mapping[str, str]) -> None:
        """Drops all bytes and records the version that the next bytes belong to."""
        self.discard()
        origin = {"url": self.url, "etag": headers.get("ETag"), "last_modified": headers.get("Last-Modified")}
        self._origin_path.write_text(json.dumps(origin), encoding="utf-8")
        self.path.touch()

    def belongs_here(self) -> bool:
        """Returns whether there are bytes of this address."""
        return self.size > 0 and self._origin().get("url") == self.url

    def discard(self) -> None:
        """Removes both files."""
        self.path.unlink(missing_ok=True)
        self._origin_path.unlink(missing_ok=True)

    def publish(self) -> None:
        """Moves the finished bytes to their place in one step, so that a power cut leaves no half file there."""
        with self.path.open("rb+") as file:
            os.fsync(file.fileno())
        self.path.replace(self.target)
        self._origin_path.unlink(missing_ok=True)
        sync_folder(self.target.parent)

    def _origin(self) -> dict[str, str]:
        if not self._origin_path.is_file():
            return {}
        try:
            origin = json.loads(self._origin_path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            return {}
        return {key: text for key, text in origin.items() if isinstance(text, str)} if isinstance(origin, dict) else {}


@dataclass
class Transfer:
    """Requests bytes until a partial file is complete.

    Attributes:
        part: Where the bytes go. Bytes that are already there are kept if the server or the hash can confirm them.
        num_bytes: Published size; not checked if None.
        hash_known: Whether the finished file will be compared with a published hash. If so, bytes may be joined even if
            the server gives no version.
        backoff_seconds: Pause before the first retry. It doubles for each further retry.
    """

    part: PartialFile
    num_bytes: int | None
    hash_known: bool
    backoff_seconds: float

    def run(self, progress: bool) -> None:
        """Repeats the request until the file is complete.

        Args:
            progress: Show a progress bar on stderr if that is a terminal, otherwise lines in the log.

        Raises:
            DownloadError: The server refuses or offers another size, the disk has no room, or ``RETRIES`` attempts in a
                row brought nothing.
        """
        failures, most = 0, self.part.size
        shown = TaskProgress(self.part.target.name, self.num_bytes, "bytes", visible=progress)
        with shown:
            while True:
                try:
                    self._attempt(shown)
                    return
                except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError) as error:
                    reason = error
                except requests.RequestException as error:
                    raise DownloadError(f"{self.part.url} cannot be downloaded: {_plain(error)}.") from error
                failures = 1 if self.part.size > most else failures + 1
                most = max(most, self.part.size)
                if failures > RETRIES:
                    raise DownloadError(
                        f"{self.part.url} cannot be downloaded: {_plain(reason)} ({failures} attempts). The "
                        f"{self.part.size:,} bytes that arrived are kept; rerun the same command to resume."
                    ) from reason
                pause = min(self.backoff_seconds * 2 ** (failures - 1), LONGEST_BACKOFF_SECONDS)
                logger.info("The download was interrupted (%s); trying again in %.1f s.", _plain(reason), pause)
                time.sleep(pause)

    def _attempt(self, shown: TaskProgress) -> None:
        # Byte ranges and sizes count stored bytes, so the server must not compress them: identity.
        headers = {"Accept-Encoding": "identity"}
        # Bytes are kept if the server or a published hash can confirm that they belong to the same version.
        can_resume = self.part.belongs_here() and (self.part.validator or self.hash_known)
        offset = self.part.size if can_resume else 0
        if offset:
            headers["Range"] = f"bytes={offset}-"
            if self.part.validator:
                headers["If-Range"] = self.part.validator
        with Reply(self.part.url, headers, TIMEOUT_SECONDS, CHUNK_BYTES) as reply:
            response = reply.response()
            if response.status_code == 416 and response.headers.get("Content-Range") == f"bytes */{offset}":
                return  # All bytes are there already.
            self._check_status(response)
            if response.status_code == 206 and not (offset and self.part.continues(response.headers)):
                self.part.discard()
                raise requests.ConnectionError("the file on the server changed meanwhile")
            if response.status_code == 200:
                offset = 0
                self.part.restart(response.headers)
            total = self._total_bytes(response)
            self._check_space(total, offset)
            shown.restart(total, offset)
            self._store(reply, shown, total)

    def _store(self, reply: Reply, shown: TaskProgress, total: int | None) -> None:
        size = self.part.size
        with self.part.path.open("ab") as file:
            for chunk in reply.chunks():
                file.write(chunk)
                shown.advance(len(chunk))
                size += len(chunk)
                if size > (LARGEST_BYTES if total is None else total):
                    break
        if size > (LARGEST_BYTES if total is None else total):
            self.part.discard()
            announced = f"more than {LARGEST_BYTES:,} bytes" if total is None else f"more than the {total:,} bytes due"
            raise requests.ConnectionError(f"the server sent {announced}")
        if total is not None and size < total:
            raise requests.ConnectionError(f"the connection closed after {size:,} of {total:,} bytes")

    def _check_status(self, response: requests.Response) -> None:
        status, encoding = response.status_code, response.headers.get("Content-Encoding", "identity")
        if status in (200, 206) and encoding.lower() == "identity":
            return
        if status in (200, 206):
            raise DownloadError(
                f"{self.part.url} cannot be downloaded: the server answers in the encoding {encoding}, although plain "
                "bytes were asked for; D4RL_BASE_URL=<address> uses a mirror."
            )
        if status == 416:
            # The server has fewer bytes than there are here, so these belong to another version.
            self.part.discard()
        if status in TRANSIENT_STATUS:
            raise requests.ConnectionError(f"the server answered {status} {response.reason}")
        raise DownloadError(
            f"{self.part.url} cannot be downloaded: the server answered {status} {response.reason}; "
            "D4RL_BASE_URL=<address> uses a mirror."
        )

    def _total_bytes(self, response: requests.Response) -> int | None:
        header = "Content-Range" if response.status_code == 206 else "Content-Length"
        pattern = r"bytes [0-9]+-[0-9]+/([0-9]{1,30})" if response.status_code == 206 else "([0-9]{1,30})"
        announced = re.fullmatch(pattern, response.headers.get(header, ""))
        if announced is None:
            return self.num_bytes
        total = int(announced[1])
        if self.num_bytes is not None and total != self.num_bytes:
            self.part.discard()
            raise DownloadError(
                f"{self.part.url} must be {self.num_bytes:,} bytes long as published, the server offers {total:,}; "
                "D4RL_BASE_URL=<address> uses a mirror."
            )
        return total

    def _check_space(self, total: int | None, offset: int) -> None:
        free = shutil.disk_usage(self.part.path.parent).free
        if total is not None and total - offset > free:
            raise DownloadError(
                f"{self.part.target} needs {total - offset:,} more bytes but only {free:,} are free on that disk; "
                "free some space or set D4RL_DATASET_DIR to a larger disk."
            )


def _verify(
    part: PartialFile, num_bytes: int | None, sha256: str | None, keys: Sequence[str], num_rows: int | None
) -> str:
    """Returns the hash if the bytes are complete and right; removes them otherwise."""
    digest, problem = file_sha256(part.path), None
    if num_bytes is not None and part.size != num_bytes:
        problem = f"must be {num_bytes:,} bytes long as published, got {part.size:,}"
    elif sha256 is not None and digest != sha256:
        problem = f"must have the published SHA-256 {sha256}, got {digest}"
    elif sha256 is None:
        try:
            summarize(part.path, keys)
            rows = len(read_d4rl_file(part.path))
        except DataError as error:
            problem = f"did not deliver a D4RL file: {str(error).rstrip('.')}"
        else:
            if num_rows not in (None, rows):
                problem = f"must have D4RL's {num_rows:,} rows, got {rows:,}"
            logger.info("No hash is published for %s; this file has SHA-256 %s.", part.target.name, digest)
    if problem is not None:
        part.discard()
        raise DownloadError(
            f"{part.url} {problem}. The bytes were discarded; try again or use a mirror with D4RL_BASE_URL=<address>."
        )
    return digest


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Reports a full disk, a missing permission and the like as one sentence."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise DownloadError(cannot_write(path, error, "set D4RL_DATASET_DIR to another folder")) from error


def _plain(error: Exception) -> str:
    """Returns the innermost cause in a few words, without the wrapping of the HTTP library."""
    if isinstance(error, requests.Timeout):
        return "the server did not answer in time"
    text = " ".join(str(error).split())
    for pattern in (r"\[Errno [^\]]*\] ([^'\"()]+)", r"IncompleteRead\(([^)]*)\)"):
        match = re.search(pattern, text)
        if match:
            return match[1].strip()
    return text.rstrip(".")
