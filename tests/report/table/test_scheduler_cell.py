import numpy as np
import pytest

from diffplan.report.table.scheduler_cell import SchedulerCell


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
