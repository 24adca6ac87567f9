"""SIGTERM to the process that launched cells reaches the processes they run in."""

import signal
import subprocess
import sys

import pytest

PARENT = """
import multiprocessing, os, signal, sys, time
from pathlib import Path
from filelock import FileLock
from diffplan.sweep.local_processes import passing_on_sigterm


def work(folder):
    def save(number, frame):
        time.sleep(0.5)
        (folder / "saved").touch()
        raise SystemExit(143)

    signal.signal(signal.SIGTERM, save)
    with FileLock(folder / ".lock"):
        (folder / "started").touch()
        time.sleep(60)


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    child = multiprocessing.get_context("spawn").Process(target=work, args=(folder,))
    with passing_on_sigterm([folder]):
        child.start()
        while not (folder / "started").exists():
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(60)
"""


def test_the_handler_before_is_back_afterwards():
    from diffplan.sweep.local_processes import passing_on_sigterm

    before = signal.getsignal(signal.SIGTERM)
    with passing_on_sigterm([]):
        assert signal.getsignal(signal.SIGTERM) is not before
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.slow
def test_a_cell_saves_before_the_sweep_ends(tmp_path):
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    result = subprocess.run([sys.executable, str(script), str(tmp_path)], timeout=60)
    assert result.returncode == 143
    assert (tmp_path / "saved").exists()
