"""A real SLURM with one node, this machine, for the whole of these tests."""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("one_node_slurm.sh")
PROGRAMS = ("slurmctld", "slurmd", "munged", "sbatch")


class OneNodeSlurm:
    """A running SLURM.

    Args:
        folder: Where its configuration, state and logs lie.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._pending_since: dict[str, float] = {}
        self.environment = {**os.environ, "SLURM_CONF": str(folder / "slurm.conf")}

    def ask(self, *command: str) -> str:
        result = subprocess.run(command, capture_output=True, text=True, env=self.environment, timeout=60)
        assert result.returncode == 0, f"{command}: {result.stderr}"
        return result.stdout

    def states(self) -> dict[str, str]:
        lines = self.ask("squeue", "--noheader", "--array", "--format=%i|%T").splitlines()
        return dict(line.split("|") for line in lines)

    def wait_until(self, condition: Callable[[], object], seconds: float = 600) -> None:
        """Waits, while requeued jobs start after seconds; SLURM lets them wait for two minutes otherwise."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"waited in vain; the queue holds {self.states()}"
            self._hurry()
            time.sleep(0.5)

    def _hurry(self) -> None:
        """Starts what has been pending for a while; earlier, SLURM may take the old script's end for the new one's."""
        now = time.monotonic()
        pending = {number for number, state in self.states().items() if state == "PENDING"}
        self._pending_since = {number: self._pending_since.get(number, now) for number in pending}
        for number, since in self._pending_since.items():
            if now - since > 5:
                update = ["scontrol", "update", f"jobid={number}", "starttime=now"]
                subprocess.run(update, capture_output=True, env=self.environment)

    def submit(self, *options: str, script: str) -> str:
        """Hands in a script; returns the job's number."""
        file = self.folder / f"script-{time.monotonic_ns()}.sh"
        file.write_text(f"#!/bin/bash\n{script}\n")
        return self.ask("sbatch", "--parsable", "--open-mode=append", *options, str(file)).strip()


@pytest.fixture(scope="session")
def slurm():
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    if missing:
        pytest.skip(f"needs a SLURM on this machine; {', '.join(missing)} is not installed")
    if os.geteuid() != 0:
        pytest.skip("only root can start a SLURM")
    # Munge wants every folder above its socket to be readable, which pytest's are not.
    folder = Path(tempfile.mkdtemp(prefix="slurm-"))
    folder.chmod(0o755)
    try:
        started = subprocess.run([SCRIPT, "start", folder], capture_output=True, text=True, timeout=120)
        assert started.returncode == 0, started.stderr
        yield OneNodeSlurm(folder)
    finally:
        subprocess.run([SCRIPT, "stop", folder], capture_output=True, timeout=120)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def cluster_command(slurm, train_command):
    """``diffplan-train`` on a machine that belongs to a cluster."""
    train_command.environment["SLURM_CONF"] = slurm.environment["SLURM_CONF"]
    return train_command
