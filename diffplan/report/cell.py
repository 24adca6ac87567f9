"""What every cell is that a command plays and compares: episodes with equal seeds, kept in a file."""

from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from diffplan.files import write_atomically

CellT = TypeVar("CellT", bound="AbstractCell")


class AbstractCell(BaseModel):
    """The episodes played with one choice of settings.

    Attributes:
        key: Hash of everything that the scores depend on.
        protocol: ``single_task`` or ``multi2d``.
        seeds: Seeds of the episodes.
        scores: Normalised score of each episode.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="constants")

    key: str
    protocol: str
    seeds: list[int]
    scores: list[float]

    @property
    def mean(self) -> float:
        """Mean score."""
        return sum(self.scores) / len(self.scores)

    @property
    def standard_error(self) -> float:
        """Standard error of the mean, from the population deviation."""
        mean = self.mean
        return (sum((score - mean) ** 2 for score in self.scores) ** 0.5) / len(self.scores)

    @property
    def score_text(self) -> str:
        """Mean score and its standard error for people."""
        return f"{self.mean:.1f} ± {self.standard_error:.1f}"

    @property
    def name(self) -> str:
        """Names the cell among those of its protocol."""
        raise NotImplementedError

    @classmethod
    def read(cls: type[CellT], path: Path, key: str) -> CellT | None:
        """Reads a cell from a file; None if the file is missing, is broken or has another key."""
        try:
            cell = cls.model_validate_json(path.read_bytes())
        except (OSError, ValidationError):
            return None
        return cell if cell.key == key else None

    def write(self, path: Path) -> None:
        """Writes the cell to a file."""
        write_atomically(path, self.model_dump_json(indent=1).encode())
