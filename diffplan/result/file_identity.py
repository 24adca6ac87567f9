import hashlib
from pathlib import Path

from pydantic import BaseModel, ConfigDict


class FileIdentity(BaseModel):
    """A file by where it lay and what it held.

    Attributes:
        path: As it was named.
        sha256: Hash of its content.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str
    sha256: str

    @classmethod
    def of(cls, path: Path) -> "FileIdentity":
        """Reads and hashes a file."""
        with path.open("rb") as file:
            return cls(path=str(path), sha256=hashlib.file_digest(file, "sha256").hexdigest())
