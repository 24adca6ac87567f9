"""The one place that minds signals to stop: from a user, a cluster that needs the machine, or a job's time limit.

A process leaves at once while there is nothing to save. Training defers that until a step is done and saved. Whoever
can bring the process back is told before it ends: submitit where it started the process, else SLURM.
"""

import logging
import os
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType
from typing import Any, NoReturn

from diffplan.errors import ClusterError
from diffplan.run.slurm_job import SlurmJob

STOPPED = 128 + signal.SIGTERM
# Lightning's users let SLURM send the first before the time is up; submitit sends the second.
_CLUSTER_SIGNALS = (signal.SIGUSR1, signal.SIGUSR2)

logger = logging.getLogger(__name__)


@dataclass
class _Process:
    """What this process knows.

    Attributes:
        number: Its id; a child that inherits the handlers has another.
        received: The signal that told it to stop.
        deferred: Whether somebody asks ``was_received`` and leaves when it is time.
        leaving: Whether it is on its way out.
        resubmit: Handler of the launcher that brings the process back.
    """

    number: int
    received: int | None = None
    deferred: bool = False
    leaving: bool = False
    resubmit: Callable[[int, Any], Any] | None = None


_process = _Process(os.getpid())


def listen() -> None:
    """Minds the signals from now on; to be called again after a library has put its own handlers in place.

    SIGTERM always counts, SIGUSR1 and SIGUSR2 only within a cluster's job.
    """
    global _process
    if threading.current_thread() is not threading.main_thread():
        return
    if _process.number != os.getpid():
        _process = _Process(os.getpid())
    for number in _CLUSTER_SIGNALS:
        before = signal.getsignal(number)
        if callable(before) and before is not _receive:
            _process.resubmit = before
        if callable(before) or SlurmJob.current() is not None:
            signal.signal(number, _receive)
    signal.signal(signal.SIGTERM, _receive)


def defer() -> None:
    """From now on a signal is only remembered: the caller asks ``was_received`` and calls ``leave``."""
    listen()
    _process.deferred = True


def act_at_once() -> None:
    """From now on a signal ends the process where it stands; ends what ``defer`` began."""
    _process.deferred = False


def was_received() -> bool:
    """Whether the process was told to stop."""
    return _process.received is not None


def leave() -> NoReturn:
    """Has the cluster bring the job back later, and ends this process with exit code 143.

    A job that was cancelled does not come back.

    Raises:
        SystemExit: always.
    """
    _process.leaving, job = True, SlurmJob.current()
    name = signal.Signals(_process.received or signal.SIGTERM).name
    if job is None:
        logger.warning("stopped by %s; the same command continues", name)
        if _process.resubmit is not None and _process.received in _CLUSTER_SIGNALS:
            _process.resubmit(_process.received, None)
    elif os.environ.get("SLURM_PROCID", "0") == "0":
        try:
            _bring_back(job, name)
        except ClusterError as error:
            logger.warning("stopped by %s; job %s is not requeued: %s", name, job.number, error)
    raise SystemExit(STOPPED)


def _bring_back(job: SlurmJob, name: str) -> None:
    if not job.is_wanted():
        logger.warning("stopped by %s; job %s was cancelled, or is in the queue again already", name, job.number)
        return
    logger.warning("stopped by %s; job %s is requeued and continues", name, job.number)
    if _process.resubmit is not None:
        _process.resubmit(_process.received or signal.SIGTERM, None)
    else:
        job.requeue()


def _receive(number: int, frame: FrameType | None) -> None:
    if _process.number != os.getpid():
        # A child that was forked is no job of its own: it ends as it would have without this handler.
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
        return
    _process.received = number
    if not _process.deferred and not _process.leaving:
        leave()
