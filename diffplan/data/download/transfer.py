"""Resuming, verified transfers of one file."""

import json
import logging
import os
import re
import shutil
import time
from collections.abc import Mapping
from pathlib import Path

import requests
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from diffplan.errors import DownloadError


class PartialFile:
    """``x.hdf5.part`` and ``x.hdf5.part.json``, which says which version of which address the bytes belong to.

    Args:
        target: Where the finished file goes.
        url: Address the bytes come from; bytes of another address are not continued.
    """

    def __init__(self, target: Path, url: str) -> None:
        self.target = target
        self.url = url
        self.path = target.with_name(f"{target.name}.part")
        self._origin_path = target.with_name(f"{target.name}.part.json")

    @property
    def size(self) -> int:
        """Bytes that are already there."""
        return self.path.stat().st_size if self.path.exists() else 0

    @property
    def validator(self) -> str | None:
        """What the server said identifies the version the bytes belong to; None where it said nothing."""
        origin = self._origin()
        etag = origin.get("etag")
        # A weak ETag promises equal meaning, not equal bytes, and may not be used to join ranges.
        if etag and not etag.startswith("W/"):
            return etag
        return origin.get("last_modified")

    def continues(self, headers: Mapping[str, str]) -> bool:
        """Whether a partial response carries on exactly where these bytes end, in the same version of the file."""
        if not headers.get("Content-Range", "").startswith(f"bytes {self.size}-"):
            return False
        origin = self._origin()
        for name, key in (("ETag", "etag"), ("Last-Modified", "last_modified")):
            if origin.get(key) and headers.get(name) and origin[key] != headers[name]:
                return False
        return True

    def restart(self, headers: Mapping[str, str]) -> None:
        """Drops all bytes and notes which version the next ones belong to."""
        self.discard()
        origin = {"url": self.url, "etag": headers.get("ETag"), "last_modified": headers.get("Last-Modified")}
        self._origin_path.write_text(json.dumps(origin), encoding="utf-8")
        self.path.touch()

    def belongs_here(self) -> bool:
        """Whether there are bytes of this address."""
        return self.size > 0 and self._origin().get("url") == self.url

    def discard(self) -> None:
        """Removes the bytes and the note."""
        self.path.unlink(missing_ok=True)
        self._origin_path.unlink(missing_ok=True)

    def publish(self) -> None:
        """Moves the finished bytes to their place in one step that survives a power cut."""
        with self.path.open("rb+") as file:
            os.fsync(file.fileno())
        self.path.replace(self.target)
        folder = os.open(self.target.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        self._origin_path.unlink(missing_ok=True)

    def _origin(self) -> dict[str, str | None]:
        try:
            origin = json.loads(self._origin_path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return origin if isinstance(origin, dict) else {}


logger = logging.getLogger(__name__)

CHUNK_BYTES = 1 << 14  # At most one chunk is lost when a connection drops.
RETRIES = 5
TIMEOUT_SECONDS = 30.0
LONGEST_BACKOFF_SECONDS = 30.0
TRANSIENT_STATUS = (408, 416, 429, 500, 502, 503, 504)


class _InterruptedTransferError(Exception):
    """The transfer stopped early but may be tried again."""


class Transfer:
    """Gets bytes into a partial file until all of them are there.

    Args:
        part: Where they go; bytes that are there already are kept where the server or the hash can vouch for them.
        num_bytes: Published size; not checked if None.
        hash_known: The finished file will be held against a published hash, so bytes may be joined that the server
            gives no version for.
        backoff_seconds: Pause before the first retry, doubled for each further one.
    """

    def __init__(self, part: PartialFile, num_bytes: int | None, hash_known: bool, backoff_seconds: float) -> None:
        self.part = part
        self.num_bytes = num_bytes
        self.hash_known = hash_known
        self.backoff_seconds = backoff_seconds

    def run(self, progress: bool) -> None:
        """Attempts the transfer until it is complete.

        Args:
            progress: Shows a progress bar on stderr, if that is a terminal.

        Raises:
            DownloadError: The server refuses, offers another size, there is no room, or ``RETRIES`` attempts in a row
                brought nothing.
        """
        failures = 0
        with requests.Session() as session, _progress_bar(progress) as bar:
            task = bar.add_task(self.part.target.name, total=self.num_bytes, completed=self.part.size)
            while True:
                size = self.part.size
                try:
                    self._attempt(session, bar, task)
                    return
                except (_InterruptedTransferError, requests.ConnectionError, requests.Timeout) as error:
                    reason = error
                except requests.exceptions.ChunkedEncodingError as error:
                    reason = error
                except requests.RequestException as error:
                    raise DownloadError(f"{self.part.url} cannot be downloaded: {_plain(error)}.") from error
                failures = 1 if self.part.size > size else failures + 1
                if failures > RETRIES:
                    raise DownloadError(
                        f"{self.part.url} cannot be downloaded: {_plain(reason)} ({failures} attempts); the "
                        f"{self.part.size:,} bytes that came are kept, the same command goes on from there."
                    ) from reason
                pause = min(self.backoff_seconds * 2 ** (failures - 1), LONGEST_BACKOFF_SECONDS)
                logger.info("The download was interrupted (%s); trying again in %.1f s.", _plain(reason), pause)
                time.sleep(pause)

    def _attempt(self, session: requests.Session, bar: Progress, task: TaskID) -> None:
        # identity: byte ranges and sizes count stored bytes, so nobody may compress them on the way.
        headers = {"Accept-Encoding": "identity"}
        offset = self._resume_offset()
        if offset:
            headers["Range"] = f"bytes={offset}-"
            if self.part.validator:
                headers["If-Range"] = self.part.validator
        with session.get(self.part.url, headers=headers, stream=True, timeout=TIMEOUT_SECONDS) as response:
            if response.status_code == 416 and response.headers.get("Content-Range") == f"bytes */{offset}":
                return  # All bytes are there already.
            self._check_status(response)
            if response.status_code == 206 and not (offset and self.part.continues(response.headers)):
                self.part.discard()
                raise _InterruptedTransferError("the file on the server changed meanwhile")
            if response.status_code == 200:
                offset = 0
                self.part.restart(response.headers)
            total = self._total_bytes(response)
            self._check_space(total, offset)
            bar.update(task, total=total, completed=offset)
            with self.part.path.open("ab") as file:
                for chunk in response.iter_content(CHUNK_BYTES):
                    file.write(chunk)
                    bar.advance(task, len(chunk))
        if total is not None and self.part.size < total:
            raise _InterruptedTransferError(f"the connection closed after {self.part.size:,} of {total:,} bytes")

    def _resume_offset(self) -> int:
        """Bytes to keep: only those whose version the server can confirm or the published hash will."""
        if self.part.belongs_here() and (self.part.validator or self.hash_known):
            return self.part.size
        return 0

    def _check_status(self, response: requests.Response) -> None:
        status = response.status_code
        if status in (200, 206):
            return
        if status == 416:
            # The server has fewer bytes than we do, so ours are of another version.
            self.part.discard()
        if status in TRANSIENT_STATUS:
            raise _InterruptedTransferError(f"the server answered {status} {response.reason}")
        raise DownloadError(
            f"{self.part.url} cannot be downloaded: the server answered {status} {response.reason}; "
            "D4RL_BASE_URL=<address> uses a mirror."
        )

    def _total_bytes(self, response: requests.Response) -> int | None:
        ranged = re.fullmatch(r"bytes \d+-\d+/(\d+)", response.headers.get("Content-Range", ""))
        if ranged:
            total = int(ranged[1])
        elif response.status_code == 200 and response.headers.get("Content-Length", "").isdigit():
            total = int(response.headers["Content-Length"])
        else:
            return self.num_bytes
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
                "make room or set D4RL_DATASET_DIR to a larger disk."
            )


def _progress_bar(visible: bool) -> Progress:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    return Progress(*columns, console=console, disable=not (visible and console.is_terminal))


def _plain(error: Exception) -> str:
    """What went wrong in a few words: the innermost cause without the wrapping of the HTTP library."""
    if isinstance(error, requests.Timeout):
        return "the server did not answer in time"
    text = str(error)
    for pattern in (r"\[Errno [^\]]*\] ([^'\"()]+)", r"IncompleteRead\(([^)]*)\)"):
        match = re.search(pattern, text)
        if match:
            return match[1].strip()
    return text.rstrip(".")
