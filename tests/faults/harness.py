"""Runs faults and judges what became of each."""

import hashlib
import json
import os
import re
import select
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fault import Fault, Inputs

# In the order in which the table lists them. The first two are right, all others are failures.
OUTCOMES = (
    "one sentence", "accepted", "ran code", "leaked", "escape", "changed a file", "hang", "signal", "traceback",
    "no sentence", "accepted wrongly", "refused wrongly",
)  # fmt: skip
RIGHT = OUTCOMES[:2]
_SENTENCE = re.compile(rb"^diffplan(?: [a-z]+)?: \S.*", re.MULTILINE)
_LONGEST_SENTENCE = 1200
# Load on the machine may make a command this many times slower than its limit supposes.
_PATIENCE = 4.0


@dataclass(frozen=True)
class Answer:
    """What a command did with a fault.

    Attributes:
        outcome: One of ``OUTCOMES``.
        detail: What shows it: the sentence, the last line of a traceback, the number of the signal.
        seconds: Wall time.
        peak_mib: Largest memory of the process.
    """

    outcome: str
    detail: str
    seconds: float
    peak_mib: float


class ForkServer:
    """A process that has imported everything and forks a child for each command."""

    def __init__(self) -> None:
        script = Path(__file__).with_name("fork_server.py")
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "WANDB_MODE": "offline", "HYDRA_FULL_ERROR": "0"}
        self._process = subprocess.Popen(
            [sys.executable, str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
        )
        self._answer(600)

    def run(
        self,
        words: Sequence[str],
        folder: Path,
        log: Path,
        environment: dict[str, str] | None = None,
        limit_seconds: float = 600,
        hook: Path | None = None,
    ) -> dict[str, Any]:
        """Runs one command; see ``fork_server`` for the answer."""
        log.mkdir(parents=True, exist_ok=True)
        case = {
            "words": list(words), "folder": str(folder), "log": str(log), "environment": environment or {},
            "limit_seconds": limit_seconds, "hook": None if hook is None else str(hook),
        }  # fmt: skip
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(case).encode() + b"\n")
        self._process.stdin.flush()
        return self._answer(limit_seconds + 60)

    def close(self) -> None:
        """Ends the process."""
        with self._process:
            self._process.kill()

    def _answer(self, limit_seconds: float) -> dict[str, Any]:
        assert self._process.stdout is not None
        if not select.select([self._process.stdout], [], [], limit_seconds)[0]:
            raise TimeoutError("the fork server does not answer")
        return json.loads(self._process.stdout.readline())


def judge(server: ForkServer, fault: Fault, inputs: Inputs, place: Path) -> Answer:
    """Runs a fault's command and looks at everything it may have done wrong.

    Args:
        server: Runs the command.
        fault: What is broken.
        inputs: Healthy material.
        place: Folder of the broken input. What the command writes there must not hold secrets either.
    """
    with tempfile.TemporaryDirectory(prefix="fault") as own:
        log, folder = Path(own) / "log", fault.folder or Path(own) / "work"
        folder.mkdir(exist_ok=True)
        before = [_fingerprint(path) for path in fault.protects]
        given = {path: path.stat().st_mtime_ns for path in _files(place)}
        inputs.marker.unlink(missing_ok=True)
        environment = {"TERM": "dumb", inputs.secret_variable: inputs.secret, **fault.environment}
        answer = server.run(fault.words, folder, log, environment, fault.limit_seconds * _PATIENCE, fault.hook)
        output, errors = ((log / name).read_bytes() for name in ("stdout", "stderr"))
        outcome, detail = _outcome(answer["code"], output + errors, errors, fault)
        written = [path for path in _files(place) if given.get(path) != path.stat().st_mtime_ns]
        written += [*_files(folder), log / "stdout", log / "stderr"]
        if inputs.marker.exists():
            outcome, detail = "ran code", inputs.marker.read_text(errors="replace")
        elif found := _holding(written, inputs.secret.encode()):
            outcome, detail = "leaked", found
        elif inputs.escape.encode() in output + errors or _holding(_pages(written), inputs.escape.encode()):
            outcome, detail = "escape", "as it is"
        elif [_fingerprint(path) for path in fault.protects] != before:
            outcome, detail = "changed a file", ", ".join(map(str, fault.protects))
    return Answer(outcome, detail, answer["seconds"], answer["peak_mib"])


def _outcome(code: int | None, output: bytes, errors: bytes, fault: Fault) -> tuple[str, str]:
    last = errors.decode(errors="replace").strip().rpartition("\n")[2][:300]
    if code is None:
        return "hang", f"more than {fault.limit_seconds * _PATIENCE:.0f} s"
    if code < 0:
        return "signal", str(-code)
    if b"Traceback (most recent call last)" in output:
        return "traceback", last
    if code == 0:
        return ("accepted wrongly", last) if fault.expected == "refused" else ("accepted", last)
    sentences = _SENTENCE.findall(errors)
    if not sentences or len(sentences[-1]) > _LONGEST_SENTENCE:
        return "no sentence", last
    return ("refused wrongly", last) if fault.expected == "accepted" else ("one sentence", last)


def _files(folder: Path) -> Iterator[Path]:
    for root, _, names in os.walk(folder):
        for name in names:
            path = Path(root, name)
            if path.is_file() and not path.is_symlink():
                yield path


def _pages(paths: Sequence[Path]) -> list[Path]:
    return [path for path in paths if path.suffix in (".html", ".md", ".tex", ".svg")]


def _holding(paths: Sequence[Path], text: bytes) -> str | None:
    return next((str(path) for path in paths if path.stat().st_size < 50 << 20 and text in path.read_bytes()), None)


def _fingerprint(path: Path) -> str:
    """Hashes the names and content of a file or folder."""
    digest = hashlib.sha256()
    for file in sorted(_files(path)) if path.is_dir() and not path.is_symlink() else [path]:
        digest.update(os.fsencode(file))
        if file.is_symlink():
            digest.update(os.fsencode(os.readlink(file)))
        elif file.is_file() and os.access(file, os.R_OK):
            digest.update(file.read_bytes())
        else:
            digest.update(b"there" if os.path.lexists(file) else b"gone")
    return digest.hexdigest()
