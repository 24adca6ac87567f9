"""Runs commands of diffplan in forked children, so that a case does not wait for torch to be imported.

Reads one JSON object a line from standard input: ``words``, ``folder``, ``environment``, ``limit_seconds``, ``log``,
and ``hook``, a file that is executed first. Answers with one line: ``code`` (negative for a signal, null after the
time limit), ``seconds``, ``cpu_seconds``, ``peak_mib``. The child's output lies in the files ``stdout`` and
``stderr`` of the folder ``log``.
"""

import importlib
import json
import logging
import os
import resource
import select
import signal
import sys
import time
import traceback
from contextlib import suppress
from pathlib import Path

# wandb is not imported: its temporary folder would end with the first child.
_IMPORTED = (
    "torch", "lightning", "diffusers", "h5py", "pandas", "altair", "matplotlib.pyplot", "mujoco", "gymnasium",
    "diffplan.cli.app", "diffplan.cli.command", "diffplan.cli.settings_check", "diffplan.config.validation",
    "diffplan.training.stages", "diffplan.run.checkpoint", "diffplan.interop", "diffplan.interop.imported_run",
    "diffplan.report.results", "diffplan.data.source.d4rl_file", "diffplan.planner.guided_planner",
)  # fmt: skip
_MEMORY_BYTES = 8 << 30


def main() -> None:
    """Serves until standard input ends."""
    for module in _IMPORTED:
        try:
            importlib.import_module(module)
        except ImportError:
            continue
    import torch

    torch.set_num_threads(1)
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        print(json.dumps(_run(json.loads(line))), flush=True)


def _run(case: dict) -> dict:
    started = time.monotonic()
    child = os.fork()
    if child == 0:
        _become(case)
    watch = os.pidfd_open(child)
    code: int | None = None
    ended, _, _ = select.select([watch], [], [], case["limit_seconds"])
    if not ended:
        os.killpg(child, signal.SIGKILL)
    _, status, usage = os.wait4(child, 0)
    os.close(watch)
    if ended:
        code = os.waitstatus_to_exitcode(status)
        # What the command left running, if anything.
        with suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)
    cpu_seconds = usage.ru_utime + usage.ru_stime
    return {
        "code": code, "seconds": time.monotonic() - started, "cpu_seconds": cpu_seconds,
        "peak_mib": usage.ru_maxrss / 1024,
    }  # fmt: skip


def _become(case: dict) -> None:
    """Turns the child into the command; never returns."""
    os.setsid()
    log = Path(case["log"])
    for number, name in ((1, "stdout"), (2, "stderr")):
        os.dup2(os.open(log / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644), number)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.chdir(case["folder"])
    os.environ.update(case["environment"])
    resource.setrlimit(resource.RLIMIT_DATA, (_MEMORY_BYTES, _MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    sys.argv[:] = ["diffplan", *case["words"]]
    code = 1
    try:
        if hook := case.get("hook"):
            # A file that does something to the process first, such as killing it at its k-th file event.
            exec(compile(Path(hook).read_text(), hook, "exec"), {"__name__": "hook"})
        from diffplan.cli.app import main as command

        command()
        code = 0
    except SystemExit as error:
        if error.code is None or isinstance(error.code, int):
            code = error.code or 0
        else:
            print(error.code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
    finally:
        logging.shutdown()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code if 0 <= code < 256 else 1)


if __name__ == "__main__":
    main()
