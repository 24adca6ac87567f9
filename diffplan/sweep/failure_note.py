"""Why a run failed, left in its folder, so that a list of cells can say it."""

from pathlib import Path

from diffplan.files import write_atomically

_FILE = "failure.txt"


def leave_failure_note(run_dir: Path, reason: str) -> None:
    """Writes one sentence into the folder of a run that failed.

    Args:
        run_dir: The folder; nothing is written where it was never made.
        reason: The sentence.
    """
    if run_dir.is_dir():
        write_atomically(run_dir / _FILE, f"{reason}\n".encode())


def read_failure_note(run_dir: Path) -> str | None:
    """The sentence, or None where the run has not failed."""
    try:
        return (run_dir / _FILE).read_text().strip()
    except OSError:
        return None


def remove_failure_note(run_dir: Path) -> None:
    """Forgets the failure, because the run is tried again."""
    (run_dir / _FILE).unlink(missing_ok=True)
