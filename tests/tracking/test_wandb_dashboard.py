import importlib.util
import json
import re

import pytest

from diffplan.errors import ConfigError, ResultError
from diffplan.report.results import FoundResults, RunSelection, read_results
from diffplan.report.run_record import FILES_FILE, METRICS_FILE
from diffplan.report.sweep_content import SweepContent
from diffplan.tracking.wandb_dashboard import WandbDashboard
from tests.report.conftest import make_episodes, stored

COSTS = {"decision_gflop": 1.0, "decision_seconds": 0.1}


def width(dim, seed=0, **facts):
    metrics = {f"eval/single_task/{key}": value for key, value in {"normalized_score_mean": 1.0, **COSTS}.items()}
    standing = {
        "settings": {"backbone.dim": dim}, "ablation": f"backbone.dim={dim}", "metrics": metrics, "sweep": "width",
        "protocols": {"single_task": make_episodes([dim, dim + 2.0])}, "seed": seed,
    }  # fmt: skip
    return stored(**standing | facts)


def dashboard(*results, **words):
    content = SweepContent.of(FoundResults(list(results), []), RunSelection(**words))
    return WandbDashboard(content, "lab/diffplan", "diffplan-dashboard sweep=width")


def panels(spec):
    return [
        panel for section in spec["workspace"]["section"]["panelBankConfig"]["sections"] for panel in section["panels"]
    ]


def leaves(node, wanted):
    if isinstance(node, dict):
        return [leaf for key, value in node.items() for leaf in ([value] if key == wanted else leaves(value, wanted))]
    return [leaf for item in node for leaf in leaves(item, wanted)] if isinstance(node, list) else []


def named_keys(spec):
    """Every metric and media key that the panels speak of."""
    return set(re.findall(r"(?:eval|train|critic)/[\w/]+", json.dumps(panels(spec))))


@pytest.fixture
def made(clean_wandb):
    """Made where there is no account and no server."""
    return dashboard(width(8), width(16), sweep="width").spec()


def test_runs_are_chosen_by_their_sweep_and_averaged_over_seeds(made):
    for runset in leaves(made["workspace"], "runSets")[0] + leaves(made["report"], "runSets")[0]:
        (only,) = runset["filters"]["filters"]
        assert only["key"] == {"section": "config", "name": "sweep.value"}
        assert (only["op"], only["value"]) == ("IN", ["width"])
        assert runset["grouping"] == [{"section": "config", "name": "ablation.value"}]


def test_panels_show_score_learning_cost_media_and_episodes(made):
    titles = [section["name"] for section in made["workspace"]["section"]["panelBankConfig"]["sections"]]
    assert [title.partition(": ")[2] for title in titles] == [
        "score", "learning", "cost of a decision", "plans and videos", "episodes",
    ]  # fmt: skip
    scatters = [panel["config"] for panel in panels(made) if panel["viewType"] == "Scatter Plot"]
    assert scatters[0]["xAxis"] == "config:cfg.value.backbone.dim"
    assert scatters[0]["yAxis"] == "summary:eval/single_task/normalized_score_mean"
    bands = [panel["config"] for panel in panels(made) if panel["viewType"] == "Run History Line Plot"]
    assert {(band["groupBy"], band["groupArea"], band["xAxis"]) for band in bands} == {
        ("ablation.value", "stderr", "trainer/global_step")
    }


def test_a_chosen_class_is_found_by_its_target(clean_wandb):
    results = [width(8, settings={"scheduler._target_": f"d.{name}"}, ablation=f"scheduler={name}") for name in "AB"]
    axes = leaves(panels(dashboard(*results).spec()), "xAxis")
    assert "config:cfg.value.scheduler._target_" in axes


def test_a_setting_of_training_is_no_axis_for_runs_that_only_plan(clean_wandb):
    axes = leaves(panels(dashboard(width(8, job="plan"), width(16, job="plan")).spec()), "xAxis")
    assert not any("backbone" in axis for axis in axes)


def test_costs_that_were_not_logged_have_no_panel(clean_wandb):
    spec = dashboard(width(8, metrics={}), width(16)).spec()
    assert not any("decision" in key for key in named_keys(spec))


def test_the_report_has_the_table_the_caveat_and_the_command(clean_wandb):
    data = {"name": "maze2d|umaze", "kind": "regenerated", "sha256": "bb", "num_transitions": 5000}
    spec = dashboard(width(8, data=data), width(16, data=data)).spec()
    introduction, table = leaves([b for b in spec["report"]["blocks"] if b["type"] == "markdown-block"], "content")
    assert "maze2d\\|umaze, 5,000 transitions of regenerated data: not a D4RL result" in introduction
    assert "```\ndiffplan-dashboard sweep=width\n```" in introduction
    assert "| 8 | 9.0 ± 0.7 |" in table


@pytest.mark.parametrize(("words", "names"), [
    ({"group": "maze2d-umaze-v1/diffuser"}, ["task.value", "name.value", "ablation.value"]),
    ({"name": "diff*", "sweep": "width"}, ["sweep.value", "name.value"]),
    ({}, []),
])  # fmt: skip
def test_every_way_to_choose_runs_becomes_a_filter(clean_wandb, words, names):
    spec = dashboard(width(8), width(16), **words).spec()
    filters = leaves(spec["workspace"], "filters")[0]
    assert [one["key"]["name"] for one in filters["filters"]] == names


def test_a_missing_package_is_named(monkeypatch, clean_wandb):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "wandb_workspaces" else find(name))
    with pytest.raises(ConfigError, match=r"pip install 'diffplan\[dashboard\]'"):
        dashboard(width(8))


def test_without_an_account_nothing_is_published(clean_wandb):
    with pytest.raises(ResultError, match="lab/diffplan needs an account"):
        dashboard(width(8), width(16)).publish()


@pytest.fixture
def views(wandb_server, monkeypatch):
    """What a server that knows the project lab/diffplan was given to save."""
    saved, answer = [], wandb_server.query
    node = {"__typename": "Project", "id": "p", "name": "diffplan", "entityName": "lab", "isBenchmark": False,
            "createdAt": "2026-01-01T00:00:00Z", "user": None}  # fmt: skip

    def query(text, variables):
        if re.search("mutation upsertview", text, re.IGNORECASE):
            saved.append(variables)
            project = {"id": "p", "name": variables["projectName"], "entityName": variables["entityName"]}
            view = {**variables, "id": "V1", "project": project, "updatedAt": None}
            return {"upsertView": {"view": view, "inserted": True}}
        if "ProjectInternalId" in text:
            return {"project": {"internalId": "p1"} if variables["projectName"] == "diffplan" else None}
        if "GetProjects" in text:
            page = {"endCursor": "c", "hasNextPage": False}
            return {"models": {"edges": [{"cursor": "c", "node": node}], "pageInfo": page}}
        return answer(text, variables)

    monkeypatch.setattr(wandb_server, "query", query)
    return saved


def test_workspace_and_report_are_saved(views):
    made = dashboard(width(8), width(16), sweep="width")
    addresses = made.publish()
    assert [(view["type"], view["displayName"], view["entityName"], view["projectName"]) for view in views] == [
        ("project-view", "sweep width", "lab", "diffplan"), ("runs", "sweep width", "lab", "diffplan"),
    ]  # fmt: skip
    titles = leaves(json.loads(views[0]["spec"]), "chartTitle")
    assert titles == leaves(made.spec()["workspace"], "chartTitle")
    assert "score against backbone.dim" in titles
    assert json.loads(views[1]["spec"])["blocks"][1]["type"] == "markdown-block"
    assert "/lab/diffplan?nw=" in addresses[0]
    assert "/lab/diffplan/reports/sweep-width--V1" in addresses[1]


def test_a_project_that_is_not_there_gets_nothing(views):
    content = SweepContent.of(FoundResults([width(8), width(16)], []), RunSelection())
    with pytest.raises(ResultError, match=r"cannot be published to lab/typo: .*not found"):
        WandbDashboard(content, "lab/typo", "").publish()
    assert views == []


def test_a_server_that_refuses_is_one_sentence(wandb_server):
    with pytest.raises(ResultError, match="cannot be published to lab/diffplan") as raised:
        dashboard(width(8), width(16)).publish()
    assert "\n" not in str(raised.value)


@pytest.mark.slow
def test_every_key_of_a_panel_is_one_that_runs_log(train_command, clean_wandb):
    for dim in (8, 16):
        assert train_command(f"backbone.dim={dim}", "callbacks.rollout.num_videos=1").returncode == 0
    found = read_results(train_command.folder / "runs")
    content = SweepContent.of(found, RunSelection())
    spec = WandbDashboard(content, "lab/diffplan", "").spec()
    logged = set()
    for run_dir in train_command.run_dirs:
        for name in (METRICS_FILE, FILES_FILE):
            records = [json.loads(line) for line in (run_dir / name).read_text().splitlines()]
            logged |= {key for record in records for key in (record, [record.get("key")])[name == FILES_FILE]}
    assert len(named_keys(spec)) >= 10
    assert named_keys(spec) - logged == set()
    configs = {key.split(".value.")[1] for key in leaves(panels(spec), "xAxis") if key.startswith("config:cfg.")}
    assert configs == {"backbone.dim"}
    assert {stored.result.config["backbone"]["dim"] for stored in content.results} == {8, 16}
