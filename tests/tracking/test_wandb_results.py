import json
import socket

import pytest

from diffplan.cli.app import main
from diffplan.errors import ResultError
from diffplan.report.results import read_wandb_results
from diffplan.run.result import RESULT_KEY
from diffplan.tracking.wandb_logger import WandbLogger
from tests.report.conftest import make_result, write_result


@pytest.fixture
def project(wandb_server):
    """A server that can also list its runs."""
    answer = wandb_server.query

    def query(text, variables):
        if "query Runs" not in text:
            return answer(text, variables)
        runs = {name: run for name, run in wandb_server.runs.items() if run["project"] == variables["project"]}
        if not runs:
            return {"project": None}
        edges = [{"node": node(name), "cursor": name} for name in sorted(runs)]
        pages = {"endCursor": None, "hasNextPage": False}
        return {"project": {"internalId": "1", "runCount": len(runs), "readOnly": False,
                            "runs": {"edges": edges, "pageInfo": pages}}}  # fmt: skip

    def node(name):
        run = wandb_server.runs[name]
        times = dict.fromkeys(("createdAt", "heartbeatAt"), "2026-01-01T00:00:00")
        state = {0: "finished", 1: "crashed"}.get(run.get("exit_code"), "running")
        return wandb_server._bucket(name) | times | {
            "state": state, "group": None, "jobType": None, "commit": None, "readOnly": False, "notes": None,
            "systemMetrics": "{}", "user": {"name": "ada", "username": "ada"}, "historyKeys": {}, "projectId": "1",
        }  # fmt: skip

    wandb_server.query = query
    return wandb_server


def log(folder, result=None, status="success", summary=None):
    logger = WandbLogger(project="diffplan", save_dir=folder, mode="online")
    logger.experiment.summary.update(summary or {})
    if result is not None:
        logger.log_result(result)
    logger.finalize(status)


def test_the_same_table_comes_from_folders_and_from_wandb(project, tmp_path, capsys):
    for seed in (0, 1):
        result = make_result(seed=seed, scores=[1.0, 2.5, float(seed)])
        write_result(result, tmp_path / f"run{seed}")
        log(tmp_path / f"run{seed}", result)
    columns = []
    for words in (["wandb=lab/diffplan"], [f"results={tmp_path}"], [f"results={tmp_path}", "wandb=lab/diffplan"]):
        main(["table", "1", *words])
        columns.append(capsys.readouterr().out)
    assert columns[0] == columns[1] == columns[2]
    assert "ours: diffuser" in columns[0]


def test_runs_without_a_result_are_named_with_their_state(project, tmp_path):
    log(tmp_path / "good", make_result())
    log(tmp_path / "crashed", status="failed")
    log(tmp_path / "broken", summary={RESULT_KEY: json.dumps({"schema_version": 9})})
    found = read_wandb_results("lab/diffplan")
    assert [stored.result for stored in found.results] == [make_result()]
    assert found.results[0].source.startswith(project.url)
    assert sorted(reason for _, reason in found.skipped)[0] == "no result: state crashed"
    assert len(found.skipped) == 2


@pytest.mark.parametrize("name", ["lab/nothing", "nothing"])
def test_a_project_that_is_not_there_is_one_sentence(project, name):
    with pytest.raises(ResultError, match=rf"from W&B's project {name}: Could not find project nothing\.$"):
        read_wandb_results(name)


@pytest.mark.parametrize("name", ["a/b/c", "/b", ""])
def test_a_project_must_be_named_with_its_entity_at_most(name):
    with pytest.raises(ResultError, match="wandb must be entity/project"):
        read_wandb_results(name)


def test_without_an_account_it_says_what_to_do(clean_wandb):
    with pytest.raises(ResultError, match="run `wandb login` or set WANDB_API_KEY"):
        read_wandb_results("lab/diffplan")


def test_a_server_that_does_not_answer_is_one_sentence(clean_wandb):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    clean_wandb.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{port}")
    clean_wandb.setenv("WANDB_API_KEY", "0123456789abcdef" * 2 + "01234567")
    with pytest.raises(ResultError, match="results cannot be read from W&B's project lab/diffplan: ") as error:
        read_wandb_results("lab/diffplan", timeout_seconds=2)
    assert "\n" not in str(error.value)
