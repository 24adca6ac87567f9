"""Jobs of a SLURM cluster: which one this process belongs to, and how it is requeued."""

import getpass
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from diffplan.errors import ClusterError

_ANSWER_SECONDS = 60.0
_NOTE = "slurm_job_id"


@dataclass(frozen=True)
class SlurmJob:
    """A job of a SLURM cluster.

    Attributes:
        number: Its number: ``17``, or ``17_2`` for a job of an array.
    """

    number: str

    @classmethod
    def current(cls) -> "SlurmJob | None":
        """The job this process belongs to; None outside a cluster."""
        # In an array, SLURM_JOB_ID of the last job equals the number of the whole array.
        array, number = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ.get("SLURM_JOB_ID")
        if array is not None:
            return cls(f"{array}_{os.environ['SLURM_ARRAY_TASK_ID']}")
        return None if number is None else cls(number)

    @staticmethod
    def was_requeued() -> bool:
        """Whether this process belongs to a job that was requeued."""
        return os.environ.get("SLURM_RESTART_COUNT", "0") != "0"

    @classmethod
    def of_run(cls, run_dir: Path) -> "SlurmJob | None":
        """The job that was last submitted for a run; None if there was none."""
        note = run_dir / _NOTE
        return cls(note.read_text().strip()) if note.is_file() else None

    def leave_note(self, run_dir: Path) -> None:
        """Writes this job's number into a run's folder."""
        run_dir.mkdir(parents=True, exist_ok=True)
        (run_dir / _NOTE).write_text(f"{self.number}\n")

    def is_wanted(self) -> bool:
        """Whether a job that received a signal to stop must be requeued.

        A cancelled job must not, and a job that is already back in the queue need not.

        Raises:
            ClusterError: SLURM does not answer.
        """
        shown = _ask("scontrol", "show", "job", self.number, "--oneliner")
        state, reason = (re.search(rf"\b{key}=(\S*)", shown) for key in ("JobState", "Reason"))
        if state is None or reason is None:
            raise ClusterError(f"scontrol does not show the state of job {self.number}.")
        return state.group(1) == "RUNNING" or (state.group(1) != "CANCELLED" and reason.group(1) == "TimeLimit")

    def requeue(self) -> None:
        """Puts the running job back into the queue; SLURM then ends its processes.

        Raises:
            ClusterError: SLURM refuses, as it does for interactive jobs.
        """
        _ask("scontrol", "requeue", self.number)


def queued_jobs() -> dict[str, str]:
    """States of this user's jobs in the queue, by number; empty on a machine without SLURM.

    Raises:
        ClusterError: SLURM does not answer.
    """
    if shutil.which("squeue") is None:
        return {}
    lines = _ask("squeue", "--noheader", "--array", "--format=%i|%T", f"--user={getpass.getuser()}").splitlines()
    return dict(line.strip().split("|", 1) for line in lines if "|" in line)


def _ask(*command: str) -> str:
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=_ANSWER_SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ClusterError(f"{command[0]} does not answer: {error}.") from error
    if answer.returncode:
        raise ClusterError(f"{' '.join(command[:2])} failed: {answer.stderr.strip() or answer.stdout.strip()}.")
    return answer.stdout
