"""Cells that run in other processes of this machine end with the process that launched them."""

import multiprocessing
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from diffplan.sweep.cell import is_busy

STOPPED = 128 + signal.SIGTERM
_LONGEST_SAVE_SECONDS = 60.0


@contextmanager
def passing_on_sigterm(run_dirs: Sequence[Path]) -> Iterator[None]:
    """Hands SIGTERM on to the processes of running cells and waits until they have saved their checkpoints.

    Without other processes, or outside the main thread, nothing changes: a cell of this process minds it itself.

    Args:
        run_dirs: Of the cells that may be running.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: FrameType | None) -> None:
        running = [run_dir for run_dir in run_dirs if is_busy(run_dir)]
        children = multiprocessing.active_children()
        for child in children:
            child.terminate()
        give_up = time.monotonic() + _LONGEST_SAVE_SECONDS
        while children and any(is_busy(run_dir) for run_dir in running) and time.monotonic() < give_up:
            time.sleep(0.1)
        raise SystemExit(STOPPED)

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
