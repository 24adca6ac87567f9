"""What libraries print while training: each line once, and none that a reader could do nothing about."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

_LOGGERS_WITH_OWN_HANDLERS = ("lightning", "lightning.pytorch", "lightning.fabric")
_RANK_ZERO_LOGGER = "lightning.pytorch.utilities.rank_zero"
_IDLE_MESSAGES = ("litlogger", "TPU available: False")
# Batches are gathered on the device, the averaged network is in evaluation mode on purpose, short runs log little on
# purpose, the way Lightning asks about PyTrees is Lightning's, and a machine that belongs to a cluster may train alone.
_IDLE_WARNINGS = (
    ".*does not have many workers",
    ".*module.s. in eval mode at the start of training",
    ".*is smaller than the logging interval",
    ".*isinstance.treespec, LeafSpec.* is deprecated",
    ".*`srun` command is available on your system but is not used",
)


@contextmanager
def readable_console() -> Iterator[None]:
    """Leaves Lightning's messages to the root logger, and drops advice that does not apply here."""
    for name in _LOGGERS_WITH_OWN_HANDLERS:
        library_logger = logging.getLogger(name)
        library_logger.handlers.clear()
        library_logger.propagate = True
    logging.getLogger(_RANK_ZERO_LOGGER).addFilter(_says_something)
    with warnings.catch_warnings():
        for message in _IDLE_WARNINGS:
            warnings.filterwarnings("ignore", message=message)
        yield


def _says_something(record: logging.LogRecord) -> bool:
    text = record.getMessage()
    return not any(idle in text for idle in _IDLE_MESSAGES)
