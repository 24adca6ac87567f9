"""How training ends before its last step."""

import logging
import threading
from collections.abc import Sequence
from typing import NoReturn

from lightning import Trainer
from lightning.pytorch.loggers import Logger

from diffplan.run import stop_signal
from diffplan.run.slurm_job import SlurmJob

_LONGEST_SECONDS = 15.0

logger = logging.getLogger(__name__)


def stop_run(trainer: Trainer) -> NoReturn:
    """Ends the process, and has a cluster put the job back into its queue. The caller has saved everything.

    Raises:
        SystemExit: always.
    """
    if SlurmJob.current() is not None:
        # When the job goes back into the queue, the loggers' helper processes end with all they have not written yet.
        ending = threading.Thread(target=_end, args=(trainer.loggers,), daemon=True)
        ending.start()
        ending.join(_LONGEST_SECONDS)
        if ending.is_alive():
            logger.warning("the loggers are still busy after %.0f s; the run stops without them", _LONGEST_SECONDS)
    stop_signal.leave()


def _end(loggers: Sequence[Logger]) -> None:
    for run_logger in loggers:
        run_logger.finalize("stopped")
