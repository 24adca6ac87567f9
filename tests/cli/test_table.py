import csv
import io
from pathlib import Path
from typing import get_args

import pytest

from diffplan.cli.app import main
from diffplan.cli.table import Aspect, TableSettings
from diffplan.report.comparability import ASPECTS
from tests.report.conftest import VERSIONS, make_episodes, make_result, write_result


@pytest.fixture
def outputs(tmp_path, monkeypatch):
    """Two seeds of the U-Maze in `outputs` of the working folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")
    for seed in (0, 1):
        write_result(make_result(seed=seed), tmp_path / "outputs" / "maze" / f"seed{seed}")
    return tmp_path / "outputs"


def answer(capsys, *words):
    code, sentence = 0, ""
    try:
        main(["table", *words])
    except SystemExit as stopped:
        code, sentence = 1, f"{stopped}\n"
    captured = capsys.readouterr()
    return code, captured.out, captured.err + sentence


def leave(outputs, **facts):
    return write_result(make_result(**facts), outputs / f"more{len(list(outputs.iterdir()))}")


def test_results_stand_beside_the_published_numbers(outputs, capsys):
    code, out, err = answer(capsys, "1")
    assert (code, err) == (0, "")
    (umaze, _) = (line for line in out.splitlines() if "U-Maze" in line)
    assert "113.9 ± 3.1" in umaze
    assert "65.0 ± 4.0 [a,b,c]" in umaze
    assert "[b] partial: 2 training seeds of 3" in out


def test_without_a_number_the_tables_with_results_are_made(outputs, capsys):
    assert [f"Table {n}" in answer(capsys)[1] for n in (1, 2, 3)] == [True, False, False]
    leave(outputs, task="hopper-medium-v2", protocols=["single_task"])
    assert [f"Table {n}" in answer(capsys)[1] for n in (1, 2, 3)] == [True, True, False]


def test_a_table_without_results_is_blank_if_asked_for(outputs, capsys):
    code, out, _ = answer(capsys, "3")
    assert code == 0
    assert "58.7 ± 2.5" in out


def test_other_ablations_are_left_out_and_counted_unless_wanted(outputs, capsys):
    leave(outputs, settings={"backbone.dim": 8}, ablation="backbone.dim=8")
    _, out, err = answer(capsys, "1")
    assert "1 of 3 results have another ablation than default; add --ablation all to see them." in err
    assert "backbone.dim=8" not in out
    for pattern in ("all", "backbone.*"):
        assert "backbone.dim=8" in answer(capsys, "1", f"ablation={pattern}")[1]


@pytest.mark.parametrize(
    "filters", [["name=mine"], ["name=m*"], ["sweep=width"], ["task=maze2d-medium-v1"], ["group=maze2d-medium-v1/mine"]]
)
def test_results_are_chosen_by_what_they_are(outputs, capsys, filters):
    leave(outputs, name="mine", sweep="width", task="maze2d-medium-v1")
    out = answer(capsys, "1", *filters)[1]
    assert "ours: mine" in out
    assert "ours: diffuser" not in out


def test_what_is_not_comparable_is_one_sentence_unless_allowed(outputs, capsys):
    leave(outputs, seed=2, versions=VERSIONS | {"torch": "1.0"})
    code, out, err = answer(capsys, "1")
    assert (code, out) == (1, "")
    assert err.startswith("diffplan table: results that differ in versions are not averaged: outputs/maze/seed0/")
    assert err.count("\n") == 1
    assert "the averaged results differ in versions" in answer(capsys, "1", "allow=versions")[1]


def test_files_that_are_no_results_are_named(outputs, capsys):
    for number in range(7):
        (outputs / f"b{number}").mkdir()
        (outputs / f"b{number}" / "results.json").write_text("{")
    code, _, err = answer(capsys, "1")
    assert code == 0
    assert "skipped outputs/b0/results.json: broken: Invalid JSON" in err
    assert "skipped 2 more that are no results." in err


@pytest.mark.parametrize(
    ("name", "start"),
    [("t.md", "**Table 1"), ("t.tex", r"% \usepackage{booktabs}"), ("t.csv", "table,row,task"), ("t.txt", "Table 1")],
)
def test_a_table_is_written_to_a_file_in_the_format_of_its_ending(outputs, capsys, name, start):
    code, out, err = answer(capsys, "1", f"to=new/{name}")
    assert (code, out, err) == (0, "", f"written: new/{name}\n")
    assert Path("new", name).read_text().startswith(start)


def test_an_ablation_has_a_table_and_a_picture_for_each_protocol(outputs, capsys):
    leave(outputs, settings={"backbone.dim": 8}, ablation="backbone.dim=8", scores=(30.0, 40.0, 50.0, 60.0))
    code, out, err = answer(capsys, "ablation", "picture=width.svg")
    assert code == 0
    assert out.count("score by backbone.dim") == 2
    assert "-20.0 [-20.0, -20.0]" in out
    pictures = [f"width-maze2d-umaze-v1-{protocol}.svg" for protocol in ("single_task", "multi2d")]
    assert sorted(err.splitlines()) == sorted(f"drawn: {name}" for name in pictures)
    answer(capsys, "ablation", "picture=one.png", "protocol=multi2d")
    assert sorted(path.name for path in Path().glob("*.???")) == sorted(["one.png", *pictures])


def test_an_ablation_can_be_had_as_csv(outputs, capsys):
    leave(outputs, settings={"backbone.dim": 8}, ablation="backbone.dim=8")
    out = answer(capsys, "ablation", "protocol=multi2d", "format=csv")[1]
    assert [row["backbone.dim"] for row in csv.DictReader(io.StringIO(out))] == ["8", "32"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["ablation"], "no setting varies among the 2 results of maze2d-umaze-v1, single_task; choose more"),
        (["ablation", "name=x"], "none of the 2 results is meant by these settings"),
        (["results=nowhere"], "results cannot be read from nowhere: No such file or directory."),
        (["name=x"], "none of the 2 results in outputs belongs to a table of the paper"),
        (["1", "to=outputs"], "the table cannot be written to outputs: Is a directory."),
        (
            ["1", "to=outputs/maze/seed0/results.json/t.md"],
            "the table cannot be written to outputs/maze/seed0/results.json/t.md: File exists.",
        ),
        (["ablation", "protocol=multi2d", "picture=a.gif"], "varies among the 2 results"),
        (["taks=1"], "Did you mean --task?"),
    ],
)
def test_mistakes_are_one_sentence(outputs, capsys, words, message):
    code, out, err = answer(capsys, *words)
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert err.startswith("diffplan table: ")
    assert message in err


def test_a_latched_table_says_so(outputs, capsys):
    assert "latched score: every step after first reaching the goal counts" in answer(capsys, "1", "metric=latched")[1]
    leave(outputs, task="hopper-medium-v2", protocols={"single_task": make_episodes([1.0], latched=False)})
    assert "has no latched score" in answer(capsys, "2", "metric=latched")[2]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--formt", "csv"], "Unknown option: --formt. Did you mean --format?"),
        (["--format", "marktown"], 'Did you mean "markdown"?'),
        (["--allow", "version"], 'Did you mean "versions"?'),
        (["--metric", "x"], 'Choose from: "score", "latched".'),
        (["--seeds", "many"], 'unable to convert "many" into int.'),
        (["--seeds", "0"], 'Invalid value "0" for --seeds. Must be >= 1.'),
        (["4"], 'Choose from: "1", "2", "3", "ablation".'),
        (["ablaton"], 'Did you mean "ablation"?'),
        (["1", "2"], "there is no use for '2'; `diffplan table --help` shows what can be given."),
        (["results"], 'Invalid value "results"'),
    ],
)
def test_a_mistyped_option_is_one_sentence(outputs, capsys, words, message):
    code, out, err = answer(capsys, *words)
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert message in err


@pytest.mark.parametrize(
    ("to", "expected"), [("a.md", "markdown"), ("a.tex", "latex"), ("a.csv", "csv"), ("a.txt", "text"), ("a", "text")]
)
def test_the_ending_of_the_file_chooses_the_format(to, expected):
    assert TableSettings(to=to).output_format == expected
    assert TableSettings(to=to, format="csv").output_format == "csv"


def test_results_may_differ_in_what_the_comparison_knows():
    assert get_args(Aspect) == ASPECTS
