import io

from rich.console import Console

from diffplan.sweep.cell import Cell
from diffplan.sweep.cell_table import show_cells
from diffplan.sweep.run_cost import RunCost

CELLS = [
    Cell(("sweep=x", "seed=0"), None, "finished"),
    Cell(("sweep=x", "seed=1"), None, "started"),
    Cell(("sweep=x", "seed=2"), None, "failed", "horizon=30 does not fit."),
    Cell(("sweep=x", "seed=3"), None, "missing"),
]


def shown(cells, costs):
    console = Console(file=io.StringIO())
    show_cells(cells, lambda cells: costs, console)
    return console.file.getvalue()


def test_every_cell_has_its_state_and_its_cost():
    costs = [
        RunCost(4e12, 7200.0, "cpu", True),
        RunCost(4e12, 7200.0, "cpu", True, "step 500 of 1000", 0.5),
        None,
        RunCost(2e15, 60.0, "cpu", False),
    ]
    text = shown(CELLS, costs)
    rows = [" ".join(line.split()) for line in text.splitlines() if line.strip()]
    assert rows[0] == "every cell: sweep=x"
    assert "0 seed=0 finished 4 TFLOP 2.0 h" in rows
    assert "1 seed=1 started at step 500 of 1000 4 TFLOP 2.0 h" in rows
    assert "2 seed=2 failed: horizon=30 does not fit. - -" in rows
    assert "3 seed=3 missing 2 PFLOP ~1.0 min" in rows
    assert "1 of 4 cells are finished. What is left takes 2 PFLOP and 1.0 h of CPU time" in " ".join(rows)
    assert "The cost of 1 cell is unknown." in " ".join(rows)


def test_a_finished_sweep_has_nothing_left():
    text = shown(CELLS[:1], [RunCost(4e12, 7200.0, "cpu", True)])
    assert "1 of 1 cells are finished.\n" in text
    assert "left" not in text
