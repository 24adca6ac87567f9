import pytest

from diffplan.errors import ConfigError
from diffplan.words import read_words

SETTINGS = {"checkpoint": str, "horizon": int | None, "scale": float}
DEFAULTS = {"horizon": None, "scale": 1.0}


def test_words_take_the_place_of_defaults():
    words = ["checkpoint=runs/a=b/1e3", "horizon=32", "scale=2"]
    assert read_words(words, SETTINGS, DEFAULTS) == {"checkpoint": "runs/a=b/1e3", "horizon": 32, "scale": 2.0}
    assert read_words(["checkpoint=007"], SETTINGS, DEFAULTS) == {"checkpoint": "007", "horizon": None, "scale": 1.0}
    assert read_words(["checkpoint=x", "horizon=null"], SETTINGS, DEFAULTS)["horizon"] is None


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], r"checkpoint=\.\.\. must be given"),
        (["chekpoint=a"], "no setting 'chekpoint'; did you mean 'checkpoint'"),
        (["runs/a"], "'runs/a' is no key=value; there are checkpoint, horizon, scale"),
        (["checkpoint=a", "horizon=long"], "horizon must be .*, got 'long'"),
        (["checkpoint=a", "scale={"], "scale={ cannot be read"),
        (["checkpoint="], "checkpoint must be str, got ''"),
    ],
)
def test_a_wrong_word_is_named(words, message):
    with pytest.raises(ConfigError, match=message):
        read_words(words, SETTINGS, DEFAULTS)
