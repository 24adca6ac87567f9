from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from diffplan.files import write_atomically


class SchedulerCell(BaseModel):
    """What one scheduler did in one number of steps.

    Attributes:
        key: Equal for cells that would have the same scores.
        protocol: Of the episodes.
        scheduler: File of ``conf/scheduler``.
        steps: Denoising steps.
        calls: Calls of the denoiser for a plan from noise.
        seeds: Of the episodes.
        scores: Normalised score of each.
        plan_cpu_seconds: Processor time for one plan of one environment, on all threads.
        plan_seconds: Wall time for the same; environments are planned side by side.
        quality: Of the plans, see ``plan_quality``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="constants")

    key: str
    protocol: str
    scheduler: str
    steps: int
    calls: int
    seeds: list[int]
    scores: list[float]
    plan_cpu_seconds: float
    plan_seconds: float
    quality: dict[str, float]

    @property
    def mean(self) -> float:
        """Mean score."""
        return sum(self.scores) / len(self.scores)

    @property
    def standard_error(self) -> float:
        """Of the mean, from the population deviation, as everywhere here."""
        mean = self.mean
        return (sum((score - mean) ** 2 for score in self.scores) ** 0.5) / len(self.scores)

    @classmethod
    def read(cls, path: Path, key: str) -> "SchedulerCell | None":
        """Reads the cell of a file; None where there is none, or a broken one, or one with other settings."""
        try:
            cell = cls.model_validate_json(path.read_bytes())
        except (OSError, ValidationError):
            return None
        return cell if cell.key == key else None

    def write(self, path: Path) -> None:
        """Writes the cell, whole or not at all."""
        write_atomically(path, self.model_dump_json(indent=1).encode())
