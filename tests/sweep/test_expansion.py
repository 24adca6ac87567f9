import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from diffplan.errors import ConfigError
from diffplan.sweep.expansion import as_word, expand_sweep


def test_a_sweep_becomes_its_words_and_its_grid():
    assert expand_sweep(["-m", "+sweep=quickstart_width", "logger=csv_logger"], "diffplan-train") == [
        "-m",
        "experiment=quickstart",
        "sweep=quickstart_width",
        "backbone.dim=8,16,32",
        "seed=0,1,2",
        "logger=csv_logger",
    ]


def test_what_is_typed_replaces_what_the_file_says():
    words = expand_sweep(
        ["-m", "seed=7", "+sweep=quickstart_width", "experiment=medium_on_cpu", "++backbone.dim=8"], "diffplan-train"
    )
    assert words == ["-m", "seed=7", "sweep=quickstart_width", "experiment=medium_on_cpu", "++backbone.dim=8"]


def test_a_file_without_a_label_is_called_by_its_name(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(
        "program: diffplan-train\nmethod: grid\nparameters: {seed: {values: [0]}}\ncommand: ['${args_no_hyphens}']\n"
    )
    assert expand_sweep([f"+sweep={path}"], "diffplan-train") == ["seed=0", "sweep=mine"]


def test_a_command_line_without_a_sweep_is_left_alone():
    assert expand_sweep(["-m", "seed=0,1", "sweep=mine"], "diffplan-train") == ["-m", "seed=0,1", "sweep=mine"]


@pytest.mark.parametrize(
    ("words", "command", "sentence"),
    [
        (["+sweep=width"], "diffplan-train", "has several cells: add -m, as in diffplan-train -m +sweep=width"),
        (["-m", "+sweep=warm_start"], "diffplan-train", "is a sweep of diffplan-plan: type diffplan-plan -m"),
        (["-m", "+sweep=width", "+sweep=horizon"], "diffplan-train", "one sweep at a time"),
        (["-m", "+sweep=widht"], "diffplan-train", "did you mean 'width'?"),
    ],
)
def test_a_mistake_is_one_sentence(words, command, sentence):
    with pytest.raises(ConfigError) as refused:
        expand_sweep(words, command)
    assert sentence in str(refused.value)


def test_a_sweep_of_one_cell_needs_no_multirun():
    words = expand_sweep(["+sweep=quickstart_width", "seed=0", "backbone.dim=8"], "diffplan-train")
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
