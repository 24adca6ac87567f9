"""Ends the processes of a sweep when the process that launched them is gone, however it ended."""

import os
import select
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from diffplan.run import stop_signal

# The environment is what reaches the processes of every launcher on this machine, and theirs.
_VARIABLE = "DIFFPLAN_LAUNCHER"
_LONGEST_SAVE_SECONDS = 60.0

_watched: set[int] = set()


@contextmanager
def watched_launcher() -> Iterator[None]:
    """Names this process as the launcher of the processes that start meanwhile."""
    os.environ[_VARIABLE] = str(os.getpid())
    try:
        yield
    finally:
        leave_jobs_alone()


def leave_jobs_alone() -> None:
    """Lets what starts from now on outlive this process, as jobs of a cluster do."""
    os.environ.pop(_VARIABLE, None)


def end_with_launcher() -> None:
    """Has this process stop as after SIGTERM, and then end, when its launcher is gone.

    Does nothing in the launcher itself, and where the system cannot tell (it is no Linux).
    """
    number = int(os.environ.get(_VARIABLE, os.getpid()))
    if number == os.getpid() or os.getpid() in _watched or not hasattr(os, "pidfd_open"):
        return
    _watched.add(os.getpid())
    try:
        launcher = os.pidfd_open(number)
    except ProcessLookupError:
        _end()
    threading.Thread(target=_wait, args=(launcher,), daemon=True).start()


def _wait(launcher: int) -> None:
    select.select([launcher], [], [])
    _end()


def _end() -> None:
    """Stops this process. Training saves its step first; all other work is on disk or is done again."""
    os.kill(os.getpid(), signal.SIGTERM)
    give_up = time.monotonic() + _LONGEST_SAVE_SECONDS
    while stop_signal.is_saving() and time.monotonic() < give_up:
        time.sleep(0.1)
    os.kill(os.getpid(), signal.SIGKILL)
