"""Handles all signals that stop a process: from a user, from a cluster that needs the machine, or from a time limit.

A process exits at once if it has nothing to save. Training defers the exit until the current step is finished and
saved. Before the process exits, it asks to be started again: submitit if submitit started it, else SLURM.
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
# Users of Lightning configure SLURM to send SIGUSR1 before the time limit; submitit sends SIGUSR2.
_CLUSTER_SIGNALS = (signal.SIGUSR1, signal.SIGUSR2)

logger = logging.getLogger(__name__)


@dataclass
class _Process:
    """State of the signal handling in this process.

    Attributes:
        number: Process id. A forked child inherits the handlers and has another id.
        received: The signal to stop that has arrived.
        deferred: Whether the caller asks ``was_received`` and calls ``leave`` itself.
        leaving: Whether the process is exiting.
        resubmit: The launcher's own handler, which submits the job again.
    """

    number: int
    received: int | None = None
    deferred: bool = False
    leaving: bool = False
    resubmit: Callable[[int, Any], Any] | None = None


_process = _Process(os.getpid())


def listen() -> None:
    """Installs the signal handlers. Call it again after a library has installed its own.

    SIGTERM is always handled, SIGUSR1 and SIGUSR2 only in a job of a cluster.
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
    """Makes signals only set a flag, which the caller reads with ``was_received`` before it calls ``leave``."""
    listen()
    _process.deferred = True


def act_at_once() -> None:
    """Makes signals end the process at once again; the opposite of ``defer``."""
    _process.deferred = False


def was_received() -> bool:
    """Whether a signal to stop has arrived."""
    return _process.received is not None


def is_saving() -> bool:
    """Whether a caller of ``defer`` has yet to save before it calls ``leave``."""
    return _process.deferred and not _process.leaving


def leave() -> NoReturn:
    """Asks the cluster to start the job again later, and ends this process with exit code 143.

    A cancelled job is not started again.

    Raises:
        SystemExit: always.
    """
    _process.leaving, job = True, SlurmJob.current()
    name = signal.Signals(_process.received or signal.SIGTERM).name
    if job is None:
        logger.warning("stopped by %s; rerun the same command to resume", name)
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
        # A forked child is not a job. It ends as it would without this handler.
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
        return
    _process.received = number
    if not _process.deferred and not _process.leaving:
        leave()
