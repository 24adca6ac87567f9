import csv

import pytest

from diffplan.report.table.scheduler_cell import SchedulerCell
from diffplan.report.table.scheduler_table import (
    cell_rows,
    csv_text,
    fewest_steps,
    keeps_score,
    markdown,
    reference_cell,
    score_lines,
)


def cell(scheduler: str, steps: int, scores: list[float], **facts) -> SchedulerCell:
    return SchedulerCell(**{
        "key": "", "protocol": "single_task", "scheduler": scheduler, "steps": steps, "calls": steps,
        "seeds": list(range(len(scores))), "scores": scores, "plan_cpu_seconds": 0.002 * steps, "plan_seconds": 0.004,
        "quality": {"through_walls": 0.25}, **facts,
    })  # fmt: skip


FULL = [100.0, 110.0, 90.0, 100.0]
CELLS = [
    cell("ddpm", 2, [50.0, 60.0, 40.0, 55.0]),
    cell("ddpm", 8, FULL),
    cell("ddim", 1, [20.0, 10.0, 30.0, 20.0]),
    cell("ddim", 2, [101.0, 109.0, 91.0, 99.0]),
    cell("ddim", 8, [99.0, 111.0, 89.0, 101.0]),
]


def test_others_are_measured_by_the_trained_scheduler_in_most_steps():
    assert reference_cell(CELLS, "ddpm") is CELLS[1]
    assert reference_cell(CELLS[2:], "ddpm") is CELLS[4]


def test_a_score_is_kept_where_the_same_episodes_are_not_clearly_worse():
    assert keeps_score(CELLS[1], CELLS[1])
    assert keeps_score(CELLS[3], CELLS[1])
    assert not keeps_score(CELLS[0], CELLS[1])
    # Always one below: certain, however far the episodes are apart.
    assert not keeps_score(cell("ddim", 4, [score - 1 for score in FULL]), CELLS[1])


def test_the_fewest_steps_are_those_from_which_on_the_score_stays():
    ddim = CELLS[2:]
    assert fewest_steps(ddim, CELLS[1]) == 2
    assert fewest_steps(CELLS[:2], CELLS[1]) == 8
    worse = cell("ddim", 16, [0.0, 0.0, 0.0, 1.0])
    assert fewest_steps([*ddim, worse], CELLS[1]) is None


def test_the_csv_has_a_row_a_cell():
    columns, rows = cell_rows(CELLS)
    read = list(csv.DictReader(csv_text(CELLS).splitlines()))
    assert len(read) == len(rows) == 5
    assert list(read[0]) == columns
    assert [read[1][name] for name in ("scheduler", "steps", "score_mean", "through_walls")] == [
        "ddpm", "8", "100", "0.25"
    ]  # fmt: skip


def test_scores_are_lines_by_steps_or_by_seconds():
    lines = score_lines(CELLS, "denoising steps")
    assert [place for place, _ in lines["ddpm"]] == [2, 8]
    assert lines["ddpm"][1][1] == CELLS[1].mean
    assert [place for place, _ in score_lines(CELLS, "CPU milliseconds a plan")["ddpm"]] == [
        1e3 * cell.plan_cpu_seconds for cell in CELLS[:2]
    ]


def test_the_guide_has_scores_cost_quality_and_reasons():
    text = markdown(CELLS, "ddpm", ["lms in 2 steps: no"])
    assert "| scheduler | 1 | 2 | 8 | keeps it |" in text
    assert "| ddpm |  | 51.2 ± 3.7 | 100.0 ± 3.5 | 8 |" in text
    assert "| ddim | 2 | 4 | 16 |" in text
    assert "Share of plans through walls:\n\n" in text
    assert text.endswith("Not used:\n\n- lms in 2 steps: no\n")


@pytest.mark.parametrize("protocols", [1, 2])
def test_every_protocol_has_its_part(protocols):
    cells = [cell("ddim", 1, FULL, protocol=f"p{number}") for number in range(protocols)]
    assert markdown(cells, "ddpm", []).count("\n## ") + 1 == protocols
