import pytest

from diffplan.cli.table_settings import HELP, TableSettings
from diffplan.errors import ConfigError


def parsed(*words):
    return TableSettings.parse(words)[1]


def test_without_words_everything_has_its_default():
    assert TableSettings.parse([]) == (None, TableSettings(format="text"))


@pytest.mark.parametrize("kind", ["1", "2", "3", "ablation"])
def test_the_table_is_said_in_one_word(kind):
    assert TableSettings.parse(["metric=latched", kind])[0] == kind


def test_lists_and_single_values_are_lists():
    assert parsed("results=a", "allow=versions").results == ["a"]
    assert parsed("results=[a,b/c]", "allow=[versions,data]").allow == ["versions", "data"]


@pytest.mark.parametrize("value", ["0.1", "a=b,c=-1-", "null", "it's ${oc.env:HOME}", "*: [x", "true", "1e3", ""])
def test_a_name_is_taken_letter_by_letter(value):
    assert parsed(f"name={value}").name == value
    assert parsed(f"results={value}").results == [value]


@pytest.mark.parametrize(
    ("to", "expected"), [("a.md", "markdown"), ("a.tex", "latex"), ("a.csv", "csv"), ("a.txt", "text"), ("a", "text")]
)
def test_the_ending_of_the_file_chooses_the_format(to, expected):
    assert parsed(f"to={to}").format == expected
    assert parsed(f"to={to}", "format=csv").format == "csv"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["formt=csv"], "there is no setting 'formt'; did you mean 'format'?"),
        (["format=marktown"], "format cannot be 'marktown'; did you mean 'markdown'?"),
        (["allow=[version]"], "allow cannot be 'version'; did you mean 'versions'?"),
        (["metric=x"], "metric cannot be 'x'; there are score, latched."),
        (["seeds=many"], "Value 'many' of type 'str' could not be converted to Integer; see diffplan-table --help."),
        (["seeds=0"], "seeds must be at least 1, got 0."),
        (["4"], "there is no table '4'; there are 1, 2, 3, ablation."),
        (["ablaton"], "there is no table 'ablaton'; did you mean 'ablation'?"),
        (["1", "2"], "one table can be asked for at a time, got 1 2"),
        (["results"], "there is no table 'results'"),
        (["--formt=csv"], "there is no setting '--formt'; did you mean 'format'?"),
    ],
)
def test_mistakes_are_answered(words, message):
    with pytest.raises(ConfigError) as error:
        TableSettings.parse(words)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_the_help_names_every_setting():
    for key in TableSettings.__dataclass_fields__:
        assert f"  {key}=" in HELP
