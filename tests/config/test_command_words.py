from dataclasses import dataclass, field

import pytest

from diffplan.config.command_words import MISSING, closest, parse_words
from diffplan.errors import ConfigError


@dataclass
class Words:
    """Some of every kind."""

    place: str | None = None
    folders: list[str] | None = None
    allow: list[str] = field(default_factory=list)
    size: float = 1.5
    send: bool = False


def parse(*words):
    return parse_words(words, Words, "diffplan-some")


def test_values_have_the_types_of_their_fields():
    assert parse("place=7", "folders=[a,b c]", "allow=data", "size=3", "send=true") == Words(
        "7", ["a", "b c"], ["data"], 3.0, True
    )
    assert parse() == Words()


@pytest.mark.parametrize("text", ["it's", "a: b", "[x", "${x}", "~/runs", "a=b", " "])
def test_text_stays_what_was_typed(text):
    assert parse(f"place={text}").place == text


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("plce=x", "there is no setting 'plce'; did you mean 'place'?"),
        ("xyz=1", "there is no setting 'xyz'; there are place, folders, allow, size, send."),
        ("place", "settings are written key=value, got 'place'; see diffplan-some --help."),
        ("size=big", "Value 'big' of type 'str' could not be converted to Float; see diffplan-some --help."),
        ("send=perhaps", "not a valid bool"),
    ],
)
def test_mistakes_are_named_in_one_sentence(word, message):
    with pytest.raises(ConfigError) as raised:
        parse(word)
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


@dataclass
class Needs:
    """One that must be given, by another name."""

    source: str = field(default=MISSING, metadata={"word": "from"})
    rows: int | None = None


def test_what_has_no_default_must_be_given():
    assert parse_words(["from=7", "rows=3"], Needs, "diffplan-some") == Needs("7", 3)
    assert parse_words(["from=7", "rows=null"], Needs, "diffplan-some") == Needs("7")
    with pytest.raises(ConfigError, match=r"^from=\.\.\. must be given; see diffplan-some --help\.$"):
        parse_words(["rows=3"], Needs, "diffplan-some")
    with pytest.raises(ConfigError, match="no setting 'source'; there are from, rows"):
        parse_words(["source=x"], Needs, "diffplan-some")


def test_the_closest_word_is_offered():
    assert closest("sinlge", ["single", "double"]) == "; did you mean 'single'?"
