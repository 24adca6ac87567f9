"""Words and options of the commands without settings that cannot be meant."""

import itertools
import random
from collections.abc import Iterator
from pathlib import Path

from fault import Fault, Inputs

GROUP = "words"
_VALUES = (
    "", " ", "-", "--", "a" * 300, "../../x", "/dev/null", "/dev/zero", "/proc/self/mem", "~nobody/x", "nan", "-1",
    "0", "1e400", "9" * 5000, "[,]", "[", "{", "null", "None", "*", "[[x]]", "a/b/c/d", "/nothing",
    "entity/project", "[red]x",
)  # fmt: skip
_OPTIONS = {
    "table": ("results", "name", "sweep", "task", "group", "allow", "baseline", "protocol", "ablation", "metric",
              "seeds", "picture", "format", "to"),
    "dashboard": ("results", "name", "sweep", "task", "group", "allow", "baseline", "to", "max-mib"),
    "export": ("checkpoint", "to", "critic", "license"),
    "import": ("from", "to", "task", "critic", "statistics", "data-file", "prediction-type", "horizon",
               "epoch", "name"),
}  # fmt: skip
_WORDS = (
    ["table", "4"], ["table", "ablation", "extra"], ["tabel"], ["table", "--no"], ["table", "--seeds"],
    ["table", "results=[,]"], ["table", "results=[[]]"], ["export"], ["import", "--from"], ["dashboard", "--publish"],
    ["dashboard", "--to", "page.pdf"],
    ["completion", "tcsh"], ["data", "fetch", "nothing"], ["data", "inspect"], ["plan"], ["plan", "checkpoint="],
    ["plan", "checkpoint=nothing"], ["schedulers", "checkpoint=/dev/zero"],
    ["guidance"], ["guidance", "checkpoint=nothing"], ["plan", "checkpoint=[1]"], ["--nothing"],
    ["train", "--dry", "--dry", "x"], ["data", "list", "extra"], ["data", "verify", ""],
    ["table", "--results", "\udcff"],
)  # fmt: skip


def faults(rng: random.Random, inputs: Inputs, place: Path) -> Iterator[Fault]:
    """Yields command lines without end."""
    for words in _WORDS:
        yield Fault(" ".join(words), words)
    values = (*_VALUES, inputs.escape, str(inputs.secret_file), str(inputs.maze_run), str(inputs.data_file))
    for number in itertools.count():
        verb = rng.choice(list(_OPTIONS))
        options = {"results": str(inputs.maze_run)} if verb in ("table", "dashboard") else {}
        options |= {"checkpoint": str(inputs.maze_run)} if verb == "export" else {}
        options |= {"from": str(inputs.export)} if verb == "import" else {}
        options |= {"to": str(place / "new.html")} if verb != "table" else {}
        for option in rng.sample(_OPTIONS[verb], rng.choice((1, 1, 2))):
            value = rng.choice(values)
            # Nothing is written elsewhere than below the folder of the fault.
            if option not in ("to", "picture") or not value.startswith(("/", "..")):
                options[option] = value
        words = [word for option, value in options.items() for word in (f"--{option}", value)]
        yield Fault(f"{number} {verb} {' '.join(options)}", [verb, *words], expected="either")
