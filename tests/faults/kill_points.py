"""Kills a training at one of its file events, or at any time, types its command again and looks at what it left."""

import csv
import hashlib
import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from fault import Inputs
from harness import ForkServer

# Counts what the process is about to do to files below a folder, and kills it before one of these events.
_HOOK = """
import os, signal, sys

folder, chosen, journal = {folder!r}, {chosen!r}, os.open({journal!r}, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
counts = {{}}

def watch(event, arguments):
    if event == "open":
        path, _, flags = arguments
        if not isinstance(flags, int) or not flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            return
    elif event in ("os.rename", "os.link"):
        path = arguments[1]
    elif event in ("os.mkdir", "os.remove"):
        path = arguments[0]
    else:
        return
    if not isinstance(path, (str, bytes, os.PathLike)) or not os.fsdecode(path).startswith(folder):
        return
    name = os.path.basename(os.fsdecode(path))
    os.write(journal, f"{{event}} {{name}}\\n".encode())
    for key in ("any", f"{{event}} {{name}}"):
        counts[key] = counts.get(key, 0) + 1
        if [key, counts[key]] == chosen:
            os.kill(os.getpid(), signal.SIGKILL)

sys.addaudithook(watch)
if chosen[0] == "seconds":
    # Without a handler, this signal ends the process at once.
    signal.setitimer(signal.ITIMER_REAL, chosen[1])
"""


def kill(
    server: ForkServer, inputs: Inputs, run: Path, place: Path, chosen: tuple[str, float]
) -> tuple[Path | None, list[str]]:
    """Starts the training of a run anew in another folder, and kills it.

    Args:
        server: Runs commands.
        inputs: Healthy material.
        run: One of its finished runs.
        place: New folder.
        chosen: ``("any", 7)`` is the seventh file event, ``("os.rename last.ckpt", 2)`` the second of that kind, and
            ``("seconds", 1.5)`` a time. ``("any", 0)`` never comes.

    Returns:
        The run's folder, None if there is none yet, and the file events up to the kill.
    """
    events = kill_words(server, inputs.train_words(run, place / "runs"), place, chosen)
    return _run_dir(place), events


def kill_words(server: ForkServer, words: Sequence[str], place: Path, chosen: tuple[str, float]) -> list[str]:
    """Starts a command that writes below ``runs`` of a new folder, kills it, and returns its file events until then.

    Args:
        server: Runs commands.
        words: The command.
        place: New folder.
        chosen: See ``kill``.
    """
    (place / "temporary").mkdir(parents=True, exist_ok=True)
    journal, hook = place / "journal", place / "hook.py"
    hook.write_text(_HOOK.format(folder=str(place / "runs"), chosen=list(chosen), journal=str(journal)))
    type_words(server, words, place, hook)
    return journal.read_text().splitlines() if journal.exists() else []


def type_words(server: ForkServer, words: Sequence[str], place: Path, hook: Path | None = None) -> int | None:
    """Runs a command in a folder with one of its own for temporary files; returns its exit status."""
    return server.run(words, place, place / "log", {"TMPDIR": str(place / "temporary")}, hook=hook)["code"]


def resume(server: ForkServer, inputs: Inputs, run: Path, place: Path) -> Path:
    """Types the command of a killed training again; returns the run's folder.

    Raises:
        AssertionError: the command failed.
    """
    code = type_words(server, inputs.train_words(run, place / "runs"), place)
    assert code == 0, (place / "log" / "stderr").read_text()[-2000:]
    run_dir = _run_dir(place)
    assert run_dir is not None
    return run_dir


def _run_dir(place: Path) -> Path | None:
    return next((folder.parent for folder in place.glob("runs/*/*/*/.hydra")), None)


def left_behind(run_dir: Path) -> dict[str, Any]:
    """Returns everything that a run left which does not depend on time or place.

    Args:
        run_dir: A finished run.
    """
    checkpoints = run_dir / "checkpoints"
    result = json.loads((run_dir / "results.json").read_text())
    timeless = {"protocols", "metrics", "step", "final", "data", "config_hash", "seed"}
    with (run_dir / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    return {
        "checkpoints": {path.name: checkpoint_hash(path) for path in sorted(checkpoints.glob("*.ckpt"))},
        "result": _without_times({key: result[key] for key in timeless}),
        # A duration counts as there or not there.
        "metrics": [{key: (value != "") if "second" in key else value for key, value in row.items()} for row in rows],
        "files": sorted(_names(run_dir)),
        "logged": sorted({(line["key"], line["step"]) for line in _lines(run_dir / "files.jsonl")}),
    }


def checkpoint_hash(path: Path) -> str:
    """Hashes what training determines in a checkpoint; times, places and versions aside."""
    content = torch.load(path, weights_only=True)
    names = ("global_step", "state_dict", "optimizer_states", "lr_schedulers", "loops")
    chosen = {name: content[name] for name in names}
    chosen["callbacks"] = {key: value for key, value in content["callbacks"].items() if key != "SpeedMonitor"}
    digest = hashlib.sha256()
    _update(digest, chosen)
    return digest.hexdigest()


def _update(digest: Any, value: Any) -> None:
    if isinstance(value, torch.Tensor):
        digest.update(f"{value.dtype} {[*value.shape]}".encode())
        digest.update(value.contiguous().numpy().tobytes())
    elif isinstance(value, dict):
        for key in sorted(value, key=str):
            digest.update(str(key).encode())
            _update(digest, value[key])
    elif isinstance(value, (list, tuple)):
        for item in value:
            _update(digest, item)
    else:
        digest.update(repr(value).encode())


def _without_times(node: Any) -> Any:
    if isinstance(node, dict):
        return {key: _without_times(value) for key, value in node.items() if "second" not in key}
    if isinstance(node, float) and math.isnan(node):
        return "nan"
    return [_without_times(value) for value in node] if isinstance(node, list) else node


def _names(run_dir: Path) -> Iterator[str]:
    for path in run_dir.rglob("*"):
        if path.is_file():
            yield path.relative_to(run_dir).as_posix()


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]
