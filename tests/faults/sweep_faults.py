"""Broken sweep files, and sweeps that cannot be meant."""

import itertools
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from fault import TINY_MAZE, Fault, Inputs
from hostile import flipped, hostile_values, leaves, removed, replaced

GROUP = "sweep files"
_HEALTHY: dict[str, Any] = {
    "program": "diffplan-train",
    "method": "grid",
    "parameters": {"seed": {"values": [0, 1]}, "optimizer.lr": {"value": 0.001}},
    "command": ["diffplan-train", "${env}", "logger=csv_logger", "${args_no_hyphens}"],
}
_TEXTS = {
    "an alias to itself": "program: diffplan-train\nmethod: grid\nparameters: &p {seed: {values: *p}}\n",
    "a bomb": "a: &a [x, x, x]\nb: &b [*a, *a, *a]\nc: &c [*b, *b, *b]\n",
    "a tag": "!!python/object/apply:os.system [true]",
    "deep": "[" * 50_000,
    "bytes": "\x00",
    "nothing": "",
    "a list": "[1, 2]",
    "two documents": "a: 1\n---\nb: 2",
    "huge key": f"? {'[' * 30}x{']' * 30}\n: 1",
    "a date": "program: 2020-13-45",
}
_WORDS = (
    "seed=range(0,1000000000)", "seed=range(0,10,0)", "seed=interval(0,1)", "seed=glob(*)", "seed=choice()",
    "hydra.sweeper.max_batch_size=0", "hydra.sweep.dir=", "hydra/launcher=nothing", "seed=,",
)  # fmt: skip


def faults(rng: random.Random, inputs: Inputs, place: Path) -> Iterator[Fault]:
    """Yields sweeps without end; each is listed, not run."""
    file = place / "sweep.yaml"
    words = ["train", "--dry", "-m", f"+sweep={file}", *TINY_MAZE, f"paths.output_dir={place}/out"]
    for name, text in _TEXTS.items():
        file.write_text(text)
        yield Fault(name, words)
    file.write_text(yaml.safe_dump({**_HEALTHY, "command": [f"+sweep={file}", "${args_no_hyphens}"]}))
    yield Fault("a sweep of itself", words)
    file.write_text(
        yaml.safe_dump({**_HEALTHY, "parameters": {f"k{n}": {"values": list(range(50))} for n in range(9)}})
    )
    yield Fault("a grid without end", words)
    for word in _WORDS:
        yield Fault(word, [word if given.startswith("+sweep") else given for given in words], expected="either")
    values = [value for value in hostile_values(inputs) if not isinstance(value, str) or "${oc.env" not in value]
    for number in itertools.count():
        key = rng.choice(list(leaves(_HEALTHY)))
        changed = removed(_HEALTHY, key) if rng.random() < 0.1 else replaced(_HEALTHY, key, rng.choice(values))
        content = yaml.safe_dump(changed).encode()
        file.write_bytes(flipped(content, rng) if rng.random() < 0.3 else content)
        yield Fault(f"{number} {'.'.join(map(str, key))}", words, expected="either")
