import io

from rich.console import Console

from diffplan.sweep.cell import Cell, State
from diffplan.sweep.cell_list import duration, show_cells
from tests.report.conftest import make_episodes, make_result, write_result
from tests.sweep.test_cell import look

CELLS = [
    Cell(("sweep=x", "seed=0"), None, State.FINISHED),
    Cell(("sweep=x", "seed=1"), None, State.RUNNING, "another process is working in runs/seed1"),
    Cell(("sweep=x", "seed=2"), None, State.FAILED, "horizon=30 does not fit."),
    Cell(("sweep=x", "seed=3"), None, State.MISSING),
]


def shown(cells, **options):
    console = Console(file=io.StringIO(), **options)
    show_cells(cells, console)
    return console.file.getvalue()


def rows_of(text):
    return [" ".join(line.split()) for line in text.splitlines() if line.strip()]


def test_every_cell_has_its_state_and_the_reason_for_it():
    rows = rows_of(shown(CELLS))
    assert rows[0] == "every cell: sweep=x"
    assert "0 seed=0 finished - -" in rows
    assert "1 seed=1 running - -" in rows
    assert "2 seed=2 failed - -" in rows
    assert "3 seed=3 missing - -" in rows
    assert "cell 1 running: another process is working in runs/seed1" in rows
    assert "cell 2 failed: horizon=30 does not fit." in rows
    assert rows[-1] == "1 of 4 cells are finished, 1 running, 1 failed, 1 missing."


def test_a_finished_cell_shows_the_time_of_its_training_and_planning(tmp_path):
    episodes = make_episodes([1.0, 2.0])
    spent = {"train_seconds": 60.0, "train_cpu_seconds": 90.0, "critic_seconds": 30.0, "critic_cpu_seconds": 30.0}
    played = {"single_task": episodes, "multi2d": episodes}
    write_result(make_result(protocols=played).model_copy(update={"cost": spent}), tmp_path)
    rows = rows_of(shown([look(tmp_path, lambda config: True)]))
    planned = 2 * sum(episodes.lengths)
    wall, cpu = 90 + planned * episodes.decision_seconds, 120 + planned * episodes.decision_cpu_seconds
    assert f"0 seed=0 finished {duration(wall)} {duration(cpu)}" in rows
    assert rows[-1].endswith(f"took {duration(wall)} of wall time and {duration(cpu)} of CPU time.")


def test_a_log_file_gets_neither_escape_codes_nor_wrapped_settings():
    cells = [Cell((f"seed={seed}", "backbone.dim_multipliers=[1,2,4,8]" * 3), None, State.MISSING) for seed in (0, 1)]
    text = shown(cells, width=80)
    assert "\x1b" not in text
    assert "every cell: " + cells[0].overrides[1] in " ".join(rows_of(text))


def test_80_columns_are_enough_for_long_settings():
    cells = [Cell((f"task=hopper-medium-expert-v2,{'x' * 100}", f"a={n}"), None, State.FAILED, "no.") for n in (0, 1)]
    rows = shown(cells, width=80, force_terminal=True, color_system=None).splitlines()
    assert max(map(len, rows)) <= 80


def test_a_time_has_the_unit_that_reads_best():
    assert [duration(seconds) for seconds in (0.123, 59.0, 90.0, 7200.0)] == ["0.12 s", "59 s", "1.5 min", "2.0 h"]
