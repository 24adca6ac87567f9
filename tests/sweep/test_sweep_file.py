import pytest

from diffplan.errors import ConfigError
from diffplan.sweep.sweep_file import SweepFile

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
    assert (read.name, read.command, read.words) == ("mine", "diffplan-train", ("experiment=quickstart",))
    assert read.parameters == {"seed": [0, 1], "backbone.dim": [8]}


def test_launchers_of_wandb_are_no_settings(sweep):
    text = SWEEP.replace("[diffplan-train, ", "['${env}', '${interpreter}', '${program}', ")
    assert SweepFile.find(sweep(text)).words == ("experiment=quickstart",)


@pytest.mark.parametrize(
    ("before", "after", "sentence"),
    [
        ("method: grid", "method: bayes", "method must be grid to be listed cell by cell, got 'bayes'."),
        ("method: grid", "method: grid\nparamters: {}", "no key 'paramters'; did you mean 'parameters'?"),
        ("{value: 8}", "{min: 8, max: 16}", "backbone.dim must have values: [...], for a grid knows no distributions."),
        ("{values: [0, 1]}", "{values: []}", "seed has no values."),
        ("program: diffplan-train", "program: train.py", "program must be diffplan-train or diffplan-plan"),
        (", '${args_no_hyphens}'", "", "command must be a list of words with '${args_no_hyphens}'"),
        ("parameters:", "parameters: # ", "parameters must name a setting and its values."),
        ("method: grid", "method: [", "is no YAML"),
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
