import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from diffplan.errors import ConfigError
from diffplan.sweep.sweep_file import SweepFile, as_word, expand_sweep

SWEEP = """
program: diffplan-train
method: grid
parameters: {seed: {values: [0, 1]}, backbone.dim: {value: 8}}
command: [diffplan-train, experiment=quickstart, '${args_no_hyphens}']
"""


@pytest.fixture
def sweep(tmp_path):
    def write(text):
        path = tmp_path / "mine.yaml"
        path.write_text(text)
        return str(path)

    return write


def test_a_file_is_its_command_its_words_and_its_grid(sweep):
    read = SweepFile.find(sweep(SWEEP))
    assert (read.name, read.verb, read.words) == ("mine", "train", ("experiment=quickstart",))
    assert read.parameters == {"seed": [0, 1], "backbone.dim": [8]}


def test_launchers_of_wandb_are_no_settings(sweep):
    text = SWEEP.replace("[diffplan-train, ", "['${env}', '${interpreter}', '${program}', ")
    assert SweepFile.find(sweep(text)).words == ("experiment=quickstart",)


@pytest.mark.parametrize(
    ("before", "after", "sentence"),
    [
        ("method: grid", "method: bayes", "method must be grid to be listed cell by cell, got 'bayes'."),
        ("method: grid", "method: grid\nparamters: {}", "no key 'paramters'; did you mean 'parameters'?"),
        (
            "{value: 8}",
            "{min: 8, max: 16}",
            "must have values: [...], because a grid has no distributions.",
        ),
        ("{values: [0, 1]}", "{values: []}", "seed has no values."),
        ("program: diffplan-train", "program: train.py", "program must be diffplan-train or diffplan-plan"),
        (", '${args_no_hyphens}'", "", "command must be a list of words with '${args_no_hyphens}'"),
        ("parameters:", "parameters: # ", "parameters must name a setting and its values."),
        ("method: grid", "method: [", "is not YAML"),
    ],
)
def test_what_is_no_grid_is_refused_in_one_sentence(sweep, before, after, sentence):
    with pytest.raises(ConfigError) as refused:
        SweepFile.find(sweep(SWEEP.replace(before, after)))
    assert sentence in str(refused.value)
    assert "\n" not in str(refused.value)


def test_an_unknown_name_is_answered_with_the_nearest():
    with pytest.raises(ConfigError, match="there is no sweep 'warmstart'; did you mean 'warm_start'"):
        SweepFile.find("warmstart")


def test_a_sweep_becomes_its_words_and_its_grid():
    assert expand_sweep(["-m", "+sweep=quickstart_width", "logger=csv_logger"], "train") == [
        "-m",
        "experiment=quickstart",
        "sweep=quickstart_width",
        "backbone.dim=8,16,32",
        "seed=0,1,2",
        "logger=csv_logger",
    ]


def test_what_is_typed_replaces_what_the_file_says():
    words = expand_sweep(
        ["-m", "seed=7", "+sweep=quickstart_width", "experiment=medium_on_cpu", "++backbone.dim=8"], "train"
    )
    assert words == ["-m", "seed=7", "sweep=quickstart_width", "experiment=medium_on_cpu", "++backbone.dim=8"]


def test_a_file_without_a_label_is_called_by_its_name(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(
        "program: diffplan-train\nmethod: grid\nparameters: {seed: {values: [0]}}\ncommand: ['${args_no_hyphens}']\n"
    )
    assert expand_sweep([f"+sweep={path}"], "train") == ["seed=0", "sweep=mine"]


def test_a_command_line_without_a_sweep_is_left_alone():
    assert expand_sweep(["-m", "seed=0,1", "sweep=mine"], "train") == ["-m", "seed=0,1", "sweep=mine"]


@pytest.mark.parametrize(
    ("words", "verb", "sentence"),
    [
        (["+sweep=width"], "train", "has several cells: add -m, as in diffplan train -m +sweep=width"),
        (["-m", "+sweep=warm_start"], "train", "is a sweep of plan: type diffplan plan -m"),
        (["-m", "+sweep=width", "+sweep=horizon"], "train", "one sweep at a time"),
        (["-m", "+sweep=widht"], "train", "did you mean 'width'?"),
    ],
)
def test_a_mistake_is_one_sentence(words, verb, sentence):
    with pytest.raises(ConfigError) as refused:
        expand_sweep(words, verb)
    assert sentence in str(refused.value)


def test_a_sweep_of_one_cell_needs_no_multirun():
    words = expand_sweep(["+sweep=quickstart_width", "seed=0", "backbone.dim=8"], "train")
    assert words[0] == "experiment=quickstart"


@pytest.mark.parametrize(
    ("value", "read"),
    [
        (0.0001, 0.0001),
        (None, None),
        ("null", None),
        (True, True),
        ([1, 2, 4], [1, 2, 4]),
        ([["a", None], "b, c"], [["a", None], "b, c"]),
        ({"lr": 0.1}, {"lr": 0.1}),
        ("[multi2d]", ["multi2d"]),
        ("a,b", "a,b"),
        ("choice(1, 2)", "choice(1, 2)"),
        ("it's", "it's"),
        ("runs/seed0-ab", "runs/seed0-ab"),
        ("", ""),
        ("two words", "two words"),
    ],
)
def test_one_value_of_a_file_is_one_value_of_hydra(value, read):
    override = OverridesParser.create().parse_override(f"key={as_word('key', value)}")
    assert not override.is_sweep_override()
    assert override.value() == read
