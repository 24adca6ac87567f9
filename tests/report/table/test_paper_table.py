import numpy as np
import pytest

from diffplan.report.table.paper_table import TABLES, PaperTable
from tests.task_facts import TASKS, task_facts

# As the paper prints them; they are computed here.
AVERAGES = {
    (1, "Single-task average"): {"MPPI": 16.2, "CQL": 7.7, "IQL": 47.0, "Diffuser": 119.5},
    (1, "Multi-task average"): {"MPPI": 21.5, "IQL": 16.9, "Diffuser": 129.4},
    (2, "Average"): {
        "BC": 51.9, "CQL": 77.6, "IQL": 77.0, "DT": 74.7, "TT": 78.9, "MOPO": 42.1, "MOReL": 72.9, "MBOP": 47.8,
        "Diffuser": 77.5,
    },
    (3, "Average"): {"BCQ": 0.0, "CQL": 8.1, "Diffuser": 54.4},
}  # fmt: skip


@pytest.mark.parametrize(("number", "average"), AVERAGES)
def test_the_rows_have_the_averages_that_the_paper_prints(number, average):
    (section,) = (section for section in PaperTable.read(number).sections if section.average == average)
    for method, printed in AVERAGES[number, average].items():
        # To the printed digit: MOReL's nine cells average to 72.97, which the paper prints as 72.9.
        assert np.mean([row.scores[method][0] for row in section.rows]) == pytest.approx(printed, abs=0.08), method


def test_the_diffuser_column_is_what_the_tasks_say():
    compared = 0
    for number in (1, 2):
        for row in PaperTable.read(number).rows:
            task = task_facts(row.task)
            assert tuple(task["paper_scores"][row.protocol]) == row.scores["Diffuser"]
            compared += 1
    assert compared == 15


def test_every_score_that_a_task_has_is_in_a_table():
    in_tables = {(row.task, row.protocol) for number in TABLES for row in PaperTable.read(number).rows}
    for task in map(task_facts, TASKS):
        assert {(task["name"], protocol) for protocol in task["paper_scores"] or {}} <= in_tables


@pytest.mark.parametrize("number", TABLES)
def test_every_score_belongs_to_a_column(number):
    paper = PaperTable.read(number)
    assert {method for row in paper.rows for method in row.scores} == set(paper.methods)
    assert paper.source
