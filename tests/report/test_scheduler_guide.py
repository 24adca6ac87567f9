import numpy as np
import pytest

from diffplan.report.scheduler_guide import (
    SchedulerCell,
    cell_table,
    fewest_steps,
    keeps_score,
    markdown,
    reference_cell,
)


@pytest.fixture
def cell():
    return SchedulerCell(
        key="a", protocol="single_task", scheduler="ddim", steps=4, calls=4, seeds=[0, 1, 2], scores=[1.0, 2.0, 6.0],
        plan_cpu_seconds=0.1, plan_seconds=0.2, quality={"plan_value": float("nan")},
    )  # fmt: skip


def test_a_cell_read_again_is_the_cell(cell, tmp_path):
    cell.write(tmp_path / "cells" / "x.json")
    read = SchedulerCell.read(tmp_path / "cells" / "x.json", "a")
    assert read is not None
    assert read.model_dump_json() == cell.model_dump_json()


def test_no_file_a_broken_one_and_other_settings_count_as_not_played(cell, tmp_path):
    path = tmp_path / "x.json"
    assert SchedulerCell.read(path, "a") is None
    cell.write(path)
    assert SchedulerCell.read(path, "b") is None
    path.write_text(path.read_text()[:40])
    assert SchedulerCell.read(path, "a") is None


def test_mean_and_standard_error_are_those_of_the_scores(cell):
    assert cell.mean == 3.0
    assert cell.standard_error == pytest.approx(np.std([1, 2, 6]) / np.sqrt(3))


def guide_cell(scheduler: str, steps: int, scores: list[float], **facts) -> SchedulerCell:
    return SchedulerCell(**{
        "key": "", "protocol": "single_task", "scheduler": scheduler, "steps": steps, "calls": steps,
        "seeds": list(range(len(scores))), "scores": scores, "plan_cpu_seconds": 0.002 * steps, "plan_seconds": 0.004,
        "quality": {"through_walls": 0.25}, **facts,
    })  # fmt: skip


FULL = [100.0, 110.0, 90.0, 100.0]
CELLS = [
    guide_cell("ddpm", 2, [50.0, 60.0, 40.0, 55.0]),
    guide_cell("ddpm", 8, FULL),
    guide_cell("ddim", 1, [20.0, 10.0, 30.0, 20.0]),
    guide_cell("ddim", 2, [101.0, 109.0, 91.0, 99.0]),
    guide_cell("ddim", 8, [99.0, 111.0, 89.0, 101.0]),
]


def test_others_are_measured_by_the_trained_scheduler_in_most_steps():
    assert reference_cell(CELLS, "ddpm") is CELLS[1]
    assert reference_cell(CELLS[2:], "ddpm") is CELLS[4]


def test_a_score_is_kept_where_the_same_episodes_are_not_clearly_worse():
    assert keeps_score(CELLS[1], CELLS[1])
    assert keeps_score(CELLS[3], CELLS[1])
    assert not keeps_score(CELLS[0], CELLS[1])
    # Always one below: certain, however far the episodes are apart.
    assert not keeps_score(guide_cell("ddim", 4, [score - 1 for score in FULL]), CELLS[1])


def test_the_fewest_steps_are_those_from_which_on_the_score_stays():
    ddim = CELLS[2:]
    assert fewest_steps(ddim, CELLS[1]) == 2
    assert fewest_steps(CELLS[:2], CELLS[1]) == 8
    worse = guide_cell("ddim", 16, [0.0, 0.0, 0.0, 1.0])
    assert fewest_steps([*ddim, worse], CELLS[1]) is None


def test_the_table_has_a_row_a_cell():
    table = cell_table(CELLS)
    assert len(table) == 5
    assert table.loc[1, ["scheduler", "steps", "score_mean", "through_walls"]].tolist() == ["ddpm", 8, 100.0, 0.25]


def test_the_guide_has_scores_cost_quality_and_reasons():
    text = markdown(CELLS, "ddpm", ["lms in 2 steps: no"])
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("|")]
    assert ["scheduler", "1", "2", "8", "keeps it"] in rows
    assert ["ddpm", "", "51.2 ± 3.7", "100.0 ± 3.5", "8"] in rows
    assert ["ddim", "2", "4", "16"] in rows
    assert "Share of plans through walls:\n\n" in text
    assert text.endswith("Not used:\n\n- lms in 2 steps: no\n")


@pytest.mark.parametrize("protocols", [1, 2])
def test_every_protocol_has_its_part(protocols):
    cells = [guide_cell("ddim", 1, FULL, protocol=f"p{number}") for number in range(protocols)]
    assert markdown(cells, "ddpm", []).count("\n## ") + 1 == protocols
