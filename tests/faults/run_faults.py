"""Breaks the commands on purpose and prints a table of how they took it.

    python tests/faults/run_faults.py --count 200 --seed 0 --to results/faults

Every ``*_faults.py`` of this folder is a generator: it names its row (``GROUP``) and yields faults without end from a
seeded random generator.
"""

import argparse
import importlib
import json
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from types import ModuleType

from fault import Fault, Inputs
from harness import OUTCOMES, RIGHT, Answer, ForkServer, judge
from inputs import make_inputs
from tabulate import tabulate


def generators() -> dict[str, ModuleType]:
    """Returns the generators of this folder by the stem of their file, without ``_faults``."""
    sys.path.insert(0, str(Path(__file__).parent))
    stems = sorted(path.stem for path in Path(__file__).parent.glob("*_faults.py") if path.stem != "run_faults")
    return {stem.removesuffix("_faults").removeprefix("test_"): importlib.import_module(stem) for stem in stems}


def run_group(
    server: ForkServer, generator: ModuleType, inputs: Inputs, seed: int, count: int, place: Path
) -> Iterator[tuple[Fault, Answer]]:
    """Runs the first faults of one generator.

    Args:
        server: Runs commands.
        generator: One of ``generators()``.
        inputs: Healthy material.
        seed: Of the generator.
        count: Number of faults.
        place: Folder for broken inputs; emptied after each fault.
    """
    for fault in islice(generator.faults(random.Random(seed), inputs, place), count):
        yield fault, judge(server, fault, inputs, place)
        for path in place.iterdir():
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def table(answers: dict[str, list[tuple[Fault, Answer]]]) -> str:
    """Returns a Markdown table, a row a group."""
    rows = []
    for group, judged in answers.items():
        counts = Counter(answer.outcome for _, answer in judged)
        rows.append([group, len(judged), *(counts[outcome] or "" for outcome in OUTCOMES)])
    total = Counter(answer.outcome for judged in answers.values() for _, answer in judged)
    rows.append(["**all**", sum(total.values()), *(total[outcome] or "" for outcome in OUTCOMES)])
    return tabulate(rows, headers=["broken on purpose", "tried", *OUTCOMES], tablefmt="github")


def main() -> int:
    """Runs all or some generators; returns 1 if an answer was wrong."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--count", type=int, default=20, help="faults a generator")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="*", help="generators, for instance: data setting")
    parser.add_argument("--to", type=Path, help="folder for table.md and answers.jsonl")
    options = parser.parse_args()
    answers: dict[str, list[tuple[Fault, Answer]]] = {}
    lines, started = [], time.monotonic()
    with tempfile.TemporaryDirectory(prefix="faults") as root:
        server = ForkServer()
        try:
            inputs = make_inputs(server, Path(root))
            for name, generator in generators().items():
                if options.only and name not in options.only:
                    continue
                place = Path(root) / "broken" / name
                place.mkdir(parents=True)
                for fault, answer in run_group(server, generator, inputs, options.seed, options.count, place):
                    answers.setdefault(generator.GROUP, []).append((fault, answer))
                    lines.append({"group": generator.GROUP, "fault": fault.name, **asdict(answer)})
                    if answer.outcome not in RIGHT:
                        print(f"{answer.outcome}: {generator.GROUP}: {fault.name}: {answer.detail}", flush=True)
                shutil.rmtree(place, ignore_errors=True)
        finally:
            server.close()
    text = table(answers)
    print(text, f"\n{time.monotonic() - started:.0f} s", sep="\n")
    if options.to is not None:
        options.to.mkdir(parents=True, exist_ok=True)
        (options.to / "table.md").write_text(text + "\n")
        (options.to / "answers.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return 0 if all(line["outcome"] in RIGHT for line in lines) else 1


if __name__ == "__main__":
    sys.exit(main())
