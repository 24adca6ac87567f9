"""What ``--dry`` prints: every cell of a sweep, how far it is and what it will cost."""

from collections.abc import Callable, Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from diffplan.sweep.cell import Cell, words_of_cells
from diffplan.sweep.run_cost import RunCost

_FLOP_UNITS = ((1e18, "EFLOP"), (1e15, "PFLOP"), (1e12, "TFLOP"), (1e9, "GFLOP"), (0.0, "MFLOP"))
_WIDTH_OFF_TERMINAL = 160


def show_cells(
    cells: Sequence[Cell],
    estimate: Callable[[Sequence[Cell]], list[RunCost | None]],
    console: Console | None = None,
) -> None:
    """Prints the cells of a sweep; runs and writes nothing.

    Args:
        cells: As they stand.
        estimate: What they cost, in their order; None where that cannot be said.
        console: Where to print; standard output by default.
    """
    console = console or Console()
    if not console.is_terminal:
        console.width = max(console.width, _WIDTH_OFF_TERMINAL)
    costs = estimate(cells)
    common, settings = words_of_cells(cells)
    table = Table(box=SIMPLE_HEAD)
    table.add_column("cell", justify="right")
    table.add_column("settings", overflow="fold")
    table.add_column("state", overflow="fold")
    table.add_column("operations", justify="right")
    table.add_column("time", justify="right")
    for number, (cell, cost) in enumerate(zip(cells, costs, strict=True)):
        table.add_row(str(number), settings[number], _state(cell, cost), *_amounts(cost))
    if common:
        console.print(f"every cell: {common}", markup=False, highlight=False)
    console.print(table)
    console.print(_summary(cells, costs), markup=False, highlight=False)


def _state(cell: Cell, cost: RunCost | None) -> str:
    words = [cell.state]
    if cost is not None and cost.progress and cell.state not in ("finished", "missing"):
        words.append(f"at {cost.progress}")
    return " ".join(words) + (f": {cell.reason}" if cell.reason else "")


def _amounts(cost: RunCost | None) -> tuple[str, str]:
    if cost is None:
        return "-", "-"
    return _operations(cost.flops), f"{'' if cost.is_measured else '~'}{_duration(cost.seconds)}"


def _summary(cells: Sequence[Cell], costs: Sequence[RunCost | None]) -> str:
    left = [cost for cell, cost in zip(cells, costs, strict=True) if cell.state != "finished"]
    known = [cost for cost in left if cost is not None]
    text = f"{len(cells) - len(left)} of {len(cells)} cells are finished."
    if known:
        clock = "GPU" if any(cost.device == "cuda" for cost in known) else "CPU"
        operations = _operations(sum(cost.flops * cost.share_left for cost in known))
        seconds = _duration(sum(cost.seconds * cost.share_left for cost in known))
        text += f" What is left takes {operations} and {seconds} of {clock} time."
    if len(known) < len(left):
        unknown = len(left) - len(known)
        text += f" The cost of {unknown} {'cell' if unknown == 1 else 'cells'} is unknown."
    if any(not cost.is_measured for cost in known):
        text += " ~ is from a few steps timed on this machine, without data, evaluation and pictures."
    return text


def _operations(flops: float) -> str:
    scale, unit = next((scale, unit) for scale, unit in _FLOP_UNITS if flops >= scale)
    return f"{flops / (scale or 1e6):.3g} {unit}"


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.2g} s"
    if seconds < 3600:
        return f"{seconds / 60:.1f} min"
    return f"{seconds / 3600:.1f} h"
