"""The list that ``--dry`` prints: every cell of a sweep, its state, and the time that finished cells took."""

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from diffplan.run.folder import RunDir
from diffplan.run.result import Result
from diffplan.sweep.cell import Cell, State, words_of_cells
from diffplan.terminal import plain_console

_WIDTH_OFF_TERMINAL = 160


def show_cells(cells: Sequence[Cell], console: Console | None = None) -> None:
    """Prints the cells of a sweep; starts no run and writes no file.

    Args:
        cells: The cells.
        console: Where to print; standard output by default.
    """
    console = console or plain_console()
    if not console.is_terminal:
        console.width = max(console.width, _WIDTH_OFF_TERMINAL)
    shared, settings = words_of_cells(cells)
    times = [_seconds(cell) for cell in cells]
    table = Table(box=SIMPLE_HEAD)
    table.add_column("cell", justify="right")
    table.add_column("settings", overflow="fold")
    table.add_column("state")
    table.add_column("wall time", justify="right", no_wrap=True)
    table.add_column("CPU time", justify="right", no_wrap=True)
    for number, (cell, time) in enumerate(zip(cells, times, strict=True)):
        table.add_row(str(number), settings[number], cell.state, *(["-", "-"] if time is None else map(duration, time)))
    if shared:
        console.print(f"every cell: {shared}", markup=False, highlight=False)
    console.print(table)
    for number, cell in enumerate(cells):
        if cell.reason:
            console.print(f"cell {number} {cell.state}: {cell.reason}", markup=False, highlight=False, soft_wrap=True)
    console.print(_summary(cells, [time for time in times if time is not None]), markup=False, highlight=False)


def duration(seconds: float) -> str:
    """Writes a time with its unit: seconds, minutes or hours."""
    if seconds < 60:
        return f"{seconds:.2g} s"
    if seconds < 3600:
        return f"{seconds / 60:.1f} min"
    return f"{seconds / 3600:.1f} h"


def _summary(cells: Sequence[Cell], times: Sequence[tuple[float, float]]) -> str:
    counts = {state: sum(cell.state == state for cell in cells) for state in State}
    others = [f"{count} {state}" for state, count in counts.items() if count and state != State.FINISHED]
    text = ", ".join([f"{counts[State.FINISHED]} of {len(cells)} cells are finished", *others]) + "."
    if times:
        wall, cpu = (sum(column) for column in zip(*times, strict=True))
        text += f" The finished cells took {duration(wall)} of wall time and {duration(cpu)} of CPU time."
    return text


def _seconds(cell: Cell) -> tuple[float, float] | None:
    """Wall and CPU seconds of a finished cell's training and planning; None if they are unknown."""
    result = RunDir(cell.run_dir).result() if cell.run_dir is not None and cell.state == State.FINISHED else None
    return None if result is None else (_spent(result, "seconds"), _spent(result, "cpu_seconds"))


def _spent(result: Result, clock: str) -> float:
    trained = sum(result.cost.get(f"{stage}_{clock}", 0.0) for stage in ("critic", "train"))
    planned = (getattr(played, f"decision_{clock}") * sum(played.lengths) for played in result.protocols.values())
    return trained + sum(planned)
