import json
import re

import pytest

from diffplan.cli.app import main as app_main
from diffplan.cli.dashboard import DashboardSettings
from diffplan.errors import ConfigError
from tests.report.conftest import make_episodes, make_result, write_result


def main(words):
    app_main(["dashboard", *words])


@pytest.fixture
def runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for dim in (16, 32):
        for seed in (0, 1):
            protocols = {"single_task": make_episodes([dim, dim + 2.0 + seed])}
            ablation = f"backbone.dim={dim}"
            result = make_result(
                seed, settings={"backbone.dim": dim}, ablation=ablation, protocols=protocols, sweep="width"
            )
            write_result(result, tmp_path / "outputs" / f"dim{dim}-seed{seed}")
    return tmp_path


def refused(capsys, *words):
    with pytest.raises(SystemExit) as stopped:
        main(list(words))
    assert capsys.readouterr().out == ""
    sentence = str(stopped.value)
    assert sentence.startswith("diffplan dashboard: ")
    assert "\n" not in sentence
    return sentence


def test_a_page_is_made_from_the_default_folder(runs, capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["diffplan", "dashboard", "--sweep", "width"])
    main(["--sweep", "width"])
    assert re.fullmatch(r"written: dashboard.html \(\d\.\d MiB\)\n", capsys.readouterr().out)
    assert "diffplan dashboard --sweep width" in (runs / "dashboard.html").read_text()


def test_several_folders_are_one_page_with_failed_runs_named(runs):
    other = runs / "elsewhere" / "run"
    other.mkdir(parents=True)
    (other / "config.yaml").write_text(
        "task: {name: maze2d-umaze-v1}\nname: diffuser\nsweep: width\nablation: x\nseed: 2\n"
    )
    (other / "failure.txt").write_text("the data is gone\n")
    main(["results=[outputs,elsewhere]", "to=new/page.html"])
    assert "the data is gone" in (runs / "new" / "page.html").read_text()


def test_a_baseline_can_be_named(runs):
    main(["baseline=16", "to=a.html"])
    assert (runs / "a.html").read_text().count(">baseline<") == 1


def test_what_w_and_b_would_get_is_written_without_a_server(runs, capsys):
    main(["sweep=width", "wandb=lab/diffplan"])
    assert capsys.readouterr().out == "written: dashboard.json; --publish sends it to lab/diffplan\n"
    assert json.loads((runs / "dashboard.json").read_text())["project"] == "diffplan"


def test_mistakes_are_one_sentence(runs, capsys):
    assert "Did you mean --sweep?" in refused(capsys, "swep=width")
    assert "no run was found for sweep x; there are the sweeps width" in refused(capsys, "sweep=x")
    assert "results cannot be read from nowhere" in refused(capsys, "results=nowhere")


def test_a_page_that_cannot_be_written_is_one_sentence(runs, capsys):
    assert "cannot be written to outputs/dim16-seed0/results.json/a.html" in refused(
        capsys, "to=outputs/dim16-seed0/results.json/a.html"
    )


def test_a_page_is_made_where_nothing_else_is_said():
    settings = DashboardSettings(sweep="width")
    assert (settings.place, settings.is_page, settings.is_spec) == ("dashboard.html", True, False)
    assert not settings.reads_wandb


def test_a_project_is_checked_without_a_server_until_it_is_published():
    settings = DashboardSettings(wandb="lab/diffplan")
    assert (settings.place, settings.is_spec, settings.reads_wandb) == ("dashboard.json", True, False)
    published = DashboardSettings(wandb="lab/diffplan", publish=True)
    assert (published.place, published.reads_wandb) == (None, True)
    assert not DashboardSettings(wandb="lab/diffplan", publish=True, results=["outputs"]).reads_wandb


def test_a_page_of_a_project_is_made_from_its_runs():
    assert DashboardSettings(wandb="lab/diffplan", to="page.html").reads_wandb


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"publish": True}, "--publish needs --wandb entity/project, got none."),
        ({"publish": True, "wandb": "diffplan"}, "--publish needs --wandb entity/project, got diffplan."),
        ({"to": "spec.json"}, "--to spec.json needs --wandb entity/project"),
        ({"to": "page.pdf"}, "--to must name an .html page or a .json file, got 'page.pdf'."),
    ],
)
def test_options_that_do_not_go_together_are_refused(options, message):
    with pytest.raises(ConfigError) as raised:
        DashboardSettings(**options)
    assert message in str(raised.value)
