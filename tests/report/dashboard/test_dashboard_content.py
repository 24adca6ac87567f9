import pytest

from diffplan.errors import ResultError
from diffplan.report.dashboard.dashboard_content import DashboardContent
from diffplan.report.dashboard.dashboard_selection import DashboardSelection
from diffplan.report.json_lines import JsonLines
from diffplan.report.result_folder import ResultFolder
from diffplan.report.run_record import EVENTS_FILE
from tests.report.conftest import VERSIONS, stored


def content(*results, skipped=(), unfinished=(), **words):
    found = ResultFolder(list(results), list(skipped))
    return DashboardContent.of(found, DashboardSelection(**words), unfinished)


def test_only_what_was_asked_for_is_shown_and_what_was_skipped_is_kept():
    found = content(stored(sweep="a"), stored(sweep="b"), skipped=[("x.json", "broken")], sweep="a")
    assert [one.result.sweep for one in found.results] == ["a"]
    assert found.skipped == [("x.json", "broken")]


def test_asking_for_nothing_that_is_there_names_what_is():
    with pytest.raises(ResultError, match=r"no run of sweep c; there are the sweeps a, b and the names diffuser\.$"):
        content(stored(sweep="a"), stored(sweep="b"), sweep="c")
    with pytest.raises(ResultError, match="no result lies there at all"):
        content()


def test_data_that_is_not_d4rl_s_is_said_to_be_no_d4rl_result():
    data = {"name": "maze2d-umaze-v1", "kind": "regenerated", "sha256": "bb", "num_transitions": 5000}
    made = content(stored(data=data))
    assert made.data_texts == ["maze2d-umaze-v1, 5,000 transitions of regenerated data: not a D4RL result"]
    assert not made.is_d4rl
    assert content(stored()).is_d4rl


def test_cells_on_other_versions_are_named():
    found = content(stored(), stored(settings={"backbone.dim": 8}, versions=VERSIONS | {"torch": "2.9.0"}))
    assert found.differences == ["Runs of maze2d-umaze-v1 differ in versions: torch 2.13.0 / 2.9.0."]
    assert len(found.versions) == 2


def test_each_command_is_shown_once(tmp_path):
    runs = []
    for seed in (0, 1):
        words = ["/somewhere/bin/diffplan-train", "-m", "seed=0,1", "name=a b"]
        JsonLines(tmp_path / f"seed{seed}" / EVENTS_FILE).append({"event": "start", "command": words})
        runs.append(stored(seed=seed, source=str(tmp_path / f"seed{seed}" / "results.json")))
    assert content(*runs).commands() == ["diffplan-train -m seed=0,1 'name=a b'"]
