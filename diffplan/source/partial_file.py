"""The bytes of an unfinished download, kept beside their place until they are complete and verified."""

import json
import os
from collections.abc import Mapping
from pathlib import Path


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
