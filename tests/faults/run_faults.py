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
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from types import ModuleType
from typing import Any

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


def table(lines: Iterable[Mapping[str, Any]]) -> str:
    """Returns a Markdown table, a row a group.

    Args:
        lines: A mapping with ``group`` and ``outcome`` for each fault.
    """
    counts: dict[str, Counter[str]] = {}
    for line in lines:
        counts.setdefault(line["group"], Counter())[line["outcome"]] += 1
    counts["**all**"] = sum(counts.values(), Counter())
    shown = [outcome for outcome in OUTCOMES if outcome in RIGHT or counts["**all**"][outcome]]
    rows = [[group, count.total(), *(count[outcome] or "" for outcome in shown)] for group, count in counts.items()]
    return tabulate(rows, headers=["broken on purpose", "tried", *shown], tablefmt="github")


def main() -> int:
    """Runs all or some generators; returns 1 if an answer was wrong."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--count", type=int, default=20, help="faults a generator")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="*", help="generators, for instance: data setting")
    parser.add_argument("--to", type=Path, default=Path("build/faults"), help="folder for table.md and answers")
    options = parser.parse_args()
    options.to.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="faults") as root:
        server = ForkServer()
        try:
            inputs = make_inputs(server, Path(root))
            for name, generator in generators().items():
                if options.only and name not in options.only:
                    continue
                place = Path(root) / "broken" / name
                place.mkdir(parents=True)
                # A file for each generator, so that several processes can share the work.
                with (options.to / f"{name}.jsonl").open("w") as file:
                    for fault, answer in run_group(server, generator, inputs, options.seed, options.count, place):
                        line = {"group": generator.GROUP, "fault": fault.name, **asdict(answer)}
                        print(json.dumps(line), file=file, flush=True)
                        if answer.outcome not in RIGHT:
                            print(f"{answer.outcome}: {generator.GROUP}: {fault.name}: {answer.detail}", flush=True)
                shutil.rmtree(place, ignore_errors=True)
        finally:
            server.close()
    lines = [json.loads(line) for path in sorted(options.to.glob("*.jsonl")) for line in path.open()]
    text = table(lines)
    (options.to / "table.md").write_text(text + "\n")
    print(text, f"\n{time.monotonic() - started:.0f} s", sep="\n")
    return 0 if all(line["outcome"] in RIGHT for line in lines) else 1


if __name__ == "__main__":
    sys.exit(main())
