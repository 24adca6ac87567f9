"""Calls to W&B, which runs in a process of its own that may be frozen, killed or busy: each ends in bounded time."""

import contextlib
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

import wandb

T = TypeVar("T")

# Longest wait for a call that is over in a moment as long as W&B's process works.
PATIENCE_SECONDS = 60.0
_TEARDOWN_SECONDS = 15.0


class UnresponsiveError(Exception):
    """W&B's process has not answered in time."""


def within(seconds: float, call: Callable[[], T]) -> T:
    """Calls a function of W&B and waits for it, but not for ever.

    Args:
        seconds: Longest wait.
        call: The function. After the wait is over it is left alone in a thread of its own.

    Raises:
        UnresponsiveError: it was not over in time.
    """
    outcome: Future[T] = Future()

    def run() -> None:
        try:
            outcome.set_result(call())
        except BaseException as error:
            outcome.set_exception(error)

    threading.Thread(target=run, name="wandb call", daemon=True).start()
    try:
        return outcome.result(timeout=seconds)
    except TimeoutError:
        if outcome.done():
            raise
        raise UnresponsiveError(f"W&B has not answered for {seconds:.0f} s") from None


def abandon(run: "wandb.Run | None" = None) -> None:
    """Ends W&B's process, which otherwise would be waited for when Python exits; a frozen one is killed.

    Args:
        run: The run that has been started, if there is one. Its threads would ask the process that is gone.
    """
    process = _process()
    # W&B has no public names for these. They print tracebacks where its process is gone.
    for stop in (lambda: run._run_status_checker.stop(), lambda: run._restore()):  # type: ignore[union-attr]
        with contextlib.suppress(Exception):
            stop()
    with contextlib.suppress(Exception):
        within(_TEARDOWN_SECONDS, lambda: wandb.teardown(exit_code=1))
    if process is not None and process.poll() is None:
        process.kill()
        process.wait()


def _process() -> Any:
    """Returns the process that W&B has started from this one; None where there is none."""
    # W&B has no public name for it. Without it, W&B would wait for a frozen process without end when Python exits.
    connection = getattr(wandb.setup(), "_connection", None)
    return getattr(getattr(connection, "_proc", None), "_process", None)
