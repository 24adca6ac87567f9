"""Damaged results and run folders, shown by tables, pages and retyped commands."""

import itertools
import json
import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fault import Fault, Inputs
from hostile import flipped, hostile_values, leaves, removed, replaced

GROUP = "results and run folders"
_FILES = ("results.json", "config.yaml", "metrics.jsonl", "metrics.csv", "files.jsonl", "events.jsonl", "failure.txt",
          ".hydra/config.yaml", ".hydra/overrides.yaml", "index.html", "hparams.yaml", "train.log")  # fmt: skip


def faults(rng: random.Random, inputs: Inputs, place: Path) -> Iterator[Fault]:
    """Yields folders of results without end."""
    for name, damage in itertools.product(_FILES, (_pipe, _folder, _loop, _deep, _bytes, _empty, _bomb, _hidden)):
        run = _copied(inputs, rng, place)
        damage(run / name)
        yield Fault(f"{name} {damage.__name__.strip('_')}", _shown(rng, inputs, place), expected="either")
    for column in ("returns", "scores", "decision_seconds"):
        for value in ("NaN", "Infinity", "1e400"):
            _second(inputs, place, column, value)
            words = ["table", "ablation", "--results", str(place), "--name", "*"]
            yield Fault(f"{column} {value}", words, expected="refused")
    values = hostile_values(inputs)
    for number in itertools.count():
        run = _copied(inputs, rng, place)
        name = rng.choice(("results.json", "results.json", *_FILES))
        path, content = run / name, (run / name).read_bytes() if (run / name).is_file() else b"{}"
        if name == "results.json" and rng.random() < 0.8:
            record: Any = json.loads(content)
            key = rng.choice(list(leaves(record)))
            changed = removed(record, key) if rng.random() < 0.1 else replaced(record, key, rng.choice(values))
            path.write_text(json.dumps(changed))
            what = ".".join(map(str, key))
        else:
            path.write_bytes(
                flipped(content or b"x", rng) if rng.random() < 0.5 else content[: rng.randrange(len(content) + 1)]
            )
            what = "bytes"
        yield Fault(f"{number} {name} {what}", _shown(rng, inputs, place), expected="either")


def _copied(inputs: Inputs, rng: random.Random, place: Path) -> Path:
    inputs.copy_run(inputs.maze_run, place / "a")
    source = rng.choice((inputs.maze_run, inputs.maze_run, inputs.hopper_run))
    return inputs.copy_run(source, place / "b")[1]


def _second(inputs: Inputs, place: Path, column: str, value: str) -> None:
    """Gives the second of two results a value that JSON has and arithmetic has not."""
    for index, name in enumerate("ab"):
        run = inputs.copy_run(inputs.maze_run, place / name)[1]
        record = json.loads((run / "results.json").read_text())
        record["config"]["window"]["horizon"] = 8 + index
        played = record["protocols"]["single_task"]
        if index:
            played[column] = ["@"] if isinstance(played[column], list) else "@"
        (run / "results.json").write_text(json.dumps(record).replace('"@"', value))


def _shown(rng: random.Random, inputs: Inputs, place: Path) -> list[str]:
    results = ["--results", str(place)]
    return rng.choice(
        (
            ["table", "1", *results, "--ablation", "all"],
            ["table", "ablation", *results, "--allow", "versions", "--picture", str(place / "picture.svg")],
            [
                "table",
                *results,
                "--to",
                str(place / rng.choice(("t.md", "t.tex", "t.csv", "t.txt"))),
                "--ablation",
                "all",
            ],
            ["dashboard", *results, "--to", str(place / "page.html")],
            ["dashboard", *results, "--to", str(place / "page.html")],
            inputs.train_words(inputs.maze_run, place / "b"),
        )
    )


def _remove(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)


def _pipe(path: Path) -> None:
    _remove(path)
    os.mkfifo(path)


def _folder(path: Path) -> None:
    _remove(path)
    path.mkdir()


def _loop(path: Path) -> None:
    _remove(path)
    path.symlink_to(path.name)


def _deep(path: Path) -> None:
    _remove(path)
    path.write_text("[" * 100_000)


def _bytes(path: Path) -> None:
    _remove(path)
    path.write_bytes(b"\xff\xfe\x00\xd8\n")


def _empty(path: Path) -> None:
    _remove(path)
    path.write_bytes(b"")


def _bomb(path: Path) -> None:
    """A few lines of YAML that mean a milliard of values."""
    _remove(path)
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    path.write_text("\n".join(lines))


def _hidden(path: Path) -> None:
    """A file with a hole of a terabyte."""
    _remove(path)
    path.touch()
    os.truncate(path, 2**40)
