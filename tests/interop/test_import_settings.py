import pytest

from diffplan.cli.import_model import main
from diffplan.interop.import_settings import HELP, ImportSettings


def test_the_help_names_every_setting(capsys):
    main(["--help"])
    assert capsys.readouterr().out == HELP
    for name, field in ImportSettings.__dataclass_fields__.items():
        assert f"  {field.metadata.get('word', name)}=" in HELP


def test_places_are_taken_letter_by_letter():
    settings = ImportSettings.parse(["from=runs/a=b/1e3", "to=007"])
    assert settings == ImportSettings("runs/a=b/1e3", "007")


def test_a_missing_word_is_one_sentence():
    with pytest.raises(SystemExit, match=r"^diffplan-import: from=\.\.\. must be given; see diffplan-import --help\.$"):
        main(["to=x"])
